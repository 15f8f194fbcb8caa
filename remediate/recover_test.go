package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/rollback"
)

// Whatever point natwarden was killed at, and its recovery too, the host is
// exactly before or exactly after in the end, and a second recovery finds nothing.
func TestACrashAtAnyPointIsRecovered(t *testing.T) {
	points := 0
	for _, recoverAt := range []int{0, 1, 2, 3, 4, 5, 6} {
		for at := 1; recoverOnce(t, at, recoverAt); at++ {
			points++
		}
	}
	if points < 7*8 {
		t.Fatalf("only %d points to crash at: the test does not reach the edits", points)
	}
}

func recoverOnce(t *testing.T, at, recoverAt int) (crashed bool) {
	t.Helper()
	nft, legacy, rows := web()
	o, calls := options(t), 0
	crashing := func(at int) []change.Editor {
		return []change.Editor{crashing{nft, &calls, at}, crashing{legacy, &calls, at}}
	}
	crashed = until(func() { _, _ = Run(context.Background(), rows, nil, here(), crashing(at), o) })
	calls = 0
	until(func() { _, _ = Recover(context.Background(), resolveHere, crashing(recoverAt), o) })
	r, err := Recover(context.Background(), resolveHere, []change.Editor{nft, legacy}, o)
	if err != nil || r.ExitCode != 0 {
		t.Fatalf("crash at %d, then at %d: %+v %v", at, recoverAt, r, err)
	}
	before := slices.Equal(nft.places[nat], []string{"a", "b", "c", "d"}) && slices.Equal(legacy.places[legacyNat], []string{"v", "w"})
	if before == (newest(t, o).Stage() == rollback.Ended && newest(t, o).IsVerified()) {
		t.Errorf("crash at %d, then at %d: nft %v legacy %v, and the journal says verified: %v", at, recoverAt, nft.places, legacy.places, newest(t, o).IsVerified())
	}
	if r, err = Recover(context.Background(), resolveHere, []change.Editor{nft, legacy}, o); err != nil || r.Status != Nothing || len(r.Notes) > 0 {
		t.Errorf("the second recovery: %+v %v", r, err)
	}
	return crashed
}

// newest gives the newest change, or one that was never begun.
func newest(t *testing.T, o Options) *rollback.Change {
	t.Helper()
	none := &rollback.Change{Entries: []rollback.Entry{{Event: rollback.Begin}}}
	s, err := rollback.Open(o.StateDir)
	if errors.Is(err, rollback.ErrNoState) {
		return none
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Newest()
	if errors.Is(err, rollback.ErrUnknownID) {
		return none
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// half leaves a change in the middle: the first subsystem is edited.
func half(t *testing.T) (nft, legacy *kernel, editors []change.Editor, o Options) {
	t.Helper()
	nft, legacy, rows := web()
	o = options(t)
	legacy.onEdit = func(int, []change.Step) error { panic(crash{}) }
	editors = []change.Editor{nft, legacy}
	if !until(func() { _, _ = Run(context.Background(), rows, nil, here(), editors, o) }) {
		t.Fatal("it did not crash")
	}
	legacy.onEdit = nil
	if slices.Equal(nft.places[nat], []string{"a", "b", "c", "d"}) {
		t.Fatal("nothing was edited")
	}
	return nft, legacy, editors, o
}

func TestNothingBeginsBesideAnUnfinishedChange(t *testing.T) {
	nft, _, editors, o := half(t)
	_, _, rows := web()
	rows = rows[len(rows)-1:] // of the subsystem that was not edited yet
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	if err == nil || !strings.Contains(err.Error(), "is not finished") || r.ExitCode != exitError {
		t.Errorf("%+v %v", r, err)
	}
	open, err := Unfinished(o.StateDir)
	if err != nil || len(open) != 1 || !strings.Contains(open[0], "natwarden recover") {
		t.Errorf("%q %v", open, err)
	}
	if len(nft.places[nat]) == 4 {
		t.Error("telling changed the host")
	}
}

func TestRecoverSaysHowFarTheChangeCame(t *testing.T) {
	nft, _, editors, o := half(t)
	r, err := Recover(context.Background(), resolveHere, editors, o)
	if err != nil || r.Status != Done || !strings.Contains(strings.Join(r.Notes, "\n"), "stand carried out on the host") {
		t.Errorf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}

func TestARecoveryThatFailsIsTriedAgain(t *testing.T) {
	nft, _, editors, o := half(t)
	nft.onEdit = func(int, []change.Step) error { return errors.New("the kernel says no") }
	r, err := Recover(context.Background(), resolveHere, editors, o)
	if err == nil || r.ExitCode != exitHalf || !strings.Contains(err.Error(), "the kernel says no") {
		t.Fatalf("%+v %v", r, err)
	}
	nft.onEdit = nil
	if r, err = Recover(context.Background(), resolveHere, editors, o); err != nil || r.ExitCode != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}

func TestADamagedJournalStopsEveryChange(t *testing.T) {
	nft, _, editors, o := half(t)
	journals, err := filepath.Glob(o.StateDir + "/changes/*/journal")
	if err != nil || len(journals) != 1 {
		t.Fatal(journals, err)
	}
	data, err := os.ReadFile(journals[0])
	if err != nil {
		t.Fatal(err)
	}
	spoilt := strings.Replace(string(data), `"group":0`, `"group":1`, 1)
	if err := os.WriteFile(journals[0], []byte(spoilt), 0o600); err != nil || spoilt == string(data) {
		t.Fatal(err)
	}
	was := slices.Clone(nft.places[nat])
	r, err := Recover(context.Background(), resolveHere, editors, o)
	if err == nil || r.ExitCode != exitError || !strings.Contains(err.Error(), "does not fit") {
		t.Errorf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, was...)
}

// A journal that cannot be read any more, of last year perhaps, must not keep the
// watchdog, a recovery or a rollback from what a later change needs.
func TestADamagedJournalKeepsNoOtherFromBeingUndone(t *testing.T) {
	for name, undo := range map[string]func(string, []change.Editor, Options) (*Result, error){
		"recover": func(_ string, e []change.Editor, o Options) (*Result, error) {
			return Recover(context.Background(), resolveHere, e, o)
		},
		"rollback": func(id string, e []change.Editor, o Options) (*Result, error) {
			return Rollback(context.Background(), id, resolveHere, e, o)
		},
	} {
		nft, legacy, rows := web()
		o, editors := options(t), []change.Editor{nft, legacy}
		old, err := Run(context.Background(), rows[:1], nil, here(), editors, o)
		if err != nil {
			t.Fatal(err)
		}
		legacy.onEdit = func(int, []change.Step) error { panic(crash{}) }
		if !until(func() { _, _ = Run(context.Background(), rows[1:], nil, here(), editors, o) }) {
			t.Fatal("it did not crash")
		}
		legacy.onEdit = nil
		left := slices.Clone(nft.places[nat])
		if err := os.WriteFile(filepath.Join(o.StateDir, "changes", old.Change, "journal"), []byte("rubbish\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := undo(newest(t, o).ID, editors, o)
		if said := fmt.Sprint(err, r.Notes); !strings.Contains(said, old.Change) {
			t.Errorf("%s: nothing says that the journal of %s is damaged: %s", name, old.Change, said)
		}
		if len(r.Steps) == 0 || slices.Equal(nft.places[nat], left) {
			t.Errorf("%s: what can be put back is not: %+v %v; %v", name, r, err, nft.places[nat])
		}
		if name == "recover" && r.ExitCode != exitHalf {
			t.Errorf("%s: exit code %d", name, r.ExitCode)
		}
	}
}

func TestAnUnfinishedChangeIsNotUndoneElsewhere(t *testing.T) {
	other := labtest.New(t)
	resolveOther := func(context.Context, string) (h netns.Handle, err error) {
		err = other.Do(t.Context(), func(context.Context) error { h, err = netns.Current(); return err })
		return h, err
	}
	nft, _, editors, o := half(t)
	was := slices.Clone(nft.places[nat])
	r, err := Recover(context.Background(), resolveOther, editors, o)
	if err == nil || r.ExitCode != exitRefused {
		t.Errorf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, was...)
	if newest(t, o).Stage() == rollback.Ended {
		t.Error("its journal was closed")
	}
}

// A rollback of an older change first ends what is unfinished.
func TestRollbackEndsWhatIsUnfinishedFirst(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	editors := []change.Editor{nft, legacy}
	first, err := Run(context.Background(), rows[:1], nil, here(), editors, o)
	if err != nil {
		t.Fatal(err)
	}
	legacy.onEdit = func(int, []change.Step) error { panic(crash{}) }
	if !until(func() { _, _ = Run(context.Background(), rows[len(rows)-1:], nil, here(), editors, o) }) {
		t.Fatal("it did not crash")
	}
	legacy.onEdit = nil
	r, err := Rollback(context.Background(), first.Change, resolveHere, editors, o)
	if err != nil || r.ExitCode != 0 || r.Change != first.Change {
		t.Fatalf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	if open, err := Unfinished(o.StateDir); err != nil || len(open) > 0 {
		t.Errorf("%q %v", open, err)
	}
}

// A rollback of which one part failed leaves half a change on the host. It says
// so, and a recovery finishes it: nobody has to know which part it was.
func TestARollbackThatFailsHalfwayIsFinished(t *testing.T) {
	nft, legacy, rows := web()
	o, editors := options(t), []change.Editor{nft, legacy}
	if _, err := Run(context.Background(), rows, nil, here(), editors, o); err != nil {
		t.Fatal(err)
	}
	legacy.onEdit = func(int, []change.Step) error { return errors.New("the kernel says no") }
	r, err := Rollback(context.Background(), "", resolveHere, editors, o)
	if err == nil || r.ExitCode != exitHalf || !strings.Contains(err.Error(), "natwarden recover") || len(r.Left) != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	legacy.onEdit = nil
	if r, err = Recover(context.Background(), resolveHere, editors, o); err != nil || r.ExitCode != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	wantPlaces(t, legacy, legacyNat, "v", "w")
	if newest(t, o).Stage() != rollback.Ended {
		t.Error("its journal is still open")
	}
}

// Others write faster than the way back can be sent: it is tried on, not left
// halfway, and so is the rollback that a person asks for.
func TestTheWayBackIsTriedUntilItComesThrough(t *testing.T) {
	nft, legacy, rows := web()
	o, editors := options(t), []change.Editor{nft, legacy}
	legacy.onEdit = func(int, []change.Step) error { nft.staleTimes = 20; return errors.New("the kernel says no") }
	if r, err := Run(context.Background(), rows, nil, here(), editors, o); r.ExitCode != exitRolledBack {
		t.Fatalf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	legacy.onEdit = nil
	if r, err := Run(context.Background(), rows, nil, here(), editors, o); err != nil || r.ExitCode != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	nft.staleTimes = 20
	if r, err := Rollback(context.Background(), "", resolveHere, editors, o); err != nil || r.ExitCode != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}
