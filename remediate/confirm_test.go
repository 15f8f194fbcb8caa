package remediate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/rollback"
)

// waiting makes a change that waits for its confirmation.
func waiting(t *testing.T, within time.Duration) (nft, legacy *kernel, editors []change.Editor, o Options, r *Result) {
	t.Helper()
	nft, legacy, rows := web()
	o = options(t)
	o.ConfirmWithin = within
	o.Watchdog = func(string, string) error {
		if nft.edits+legacy.edits > 0 {
			t.Error("the watchdog comes after an edit")
		}
		return nil
	}
	editors = []change.Editor{nft, legacy}
	r, err := Run(context.Background(), rows, nil, here(), editors, o)
	if err != nil || r.Status != Pending || r.ExitCode != 0 || r.Until == nil || !r.Steps[0].Done {
		t.Fatalf("%+v %v", r, err)
	}
	return nft, legacy, editors, o, r
}

func TestAConfirmedChangeStays(t *testing.T) {
	t.Parallel()
	nft, _, editors, o, r := waiting(t, 400*time.Millisecond)
	got, err := Confirm(context.Background(), "", resolveHere, editors, o)
	if err != nil || got.Status != Done || got.ExitCode != 0 || got.Change != r.Change {
		t.Fatalf("%+v %v", got, err)
	}
	time.Sleep(600 * time.Millisecond)
	if err := Watch(t.Context(), r.Change, resolveHere, editors, o); err != nil {
		t.Error(err)
	}
	if got, err = Await(t.Context(), r, resolveHere, editors, o); err != nil || got.Status != Done || got.ExitCode != 0 || got.Until != nil {
		t.Errorf("%+v %v", got, err)
	}
	wantPlaces(t, nft, nat, "a", "d")
	if got, err = Confirm(context.Background(), r.Change, resolveHere, editors, o); err != nil || got.Status != Nothing || got.ExitCode != 0 {
		t.Errorf("the second time: %+v %v", got, err)
	}
}

// serial is an editor of several goroutines. The lock of the state directory
// keeps them apart already; the race detector does not see that.
type serial struct {
	change.Editor
	mu *sync.Mutex
}

func (s serial) World(ctx context.Context) (*change.World, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Editor.World(ctx)
}

func (s serial) Check(ctx context.Context, steps []change.Step) (map[int]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Editor.Check(ctx, steps)
}

func (s serial) Edit(ctx context.Context, generation uint32, steps []change.Step) (change.Outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Editor.Edit(ctx, generation, steps)
}

// Two watchdogs and the run itself watch: the change is rolled back once.
func TestAChangeThatNobodyConfirmsIsRolledBack(t *testing.T) {
	t.Parallel()
	nft, legacy, editors, o, r := waiting(t, 400*time.Millisecond)
	var mu sync.Mutex
	for i, e := range editors {
		editors[i] = serial{e, &mu}
	}
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- Watch(t.Context(), r.Change, resolveHere, editors, o) }()
	}
	got, err := Await(t.Context(), r, resolveHere, editors, o)
	if err == nil || got.Status != RolledBack || got.ExitCode != exitExpired || got.Steps[0].Done || len(got.Left) == 0 {
		t.Errorf("%+v %v", got, err)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	wantPlaces(t, legacy, legacyNat, "v", "w")
	if nft.edits != 2 || legacy.edits != 2 {
		t.Errorf("%d and %d edits, want 2 and 2", nft.edits, legacy.edits)
	}
	got, err = Confirm(context.Background(), "", resolveHere, editors, o)
	if err == nil || got.ExitCode != exitExpired {
		t.Errorf("a late confirmation: %+v %v", got, err)
	}
}

// Nobody watched, for the watchdog was killed: who comes late rolls back.
func TestALateConfirmationRollsBack(t *testing.T) {
	t.Parallel()
	nft, _, editors, o, _ := waiting(t, time.Nanosecond)
	got, err := Confirm(context.Background(), "", resolveHere, editors, o)
	if err == nil || got.ExitCode != exitExpired || got.Status != RolledBack {
		t.Fatalf("%+v %v", got, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}

func TestAwaitRollsBackWhereNoWatchdogDoes(t *testing.T) {
	t.Parallel()
	nft, _, editors, o, r := waiting(t, time.Nanosecond)
	got, err := Await(t.Context(), r, resolveHere, editors, o)
	if err == nil || got.ExitCode != exitExpired {
		t.Fatalf("%+v %v", got, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}

func TestAwaitEndsWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	nft, _, editors, o, r := waiting(t, time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	got, err := Await(ctx, r, resolveHere, editors, o)
	if err != nil || got.Status != Pending || got.ExitCode != 0 {
		t.Errorf("%+v %v", got, err)
	}
	wantPlaces(t, nft, nat, "a", "d")
}

func TestNoOtherChangeBeginsWhileOneWaits(t *testing.T) {
	t.Parallel()
	nft, _, editors, o, first := waiting(t, time.Hour)
	_, _, rows := web()
	nft.places["ip nat POSTROUTING"] = []string{"m", "n"}
	r, err := Run(context.Background(), append(rows[:0], row("id-n", "nf_tables", "ip nat POSTROUTING", "n", 2)), nil, here(), editors, o)
	var waits *WaitingError
	if !errors.As(err, &waits) || waits.Change != first.Change || r.ExitCode != exitBusy {
		t.Errorf("%+v %v", r, err)
	}
	r, err = Recover(context.Background(), resolveHere, editors, o)
	if err != nil || r.Status != Pending || r.ExitCode != 0 || r.Change != first.Change {
		t.Errorf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, "a", "d")
	if r, err = Rollback(context.Background(), "", resolveHere, editors, o); err != nil || r.ExitCode != 0 {
		t.Errorf("%+v %v", r, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}

func TestARestartEndsTheWait(t *testing.T) {
	t.Parallel()
	nft, _, editors, o, r := waiting(t, time.Hour)
	restarted(t, o.StateDir, r.Change)
	got, err := Confirm(context.Background(), "", resolveHere, editors, o)
	if err == nil || got.ExitCode != exitExpired {
		t.Fatalf("%+v %v", got, err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}

// restarted makes a change look as if it was made before the host restarted.
func restarted(t *testing.T, stateDir, id string) {
	t.Helper()
	s, err := rollback.Open(stateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Load(id)
	if err != nil {
		t.Fatal(err)
	}
	c.Plan.Origin.BootID = "11111111-2222-3333-4444-555555555555"
	if err := os.RemoveAll(filepath.Join(stateDir, "changes", id)); err != nil {
		t.Fatal(err)
	}
	j, err := s.Begin(c.Plan, c.Began())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range c.Entries[1:] {
		if err := j.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutAWatchdogNothingIsChanged(t *testing.T) {
	t.Parallel()
	for _, watchdog := range []func(string, string) error{nil, func(string, string) error { return errTest }} {
		nft, legacy, rows := web()
		o := options(t)
		o.ConfirmWithin, o.Watchdog = time.Minute, watchdog
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
		if err == nil || r.ExitCode != exitError || nft.edits+legacy.edits > 0 || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("%+v %v", r, err)
		}
		if open, err := Unfinished(o.StateDir); err != nil || len(open) > 0 {
			t.Errorf("%q %v", open, err)
		}
	}
}

// The run that makes a change dies before it is done: its watchdog undoes it at
// once, and not while the run lives.
func TestTheWatchdogUndoesWhatDiedHalfway(t *testing.T) {
	t.Parallel()
	nft, _, editors, o := half(t)
	s, err := rollback.Open(o.StateDir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run, err := s.Lock(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- Watch(t.Context(), newest(t, o).ID, resolveHere, editors, o) }()
	select {
	case err := <-done:
		t.Fatalf("it acted while the run lived: %v", err)
	case <-time.After(3 * tick):
	}
	if err := run.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
}

// A change is watched only where its network namespaces are those that were changed.
func TestWatchable(t *testing.T) {
	t.Parallel()
	_, _, _, o, r := waiting(t, time.Hour)
	if err := Watchable(t.Context(), r.Change, resolveHere, o); err != nil {
		t.Error(err)
	}
	space := labtest.New(t)
	elsewhere := func(context.Context, string) (netns.Handle, error) {
		return netns.Open(fmt.Sprintf("/proc/self/fd/%d", space.Handle().Fd()))
	}
	for name, resolve := range map[string]Resolve{"elsewhere": elsewhere,
		"nowhere": func(context.Context, string) (netns.Handle, error) { return netns.Handle{}, errTest }} {
		if err := Watchable(t.Context(), r.Change, resolve, o); err == nil {
			t.Errorf("it could be watched from %s", name)
		}
	}
	o.StateDir = t.TempDir()
	if err := Watchable(t.Context(), r.Change, resolveHere, o); err == nil {
		t.Error("a change that is not there could be watched")
	}
}
