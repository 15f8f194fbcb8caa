package remediate

import (
	"context"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// tablesNow is a Restorer whose only table reads as it is told to.
type tablesNow struct {
	change.Restorer
	print      string
	generation uint32
}

func (tablesNow) Backend() string { return xTables }
func (t tablesNow) World(context.Context) (*change.World, error) {
	return &change.World{Backend: xTables, Generation: t.generation}, nil
}
func (t tablesNow) Tables(context.Context, map[string][]byte) ([]change.Table, error) {
	return []change.Table{{Object: change.Object{Kind: change.KindTable, Backend: xTables, Family: host.IP, Table: "nat", Fingerprint: t.print}}}, nil
}

// A table that is not as it was restored is a failure, unless it is proven that
// somebody else wrote since: iptables-legacy counts no commits.
func TestFullRollbackIsVerified(t *testing.T) {
	for name, test := range map[string]struct {
		now    tablesNow
		before uint32 // generation
		fails  bool
	}{
		"as in the snapshot":                {tablesNow{print: "wanted"}, 0, false},
		"not, and nothing counts":           {tablesNow{print: "other"}, 0, true},
		"not, and only our own commit":      {tablesNow{print: "other", generation: 8}, 7, true},
		"not, and somebody wrote after us":  {tablesNow{print: "other", generation: 9}, 7, false},
		"as it should be, and others wrote": {tablesNow{print: "wanted", generation: 99}, 7, false},
	} {
		after := &change.Object{Kind: change.KindTable, Backend: xTables, Family: host.IP, Table: "nat", Fingerprint: "wanted"}
		p := &tablesPart{group: &group{editor: test.now, world: &change.World{Generation: test.before}, steps: []change.Step{{Action: change.Restore, After: after}}}, restorer: test.now}
		f := &full{back: &back{result: newResult(nil)}, parts: []*tablesPart{p}}
		err := f.verify(context.Background())
		if (err != nil) != test.fails {
			t.Errorf("%s: %v", name, err)
		}
		if told := strings.Contains(strings.Join(f.result.Notes, ""), "somebody changed meanwhile"); told != (test.now.print == "other" && !test.fails) {
			t.Errorf("%s: notes %q", name, f.result.Notes)
		} else if left := len(f.result.Left) > 0; left != told {
			t.Errorf("%s: left %v", name, f.result.Left)
		}
	}
}
