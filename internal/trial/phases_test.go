//go:build amd64

package trial

import (
	"slices"
	"time"

	"github.com/natwarden/natwarden/internal/lab/fault"
)

// phase is one verb on trial.
type phase struct {
	name string
	role string // of the process whose calls fail
	// before brings the host and the state directory to where the verb starts.
	before func(b *bench, w *world)
	args   []string
	// settle waits, after the verb, for what goes on without it.
	settle func(b *bench)
	usual  int  // the exit code without a fault
	stride int  // of the points, where not all are tried
	part   bool // what cannot be read is left as it is, and the exit code says so
	// may says how the host may stand after an exit code; nil is anyhow.
	may map[int][]string
}

// How the host may stand.
const (
	asBefore = "before"
	asAfter  = "after"
	asPartly = "partly" // some of it as before and some as after
)

var (
	before = []string{asBefore}
	after  = []string{asAfter}
)

// errors are the codes that say "nothing was changed".
func nothingChanged(as []string, more map[int][]string) map[int][]string {
	out := map[int][]string{1: as, 7: as, 64: as, 75: as, 77: as, 78: as}
	for code, as := range more {
		out[code] = as
	}
	return out
}

// phasesOf are the verbs on trial in a world.
func phasesOf(w *world) []*phase {
	keep := keeping(w.change)
	wait := append(slices.Clone(w.change), "--confirm-within", "1h", "--no-wait")
	// A change that waits is looked at for longer: a watchdog lives beside it.
	short := append(slices.Clone(w.change), "--confirm-within", "1s", "--no-wait")
	done := map[int][]string{0: after, 2: after, 3: after, 4: before}
	undone := map[int][]string{0: nil, 4: before} // sooner or later
	back := map[int][]string{0: before, 6: before, w.undone: before}
	kept := func(b *bench, w *world) { b.want(w.done, b.plain(keep...)) }
	waits := func(b *bench, w *world) { b.want(w.done, b.plain(wait...)) }
	return []*phase{
		{name: "remediate", stride: 4, role: fault.Main, args: keep, usual: w.done, part: true, may: nothingChanged(before, done)},
		{name: "remediate with a watchdog", stride: 12, role: fault.Main, args: wait, part: true, may: nothingChanged(before, done)},
		{name: "confirm", stride: 1, role: fault.Main, args: []string{"confirm"}, may: nothingChanged(after, map[int][]string{0: after}), before: waits},
		{name: "rollback", stride: 2, role: fault.Main, args: []string{"rollback", "--yes"}, usual: w.undone, may: nothingChanged(after, back), before: kept},
		{name: "rollback of a change that waits", stride: 6, role: fault.Main, args: []string{"rollback", "--yes"}, may: nothingChanged(after, back), before: waits},
		{name: "rollback --full", stride: 4, role: fault.Main, args: []string{"rollback", "--full", "--yes"},
			may: nothingChanged(after, map[int][]string{0: before, 4: after}), before: kept},
		{name: "recover", stride: 2, role: fault.Main, args: []string{"recover"}, may: map[int][]string{0: before, w.undone: before, 1: nil, 77: nil}, before: halfway},
		{name: "watchdog", stride: 8, role: "watchdog", args: short, may: nothingChanged(before, undone), settle: overdue},
	}
}

// keeping are the arguments of a change that needs no confirmation.
func keeping(change []string) []string { return append(slices.Clone(change), "--no-confirm") }

// want fails where a run that nothing disturbs does not end as it should.
func (b *bench) want(code int, r ran) {
	b.Helper()
	if r.code != code {
		b.Fatalf("want exit %d, got %s", code, r)
	}
}

// halfway leaves a change in the middle: killed at the call that the world says.
func halfway(b *bench, w *world) {
	b.Helper()
	decide := func(c fault.Call) fault.Action { return fault.Action{Kill: w.middle(c)} }
	if r := b.traced(decide, keeping(w.change)...); r.code != -1 {
		b.Fatalf("it was not killed: %s", r)
	}
}

// overdue waits until the time for the confirmation is over and the watchdog,
// if it lives, has done its work.
func overdue(b *bench) {
	time.Sleep(1100 * time.Millisecond)
	if b.last != nil {
		select {
		case <-b.last.Ended():
		case <-time.After(5 * time.Second):
		}
	}
}
