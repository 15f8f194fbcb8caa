package remediate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/rollback"
)

func TestRemoveAndPutBack(t *testing.T) {
	nft, legacy, rows := web()
	o, editors := options(t), []change.Editor{nft, legacy}
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, nft, nat, "a", "d")
	wantPlaces(t, legacy, legacyNat, "v")
	if len(r.Steps) != 3 || !r.Steps[0].Done || r.Steps[0].Object != "ip nat PREROUTING handle 102" || r.Steps[2].Object != "legacy ip nat PREROUTING 2" {
		t.Errorf("steps: %+v", r.Steps)
	}
	if nft.edits != 1 || legacy.edits != 1 {
		t.Errorf("%d and %d transactions, want one each", nft.edits, legacy.edits)
	}
	checkSnapshot(t, o, r.Snapshot)
	b, err := Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, b, err, Done, 0)
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	wantPlaces(t, legacy, legacyNat, "v", "w")
	if b.Change != r.Change || len(b.Steps) != 3 || b.Steps[0].Action != change.Add || b.Steps[0].IDs[0] != "id-c" || !b.Steps[0].Done {
		t.Errorf("rollback: %+v", b)
	}
	again, err := Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, again, err, Nothing, 0)
	if nft.edits != 2 {
		t.Error("the second rollback edited")
	}
}

func checkSnapshot(t *testing.T, o Options, id string) {
	t.Helper()
	s, err := rollback.Open(o.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if damage, err := s.Verify(id); err != nil || len(damage) > 0 {
		t.Errorf("verifying the snapshot: %v %v", damage, err)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	nft, legacy, rows := web()
	o, editors := options(t), []change.Editor{nft, legacy}
	o.DryRun = true
	dry, err := Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, dry, err, Pending, 2)
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	if _, err := os.Stat(o.StateDir); !errors.Is(err, os.ErrNotExist) {
		t.Error("a dry run made the state directory")
	}
	o.DryRun = false
	done, err := Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, done, err, Done, 0)
	for i := range dry.Steps {
		dry.Steps[i].Done = true
	}
	if a, b := asJSON(t, dry.Steps), asJSON(t, done.Steps); a != b {
		t.Errorf("the dry run showed\n%s\nand the run did\n%s", a, b)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestResultIsTheContracts(t *testing.T) {
	r, err := Run(context.Background(), nil, nil, here(), nil, options(t))
	wantResult(t, r, err, Nothing, 0)
	want := `{"schema_version":1,"status":"nothing","exit_code":0,"change":"","snapshot":"","steps":[],"left":[],"blind":[]}`
	if got := asJSON(t, r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestExitCodes(t *testing.T) {
	elsewhere := row("id-x", "nf_tables", nat, "x", 1)
	elsewhere.Netns = "blue"
	blind := []host.Blind{{Source: "nf_tables", What: "rule", Why: "unknown"}}
	for _, c := range []struct {
		name   string
		rows   []host.Redirect
		blind  []host.Blind
		dry    bool
		status string
		code   int
	}{
		{"nothing, dry", nil, nil, true, Nothing, 0},
		{"blind, dry", nil, blind, true, Nothing, 3},
		{"blind", nil, blind, false, Nothing, 3},
		{"elsewhere", []host.Redirect{elsewhere}, blind, false, Nothing, 2},
		{"done and blind", []host.Redirect{row("id-b", "nf_tables", nat, "b", 2)}, blind, false, Done, 3},
		{"done and left", []host.Redirect{row("id-b", "nf_tables", nat, "b", 2), elsewhere}, nil, false, Done, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			nft, legacy, _ := web()
			o := options(t)
			o.DryRun = c.dry
			r, err := Run(context.Background(), c.rows, c.blind, here(), []change.Editor{nft, legacy}, o)
			wantResult(t, r, err, c.status, c.code)
		})
	}
}

func TestWhatCannotBeProvenIsRefused(t *testing.T) {
	nft, legacy, rows := web()
	nft.unprovable = map[string]string{"c": "expression osf"}
	o, editors := options(t), []change.Editor{nft, legacy}
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, r, err, Refused, 7)
	if len(r.Left) != 3 || r.Left[0].ID != "id-c" || !strings.Contains(r.Left[0].Why, "osf") || nft.edits+legacy.edits != 0 {
		t.Errorf("left %+v, %d edits", r.Left, nft.edits)
	}
	o.Irreversible = true
	r, err = Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, nft, nat, "a", "d")
	b, err := Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, b, err, Done, 2)
	wantPlaces(t, nft, nat, "a", "b", "d")
	if len(b.Left) != 1 || b.Left[0].ID != "id-c" {
		t.Errorf("left of the rollback: %+v", b.Left)
	}
}

func TestEditorsRefusal(t *testing.T) {
	nft, legacy, rows := web()
	nft.refusals = map[string]string{"b": "its table has an owner"}
	o, editors := options(t), []change.Editor{nft, legacy}
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, r, err, Done, 2)
	wantPlaces(t, nft, nat, "a", "b", "d")
	if !slices.Contains(r.Left, Left{"id-b", "its table has an owner"}) {
		t.Errorf("left %+v", r.Left)
	}
}

// An editor that gives a step and a refusal for one rule can end it, but not
// put it back.
func TestRefusalWithAStep(t *testing.T) {
	nft, legacy, rows := web()
	nft.refusals, nft.forced = map[string]string{"c": "expression osf"}, true
	o, editors := options(t), []change.Editor{nft, legacy}
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, r, err, Refused, 7)
	if len(r.Left) != 3 || r.Left[0] != (Left{"id-c", "expression osf"}) {
		t.Errorf("left %+v", r.Left)
	}
	o.Irreversible = true
	r, err = Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, nft, nat, "a", "d")
	b, err := Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, b, err, Done, 2)
	wantPlaces(t, nft, nat, "a", "b", "d")
}

func TestStale(t *testing.T) {
	t.Run("others write once", func(t *testing.T) {
		nft, legacy, rows := web()
		nft.onWorld = func(n int) {
			if n == 2 {
				nft.places[nat] = []string{"new", "a", "b", "c", "d"}
				nft.generation++
			}
		}
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, options(t))
		wantResult(t, r, err, Done, 0)
		wantPlaces(t, nft, nat, "new", "a", "d")
	})
	t.Run("others write always", func(t *testing.T) {
		nft, legacy, rows := web()
		nft.onWorld = func(n int) { nft.places[nat] = append([]string{fmt.Sprint(n)}, nft.places[nat]...) }
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, options(t))
		wantResult(t, r, err, Refused, 7)
		if nft.edits != 0 || !strings.Contains(err.Error(), "ip nat PREROUTING: 0 gone, 1 new") {
			t.Errorf("%d edits, %v", nft.edits, err)
		}
	})
	t.Run("between look and edit", func(t *testing.T) {
		nft, legacy, rows := web()
		nft.staleTimes = 2
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, options(t))
		wantResult(t, r, err, Done, 0)
	})
	t.Run("the rule went by itself", func(t *testing.T) {
		nft, legacy, rows := web()
		nft.places[nat] = []string{"a", "c", "d"}
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, options(t))
		wantResult(t, r, err, Refused, 7)
		wantPlaces(t, nft, nat, "a", "c", "d")
	})
	t.Run("the rule goes between plan and look", func(t *testing.T) {
		nft, legacy, rows := web()
		nft.onWorld = func(n int) {
			if n == 2 {
				nft.places[nat] = []string{"a", "c", "d"}
			}
		}
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, options(t))
		wantResult(t, r, err, Refused, 7)
		wantPlaces(t, nft, nat, "a", "c", "d")
	})
	t.Run("always between look and edit", func(t *testing.T) {
		nft, legacy, rows := web()
		nft.staleTimes = 1 << 30
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, options(t))
		wantResult(t, r, err, Refused, 7)
		wantPlaces(t, legacy, legacyNat, "v", "w")
	})
}

func TestFailureIsUndone(t *testing.T) {
	first := func(n int) error {
		if n == 1 {
			return errTest
		}
		return nil
	}
	for _, c := range []struct {
		name   string
		break_ func(nft, legacy *kernel, o *Options)
		code   int
	}{
		{"the second editor refuses", func(_, l *kernel, _ *Options) {
			l.onEdit = func(int, []change.Step) error { return errTest }
		}, exitRolledBack},
		{"an error though it happened", func(_, l *kernel, _ *Options) { l.afterEdit = first }, exitRolledBack},
		{"the first editor, though it happened", func(n, _ *kernel, _ *Options) { n.afterEdit = first }, exitRolledBack},
		{"half of a transaction", func(_, l *kernel, _ *Options) {
			l.onEdit = func(n int, s []change.Step) error {
				if n == 1 {
					l.apply(s[0])
					return errTest
				}
				return nil
			}
		}, exitRolledBack},
		{"another rule goes with it", func(n, _ *kernel, _ *Options) {
			n.afterEdit = func(i int) error {
				if i == 1 {
					n.places["ip nat POSTROUTING"] = nil
				}
				return nil
			}
		}, exitRolledBack},
		{"a listener goes", func(n, _ *kernel, o *Options) {
			o.Listeners = func(context.Context) ([]host.Listener, error) {
				if n.edits > 0 {
					return nil, nil
				}
				return []host.Listener{{Proto: "tcp", Address: "0.0.0.0", Port: 22, Processes: []host.Process{{PID: os.Getpid()}}}}, nil
			}
		}, exitRolledBack},
		{"the flows cannot be cut", func(_, _ *kernel, o *Options) {
			n := 0
			o.Cuts = func(context.Context, []host.Redirect) ([]change.Step, error) {
				if n++; n == 2 {
					return nil, errTest
				}
				return nil, nil
			}
		}, exitRolledBack},
		{"putting back fails too", func(n, l *kernel, _ *Options) {
			l.onEdit = func(int, []change.Step) error { return errTest }
			n.undone = map[string]string{"b": "no"}
		}, exitHalf},
	} {
		t.Run(c.name, func(t *testing.T) {
			nft, legacy, rows := web()
			o := options(t)
			c.break_(nft, legacy, &o)
			r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
			want := map[int]string{exitRolledBack: RolledBack, exitHalf: Failed}[c.code]
			wantResult(t, r, err, want, c.code)
			if len(r.Left) != len(rows) {
				t.Errorf("left %+v", r.Left)
			}
			for _, s := range r.Steps {
				if s.Done {
					t.Errorf("%+v is said to be done", s)
				}
			}
			if c.code == exitHalf {
				return
			}
			wantPlaces(t, nft, nat, "a", "b", "c", "d")
			wantPlaces(t, legacy, legacyNat, "v", "w")
			b, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
			wantResult(t, b, err, Nothing, 0)
		})
	}
}

func TestInterruptedIsUndone(t *testing.T) {
	nft, legacy, rows := web()
	ctx, stop := context.WithCancel(context.Background())
	nft.afterEdit = func(int) error { stop(); return nil }
	r, err := Run(ctx, rows, nil, here(), []change.Editor{nft, legacy}, options(t))
	wantResult(t, r, err, RolledBack, 4)
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestCuts(t *testing.T) {
	nft, legacy, rows := web()
	flows := newKernel("conntrack", nil)
	o := options(t)
	asked := 0
	o.Cuts = func(_ context.Context, removed []host.Redirect) ([]change.Step, error) {
		if asked++; len(removed) != 3 {
			t.Errorf("asked for the flows of %d rows", len(removed))
		}
		return []change.Step{{Action: change.Cut, Before: &change.Object{Kind: "flow", Backend: "conntrack", Text: "tcp 1.2.3.4"}}}, nil
	}
	editors := []change.Editor{nft, legacy, flows}
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, r, err, Done, 0)
	if asked != 2 || len(flows.flows) != 1 || r.Steps[3].Object != "flow tcp 1.2.3.4" || !r.Steps[3].Done {
		t.Errorf("asked %d times, cut %v, %+v", asked, flows.flows, r.Steps)
	}
	b, err := Rollback(context.Background(), r.Change[:10], resolveHere, editors, o)
	wantResult(t, b, err, Done, 0)
}

func TestLockHeld(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	s, err := rollback.Create(o.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := s.Lock(o.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Failed, 75)
	if nft.edits != 0 || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Error(err)
	}
	b, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, b, err, Failed, 75)
}

func TestNamesThatNoJournalHolds(t *testing.T) {
	odd := "ip nat\xff PREROUTING"
	nft := newKernel("nf_tables", map[string][]string{odd: {"a"}})
	r, err := Run(context.Background(), []host.Redirect{row("id-a", "nf_tables", odd, "a", 1)}, nil, here(), []change.Editor{nft}, options(t))
	wantResult(t, r, err, Refused, 7)
	if nft.edits != 0 || !strings.Contains(r.Left[0].Why, "UTF-8") {
		t.Errorf("%+v", r.Left)
	}
}

func TestHostileNamesGoAndComeBack(t *testing.T) {
	odd := "ip n\x00a\x1b[31mt\"' " + strings.Repeat("€", 340)
	nft := newKernel("nf_tables", map[string][]string{odd: {"a", "b"}})
	hostile := row("id-a", "nf_tables", odd, "a", 1)
	o, editors := options(t), []change.Editor{nft}
	r, err := Run(context.Background(), []host.Redirect{hostile}, nil, here(), editors, o)
	wantResult(t, r, err, Done, 0)
	r, err = Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, nft, odd, "a", "b")
}

// What the audit called rule 1, 2 and 4 of a legacy chain is called so here, too.
func TestLegacyPlacesAreThoseOfTheAudit(t *testing.T) {
	legacy := newKernel("x_tables", map[string][]string{legacyNat: {"a", "b", "c", "d"}})
	rows := []host.Redirect{row("1", "x_tables", nat, "a", 1), row("2", "x_tables", nat, "b", 2), row("4", "x_tables", nat, "d", 4)}
	o, editors := options(t), []change.Editor{legacy}
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	wantResult(t, r, err, Done, 0)
	b, err := Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, b, err, Done, 0)
	for _, steps := range [][]Step{r.Steps, b.Steps} {
		for _, s := range steps {
			if s.Object != "legacy ip nat PREROUTING "+s.IDs[0] {
				t.Errorf("%s is called %s", s.IDs[0], s.Object)
			}
		}
	}
}
