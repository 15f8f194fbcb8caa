package remediate

import (
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

// A table that could not be read before the change and can be now may hold
// violations: "done, nothing unauthorized remains" would be a lie.
func TestWhatIsSeenOnlyAfterTheChangeIsLeft(t *testing.T) {
	blind := []host.Blind{{Source: "nf_tables", What: "all", Why: "input/output error"}}
	hidden := host.Redirect{ID: "hidden", Verdict: host.Violation}
	known := host.Redirect{ID: "known", Verdict: host.Violation}
	fine := host.Redirect{ID: "fine", Verdict: host.Allowed}
	for name, c := range map[string]struct {
		rows  []host.Redirect
		blind []host.Blind
		code  int
		left  int
	}{
		"all is well":        {[]host.Redirect{fine}, nil, exitOK, 0},
		"still blind":        {[]host.Redirect{fine}, blind, exitIncomplete, 0},
		"a hidden violation": {[]host.Redirect{fine, hidden}, nil, exitViolations, 1},
		"and blind":          {[]host.Redirect{hidden}, blind, exitViolations, 1},
	} {
		r := newResult(blind)
		r.Status, r.ExitCode = Done, exitIncomplete
		r.SeenAgain(c.rows, c.blind)
		if r.ExitCode != c.code || len(r.Left) != c.left || len(r.Blind) != len(c.blind) {
			t.Errorf("%s: exit code %d, left %v, blind %v", name, r.ExitCode, r.Left, r.Blind)
		}
	}
	r := newResult(blind)
	r.Left = []Left{{known.ID, "it is not named by --only"}}
	if r.SeenAgain([]host.Redirect{known}, nil); len(r.Left) != 1 || r.ExitCode != exitViolations {
		t.Errorf("what was left anyway: %+v", r)
	}
	r = newResult(blind)
	r.Status = Pending
	if r.SeenAgain([]host.Redirect{hidden}, nil); r.ExitCode != exitOK || len(r.Left) != 1 {
		t.Errorf("while it waits: %+v", r)
	}
}
