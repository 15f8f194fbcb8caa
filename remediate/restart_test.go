package remediate

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/rollback"
)

// After a restart a label may belong to something else: what ended with the
// restart is left, whatever stands there now.
func TestNamespacesAfterARestart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		label, then, now string // whether it was and is the one of process 1
		restarted, asked bool
		forgotten, other bool
	}{
		"no restart":                            {"", "no", "no", false, false, false, false},
		"no restart, of a process":              {"pid:7", "no", "no", false, false, false, false},
		"the first one":                         {"", "yes", "yes", true, false, false, false},
		"nobody could tell":                     {"", "", "", true, false, false, false},
		"nobody could tell then":                {"", "", "yes", true, false, false, false},
		"the first one, and now another":        {"", "yes", "no", true, false, false, true},
		"another one":                           {"", "no", "yes", true, false, true, true},
		"another one, and somebody asks for it": {"", "no", "no", true, true, false, false},
		"another one, asked for in the first":   {"", "no", "yes", true, true, false, true},
		"a name":                                {"blue", "no", "no", true, false, false, false},
		"of a process":                          {"pid:7", "no", "no", true, false, true, false},
		"of an open file":                       {"fd:7/3", "no", "no", true, true, true, false},
	} {
		then := rollback.Origin{BootID: "a", Netns: []rollback.Netns{{Label: c.label, Ino: 1, First: c.then}}}
		b := &back{change: &rollback.Change{Plan: rollback.Plan{Origin: then}}, here: rollback.Origin{BootID: "a"}, recovering: !c.asked}
		here := then.Netns[0]
		if c.restarted {
			b.here.BootID, here = "b", rollback.Netns{Label: c.label, Ino: 2, First: c.now}
		}
		if got := b.forgotten(c.label); (got != "") != c.forgotten {
			t.Errorf("%s: forgotten: %q", name, got)
		}
		if got := b.another(here); (got != "") != c.other {
			t.Errorf("%s: another: %q", name, got)
		}
	}
}

// What the restart loaded again is as before, and nothing is edited.
func TestRecoverAfterARestartThatLoadedTheRules(t *testing.T) {
	t.Parallel()
	nft, legacy, editors, o, r := waiting(t, time.Hour)
	nft.places[nat], legacy.places[legacyNat] = []string{"a", "b", "c", "d"}, []string{"v", "w"}
	restarted(t, o.StateDir, r.Change)
	edits := nft.edits + legacy.edits
	got, err := Recover(context.Background(), resolveHere, editors, o)
	if err != nil || got.ExitCode != exitExpired || nft.edits+legacy.edits != edits {
		t.Errorf("%+v %v, %d edits", got, err, nft.edits+legacy.edits-edits)
	}
	if said := strings.Join(got.Notes, "\n"); !strings.Contains(said, "it is as before the change") {
		t.Errorf("it does not say how the host stands: %s", said)
	}
	if c := newest(t, o); !c.IsRolledBack() {
		t.Errorf("the journal ends at %s", c.Stage())
	}
}

// Before the network is up only rules are put back; the next recovery does the rest.
func TestRecoverInTwoPasses(t *testing.T) {
	t.Parallel()
	nft, legacy, editors, o, r := waiting(t, time.Hour)
	restarted(t, o.StateDir, r.Change)
	early := o
	early.Backends = []string{nft.Backend()}
	got, err := Recover(context.Background(), resolveHere, editors, early)
	if err != nil || got.Status != Done || got.ExitCode != 0 || newest(t, o).Stage() == rollback.Ended {
		t.Errorf("%+v %v, %s", got, err, newest(t, o).Stage())
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	wantPlaces(t, legacy, legacyNat, "v")
	if got, err = Recover(context.Background(), resolveHere, editors, o); err != nil || got.ExitCode != 0 || !newest(t, o).IsRolledBack() {
		t.Errorf("%+v %v", got, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	wantPlaces(t, legacy, legacyNat, "v", "w")

	early.Backends = []string{nft.Backend(), legacy.Backend()}
	nft, _, editors, o, r = waiting(t, time.Hour)
	restarted(t, o.StateDir, r.Change)
	early.StateDir = o.StateDir
	if got, err = Recover(context.Background(), resolveHere, editors, early); err != nil || got.ExitCode != exitExpired || !newest(t, o).IsRolledBack() {
		t.Errorf("rules alone, which are all back: %+v %v", got, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}
