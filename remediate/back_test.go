package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/rollback"
)

// removed is a host after a remediation.
func removed(t *testing.T) (nft, legacy *kernel, o Options, done *Result) {
	t.Helper()
	nft, legacy, rows := web()
	o = options(t)
	done, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	wantResult(t, done, err, Done, 0)
	return nft, legacy, o, done
}

func TestRollbackWithoutChanges(t *testing.T) {
	o := options(t)
	r, err := Rollback(context.Background(), "", resolveHere, nil, o)
	wantResult(t, r, err, Nothing, 0)
	if _, err := os.Stat(o.StateDir); !errors.Is(err, os.ErrNotExist) {
		t.Error("rollback made a state directory")
	}
	r, err = Rollback(context.Background(), "2026", resolveHere, nil, o)
	wantResult(t, r, err, Failed, 1)
}

func TestRollbackDryRun(t *testing.T) {
	nft, legacy, o, _ := removed(t)
	o.DryRun = true
	for range 2 {
		r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
		wantResult(t, r, err, Pending, 2)
		if len(r.Steps) != 3 || r.Steps[0].Done || r.Steps[0].After != "rule w" && r.Steps[0].After != "rule c" {
			t.Errorf("%+v", r.Steps)
		}
	}
	wantPlaces(t, nft, nat, "a", "d")
}

func TestRollbackOfWhatIsBackAlready(t *testing.T) {
	nft, legacy, o, _ := removed(t)
	nft.places[nat] = []string{"b", "a", "d"} // somebody's daemon put it back
	r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, 0)
	if len(r.Steps) != 2 || count(nft.places[nat])["b"] != 1 || count(nft.places[nat])["c"] != 1 {
		t.Errorf("steps %+v, host %q", r.Steps, nft.places[nat])
	}
	if len(r.Notes) == 0 || !strings.Contains(r.Notes[0], "the order changed") {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestRollbackWhereSurroundingsChanged(t *testing.T) {
	nft, legacy, o, _ := removed(t)
	editors := []change.Editor{nft, legacy}
	delete(legacy.places, legacyNat)
	nft.unprovable = map[string]string{"b": "its set is gone"}
	r, err := Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, r, err, Done, 2)
	wantPlaces(t, nft, nat, "a", "c", "d") // before d, as it was, though b is not there
	if len(r.Left) != 2 || !strings.Contains(r.Left[0].Why+r.Left[1].Why, "its set is gone") || !strings.Contains(r.Left[0].Why+r.Left[1].Why, "chain is gone") {
		t.Errorf("left %+v", r.Left)
	}
	legacy.places[legacyNat], nft.unprovable = []string{"v"}, nil
	r, err = Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, legacy, legacyNat, "v", "w")
	if len(r.Steps) != 2 {
		t.Errorf("the second try did %+v", r.Steps)
	}
	r, err = Rollback(context.Background(), "", resolveHere, editors, o)
	wantResult(t, r, err, Nothing, 0)
}

func TestRollbackFromAnotherNamespaceIsRefused(t *testing.T) {
	nft, legacy, o, _ := removed(t)
	other := func(context.Context, string) (netns.Handle, error) {
		return netns.Handle{}, errors.New("no such namespace")
	}
	r, err := Rollback(context.Background(), "", other, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Refused, 7)
	wantPlaces(t, nft, nat, "a", "d")
	r, err = Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, 0)
}

func TestRollbackOthersWriteMeanwhile(t *testing.T) {
	nft, legacy, o, _ := removed(t)
	nft.staleTimes = 2
	r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}

func TestRollbackThatCannotEdit(t *testing.T) {
	nft, legacy, o, _ := removed(t)
	fail := func(int, []change.Step) error { return errTest }
	nft.onEdit, legacy.onEdit = fail, fail
	r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Failed, 1)
	if len(r.Left) != 3 {
		t.Errorf("left %+v", r.Left)
	}
	nft.onEdit, legacy.onEdit = nil, nil
	r, err = Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, 0)
}

func TestNeverTheChangeBefore(t *testing.T) {
	nft, legacy, rows := web()
	o, editors := options(t), []change.Editor{nft, legacy}
	first, err := Run(context.Background(), rows[:1], nil, here(), editors, o)
	wantResult(t, first, err, Done, 0)
	second, err := Run(context.Background(), rows[1:2], nil, here(), editors, o)
	wantResult(t, second, err, Done, 0)
	if first.Change >= second.Change {
		t.Errorf("%s does not sort before %s", first.Change, second.Change)
	}
	for _, want := range []string{Done, Nothing} {
		r, err := Rollback(context.Background(), "", resolveHere, editors, o)
		wantResult(t, r, err, want, 0)
		wantPlaces(t, nft, nat, "a", "c", "d")
	}
	r, err := Rollback(context.Background(), first.Change, resolveHere, editors, o)
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}

// recorded writes a change into a store as if it had been made elsewhere.
func recorded(t *testing.T, o Options, spoil func(*rollback.Origin)) {
	t.Helper()
	s, err := rollback.Create(o.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id, err := Space{}.identity()
	if err != nil {
		t.Fatal(err)
	}
	origin, err := rollback.Here("test", o.Now(), []rollback.Netns{id})
	if err != nil {
		t.Fatal(err)
	}
	spoil(&origin)
	b := &change.Object{Kind: "rule", Backend: "nf_tables", Family: "ip", Table: "nat", Chain: "PREROUTING", Fingerprint: "b", Raw: []byte("b")}
	j, err := s.Begin(rollback.Plan{Change: "20261123T052000Z-0000", Origin: origin, Groups: []rollback.Group{{
		Backend: "nf_tables", Before: map[string][]string{nat: {"a", "b"}},
		Steps: []change.Step{{IDs: []string{"id-b"}, Action: change.Delete, Before: b, Reversible: true, Place: change.Place{Index: 2}}},
	}}}, o.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if err := j.Write(rollback.Entry{Event: rollback.Intend}); err != nil {
		t.Fatal(err)
	}
}

func TestRollbackOfAnotherHostOrBoot(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(*rollback.Origin)
		status string
		code   int
		says   string
	}{
		"here":           {func(*rollback.Origin) {}, Done, 0, ""},
		"another host":   {func(o *rollback.Origin) { o.BootID, o.Host = "x", "web2" }, Refused, 7, "web2"},
		"another boot":   {func(o *rollback.Origin) { o.BootID, o.Netns = "x", nil }, Done, 0, "restarted"},
		"another netns":  {func(o *rollback.Origin) { o.Netns[0].Ino++ }, Refused, 7, "where remediate ran"},
		"another device": {func(o *rollback.Origin) { o.Netns[0].Dev++ }, Refused, 7, "where remediate ran"},
	} {
		t.Run(name, func(t *testing.T) {
			nft := newKernel("nf_tables", map[string][]string{nat: {"a"}})
			o := options(t)
			recorded(t, o, c.spoil)
			r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft}, o)
			wantResult(t, r, err, c.status, c.code)
			if words := fmt.Sprint(r.Notes, err); !strings.Contains(words, c.says) {
				t.Errorf("it does not say %q: %s", c.says, words)
			}
			if c.code == 0 {
				wantPlaces(t, nft, nat, "a", "b")
			} else {
				wantPlaces(t, nft, nat, "a")
			}
		})
	}
}

func TestDamagedJournalIsAnError(t *testing.T) {
	nft, legacy, o, done := removed(t)
	path := o.StateDir + "/changes/" + done.Change + "/journal"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Failed, 1)
	wantPlaces(t, nft, nat, "a", "d")
}

// Of two equal rules that lost an element each, others deleted one: it is said
// of that one, and not of the other, that it is not back.
func TestWhichOfEqualRulesIsNotBack(t *testing.T) {
	rule := func(print string) *change.Object {
		return &change.Object{Kind: "rule", Backend: "nf_tables", Family: "ip", Table: "nat", Chain: "PREROUTING", Fingerprint: print}
	}
	steps := []change.Step{
		{Action: change.Edit, Before: rule("whole"), After: rule("one"), Reversible: true, Place: change.Place{Index: 1}},
		{Action: change.Edit, Before: rule("whole"), After: rule("two"), Reversible: true, Place: change.Place{Index: 2}},
	}
	g := &backGroup{done: map[int]bool{}, group: &group{steps: steps, world: &change.World{Places: map[string][]string{nat: {"whole", "whole"}}}}}
	g.steps = change.Invert(steps) // the second comes first
	g.refuse(0, "it is gone already")
	b := &back{result: newResult(nil)}
	b.compare(g, &change.World{Places: map[string][]string{nat: {"whole"}}}, nil)
	if len(g.refused) != 1 || g.refused[0] != "it is gone already" || !g.done[1] || g.done[0] {
		t.Errorf("refused %v, done %v", g.refused, g.done)
	}
}
