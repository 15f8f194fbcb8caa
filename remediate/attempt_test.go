package remediate

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// locked is a subsystem with a lock that others heed: they write only before it
// is taken and after it is let go.
type locked struct {
	*kernel
	before, after func(*kernel)
	times         int
	held          bool
}

func (l *locked) Hold(ctx context.Context) (context.Context, func(), error) {
	l.times++
	if l.before != nil && l.times == 1 {
		l.before(l.kernel)
	}
	l.held = true
	return ctx, func() {
		l.held = false
		if l.after != nil && l.times == 1 {
			l.after(l.kernel)
		}
	}, nil
}

// lockedWeb is web with a lock on its second backend.
func lockedWeb() (nft *kernel, legacy *locked, run func(o Options) (*Result, error)) {
	nft, old, rows := web()
	legacy = &locked{kernel: old}
	return nft, legacy, func(o Options) (*Result, error) {
		return Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	}
}

// What others write before the lock is taken belongs to the world of the change,
// and its way back.
func TestWhatOthersWroteBeforeTheLock(t *testing.T) {
	_, legacy, run := lockedWeb()
	legacy.before = func(k *kernel) { k.places[legacyNat] = []string{"new", "v", "w", "last"} }
	o := options(t)
	r, err := run(o)
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, legacy.kernel, legacyNat, "new", "v", "last")
	groups, _ := newest(t, o).Begun()
	if !slices.ContainsFunc(groups, func(g rollback.Group) bool {
		return slices.Equal(g.Before[legacyNat], []string{"new", "v", "w", "last"})
	}) {
		t.Errorf("the journal knows another world: %+v", groups)
	}
	b, err := Rollback(context.Background(), "", resolveHere, []change.Editor{newKernel("nf_tables", map[string][]string{nat: {"a", "d"}}), legacy}, o)
	if err != nil {
		t.Fatalf("%+v %v", b, err)
	}
	wantPlaces(t, legacy.kernel, legacyNat, "new", "v", "w", "last")
}

// The rule went before the lock was taken: nothing of it is edited, and what was
// done elsewhere is undone.
func TestARuleThatWentBeforeTheLock(t *testing.T) {
	nft, legacy, run := lockedWeb()
	legacy.before = func(k *kernel) { k.places[legacyNat] = []string{"v"} }
	r, err := run(options(t))
	wantResult(t, r, err, RolledBack, exitRolledBack)
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	wantPlaces(t, legacy.kernel, legacyNat, "v")
	if legacy.held || legacy.edits > 0 {
		t.Error("the lock is still held, or something was edited")
	}
}

// What others write after the lock is let go is theirs; what they put back is left.
func TestWhatOthersWriteAfterTheLockStays(t *testing.T) {
	_, legacy, run := lockedWeb()
	legacy.after = func(k *kernel) { k.places[legacyNat] = []string{"theirs", "w"} }
	r, err := run(options(t))
	wantResult(t, r, err, Done, exitViolations)
	wantPlaces(t, legacy.kernel, legacyNat, "theirs", "w")
	if len(r.Left) != 1 || r.Left[0] != (Left{"id-w", "it came back right after its removal: put back by somebody; stop that first"}) ||
		!strings.Contains(strings.Join(r.Notes, "\n"), "meanwhile somebody changed x_tables of network namespace the starting one, which is left as it is: legacy ip nat PREROUTING: 1 gone, 2 new") {
		t.Errorf("%+v %q", r.Left, r.Notes)
	}
}

// What is otherwise than planned while the lock is held is our doing, also where
// others write right after it.
func TestWhatHappensUnderTheLockIsOurs(t *testing.T) {
	nft, legacy, run := lockedWeb()
	legacy.afterEdit = func(n int) error {
		if n == 1 {
			legacy.places[legacyNat] = nil // v went with w
		}
		return nil
	}
	legacy.after = func(k *kernel) { k.places[legacyNat] = []string{"v", "theirs"} }
	r, err := run(options(t))
	wantResult(t, r, err, RolledBack, exitRolledBack)
	wantPlaces(t, nft, nat, "a", "b", "c", "d")
	if got := slices.Sorted(slices.Values(legacy.places[legacyNat])); !slices.Equal(got, []string{"theirs", "v", "w"}) {
		t.Errorf("%q", got)
	}
}

// Others write beside the rules between two tries: the journal need not say so
// before each, but knows at last beside which rules they stood.
func TestTheJournalIsWrittenOnceWhereTheStepsStayTheSame(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	nft.staleTimes = 3
	nft.onWorld = func(n int) {
		if n > 2 && nft.edits == 0 {
			nft.places[nat] = append([]string{"x"}, nft.places[nat]...)
			nft.generation++
		}
	}
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, 0)
	if !slices.Contains(r.Notes, "others wrote to nf_tables of network namespace the starting one meanwhile: it took 4 tries") {
		t.Errorf("%q", r.Notes)
	}
	c := newest(t, o)
	intents := 0
	for _, e := range c.Entries {
		if e.Event == "intend" && e.Group == 0 {
			intents++
		}
	}
	groups, _ := c.Begun()
	if at := slices.Index(groups[0].Before[nat], "a"); intents != 1 || at < 1 {
		t.Errorf("%d intents, the journal's last world is %q", intents, groups[0].Before[nat])
	}
	b, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, b, err, Done, 0)
	if got := strings.TrimLeft(strings.Join(nft.places[nat], " "), "x "); got != "a b c d" {
		t.Errorf("%q", got)
	}
}

// An equal rule of another comes between two tries: the journal must count it.
func TestTheJournalIsWrittenAnewWhereAnEqualRuleCame(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	nft.staleTimes = 1
	nft.onWorld = func(n int) {
		if n == 3 {
			nft.places[nat] = []string{"a", "b", "c", "d", "b"}
			nft.generation++
		}
	}
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	wantResult(t, r, err, Done, 0)
	wantPlaces(t, nft, nat, "a", "d", "b")
	b, err := Rollback(context.Background(), "", resolveHere, []change.Editor{nft, legacy}, o)
	wantResult(t, b, err, Done, 0)
	wantPlaces(t, nft, nat, "a", "b", "c", "d", "b")
}
