package remediate

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// ofAnotherBoot writes down a change that was made before the host restarted.
func ofAnotherBoot(t *testing.T, o Options, places map[string][]string, steps []change.Step, restores string, events ...string) (id string) {
	t.Helper()
	s, err := rollback.Create(o.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	space, err := Space{}.identity()
	if err != nil {
		t.Fatal(err)
	}
	origin, err := rollback.Here("test", o.Now(), []rollback.Netns{space})
	if err != nil {
		t.Fatal(err)
	}
	origin.BootID = "another"
	data, _ := json.Marshal(places)
	scope, err := rollback.WriteScope([]rollback.Scope{{Backend: "nf_tables"}})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := s.Take(origin, map[string][]byte{rollback.SpaceFile("", "nf_tables", "tables.json"): data, rollback.ScopeName: scope})
	if err != nil {
		t.Fatal(err)
	}
	if id, err = s.NewChangeID(o.Now()); err != nil {
		t.Fatal(err)
	}
	j, err := s.Begin(rollback.Plan{Change: id, Snapshot: snapshot, Origin: origin, Restores: restores, Groups: []rollback.Group{{
		Backend: "nf_tables", Before: map[string][]string{nat: places[nat]}, Steps: steps,
	}}}, o.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for _, event := range events {
		if err := j.Write(rollback.Entry{Event: event}); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// After a restart the table of the change is gone, or what boot scripts made of it:
// an ordinary rollback says how to bring it back, and that does.
func TestATableThatARestartLostComesBack(t *testing.T) {
	for name, loaded := range map[string]map[string][]string{
		"gone":       {},
		"boot's own": {"ip nat OTHER": {"x"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			nft := &tabled{kernel: newKernel("nf_tables", loaded)}
			editors := []change.Editor{nft}
			b := &change.Object{Kind: "rule", Backend: "nf_tables", Family: "ip", Table: "nat", Chain: "PREROUTING", Fingerprint: "b", Raw: []byte("b")}
			id := ofAnotherBoot(t, o, map[string][]string{nat: {"a", "b"}, "ip other X": {"o"}},
				[]change.Step{{IDs: []string{"id-b"}, Action: change.Delete, Before: b, Reversible: true, Place: change.Place{Index: 2}}},
				"", rollback.Intend, rollback.DoneEvent, rollback.Verified)
			r, err := Rollback(context.Background(), "", resolveHere, editors, o)
			wantResult(t, r, err, Nothing, 2)
			hint := func(n string) bool {
				return strings.Contains(n, "natwarden rollback "+id+" --full would make the whole table ip nat again")
			}
			if !slices.ContainsFunc(r.Notes, hint) {
				t.Errorf("notes %q", r.Notes)
			}
			o.Full = true
			r, err = Rollback(context.Background(), "", resolveHere, editors, o)
			wantResult(t, r, err, Done, 0)
			wantPlaces(t, nft.kernel, nat, "a", "b")
			if len(nft.places) != 1 || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "by its number") }) {
				t.Errorf("the tables are %v, notes %q", nft.places, r.Notes)
			}
		})
	}
}

// A full rollback that a restart interrupted has nothing left to undo: whatever
// files load stands there.
func TestARestartEndsAFullRollback(t *testing.T) {
	o := options(t)
	nft := &tabled{kernel: newKernel("nf_tables", map[string][]string{nat: {"boot"}})}
	table := func(print string) *change.Object {
		raw := `{"ip nat PREROUTING":["` + print + `"]}`
		return &change.Object{Kind: change.KindTable, Backend: "nf_tables", Family: "ip", Table: "nat", Fingerprint: raw, Raw: []byte(raw)}
	}
	id := ofAnotherBoot(t, o, map[string][]string{nat: {"a"}},
		[]change.Step{{Action: change.Restore, Before: table("a"), After: table("b"), Reversible: true}}, "20261123T000000Z-0000", rollback.Intend)
	r, err := Recover(context.Background(), resolveHere, []change.Editor{nft}, o)
	wantResult(t, r, err, Nothing, 0)
	wantPlaces(t, nft.kernel, nat, "boot")
	if c := loadChange(t, o, id); c.Stage() != rollback.Ended || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "as the restart of the host loaded it") }) {
		t.Errorf("the change is %s, notes %q", c.Stage(), r.Notes)
	}
}

// The way back of a full rollback, killed anywhere: recover ends it one way or the
// other, and the journals say which.
func TestACrashOfTheWayBackOfAFullRollback(t *testing.T) {
	seen := map[bool]int{}
	for at := 1; ; at++ {
		nft, legacy, o, done := rewritten(t)
		editors := []change.Editor{nft, legacy}
		full, err := Rollback(context.Background(), "", resolveHere, editors, o)
		wantResult(t, full, err, Done, 0)
		o.Full = false
		calls := 0
		tick := func() {
			if calls++; calls == at {
				panic(crash{})
			}
		}
		nft.tick, legacy.tick = tick, tick
		crashed := until(func() { _, _ = Rollback(context.Background(), "", resolveHere, editors, o) })
		nft.tick, legacy.tick = nil, nil
		if r, err := Recover(context.Background(), resolveHere, editors, o); err != nil || r.ExitCode != 0 {
			t.Fatalf("crash at %d: recover: %+v, %v", at, r, err)
		}
		back := loadChange(t, o, full.Change).IsRolledBack()
		seen[back]++
		if loadChange(t, o, done.Change).IsRolledBack() == back {
			t.Errorf("crash at %d: both changes are called rolled back %v", at, back)
		}
		if back {
			wantOthers(t, nft, legacy)
		} else {
			wantSnapshot(t, nft, legacy)
		}
		if !crashed {
			break
		}
	}
	if len(seen) != 2 {
		t.Errorf("the way back was ended as %v", seen)
	}
}
