package edit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// Backend is the name of the subsystem.
const Backend = "nf_tables"

// editor works in the network namespace of the calling thread. It keeps what it
// read there as long as nobody commits.
type editor struct{ keeper *nft.Keeper }

// New gives the editor of nf_tables.
func New() change.Editor { return editor{&nft.Keeper{}} }

// Backend is the name of the subsystem.
func (editor) Backend() string { return Backend }

// attempts bounds how often a batch is made anew because somebody else
// committed between the reading and the sending.
const attempts = 8

// Check has the kernel validate, and throw away, one batch of the steps and
// then of their inverses: it proves that they can be applied and taken back.
func (e editor) Check(ctx context.Context, steps []change.Step) (map[int]string, error) {
	if d := e.keeper.Last(); d != nil {
		failed, err := check(ctx, viewOf(d), steps)
		if !errors.Is(err, change.ErrStale) {
			return failed, err
		}
	}
	for range attempts {
		failed, err := e.check(ctx, steps)
		if !errors.Is(err, change.ErrStale) {
			return failed, err
		}
	}
	return nil, fmt.Errorf("checking %d steps %d times: %w", len(steps), attempts, change.ErrStale)
}

func (e editor) check(ctx context.Context, steps []change.Step) (map[int]string, error) {
	v, err := e.read(ctx)
	if err != nil {
		return nil, err
	}
	failed, err := check(ctx, v, steps)
	if errors.Is(err, errNothing) {
		err = nil
	}
	return failed, err
}

// errNothing says that no message was sent, so that nothing tells whether what
// was read still stands.
var errNothing = fmt.Errorf("there was nothing to ask the kernel: %w", change.ErrStale)

// check is guarded by the generation of what was read.
func check(ctx context.Context, v *view, steps []change.Step) (map[int]string, error) {
	b := newBatch(ctx, v)
	b.proof = true
	if err := b.apply(numbered(steps)); err != nil {
		return nil, err
	}
	if err := b.apply(inverted(steps)); err != nil {
		return nil, err
	}
	if len(b.messages) == 0 {
		return b.undone, errNothing
	}
	if !nft.Loaded() {
		return b.undone, nil // there is nothing yet, and to ask would load a module
	}
	a, err := b.send(ctx, false)
	if err != nil {
		return nil, err
	}
	failed := b.undone
	for i, why := range a.failed {
		if failed[i] == "" {
			failed[i] = why + advice(why, steps[i])
		}
	}
	return failed, nil
}

// advice says what the kernel means by a word as poor as EINVAL.
func advice(why string, s change.Step) string {
	if why != unix.EINVAL.Error() || s.After == nil {
		return ""
	}
	return ": what it names (a set, a map, a chain) or where it stands is no longer of the same kind"
}

// Edit applies steps in one transaction, which the kernel takes whole or not
// at all. A step whose object is gone already (or there already) is left out
// and named in Undone, unless a generation guards: then that is ErrStale.
func (e editor) Edit(ctx context.Context, generation uint32, steps []change.Step) (change.Outcome, error) {
	for range attempts {
		out, err := e.edit(ctx, generation, steps)
		if generation != 0 || !errors.Is(err, change.ErrStale) {
			return out, err
		}
	}
	return change.Outcome{}, fmt.Errorf("applying %d steps to nf_tables: the rules kept changing; nothing was changed; try again", len(steps))
}

func (e editor) edit(ctx context.Context, generation uint32, steps []change.Step) (change.Outcome, error) {
	v, err := e.readOf(ctx, generation)
	if err != nil {
		return change.Outcome{}, err
	}
	if generation != 0 && v.generation != generation {
		return change.Outcome{}, fmt.Errorf("applying to nf_tables: generation %d was planned for, %d is there: %w", generation, v.generation, change.ErrStale)
	}
	b := newBatch(ctx, v)
	if err := b.apply(numbered(steps)); err != nil {
		return change.Outcome{}, err
	}
	if generation != 0 && len(b.undone) > 0 {
		return change.Outcome{}, fmt.Errorf("applying to nf_tables: %s: %w", first(b.undone), change.ErrStale)
	}
	a, err := b.send(ctx, true)
	if err != nil {
		return change.Outcome{}, err
	}
	if len(a.failed) > 0 {
		return change.Outcome{}, refused(steps, a.failed)
	}
	return change.Outcome{Notes: append(b.notes, a.notes...), Undone: b.undone}, nil
}

// refused says which steps the kernel did not take.
func refused(steps []change.Step, failed map[int]string) error {
	i := lowest(failed)
	more := ""
	if len(failed) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(failed)-1)
	}
	return fmt.Errorf("applying to nf_tables: the kernel refused to %s %s: %s%s; nothing was changed",
		steps[i].Action, objectName(steps[i].Object()), failed[i], more)
}

func lowest(m map[int]string) int {
	low := -1
	for i := range m {
		if low < 0 || i < low {
			low = i
		}
	}
	return low
}

func first(m map[int]string) string { return m[lowest(m)] }

// step is a step with its number in the list that the caller gave.
type step struct {
	change.Step
	number int
}

func numbered(steps []change.Step) []step {
	out := make([]step, len(steps))
	for i, s := range steps {
		out[i] = step{s, i}
	}
	return out
}

// inverted are the steps of change.Invert with the numbers of those they undo.
func inverted(steps []change.Step) []step {
	out := make([]step, 0, len(steps))
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Reversible {
			out = append(out, step{steps[i].Inverse(), i})
		}
	}
	return out
}

// objectName is how messages call an object.
func objectName(o *change.Object) string {
	if o == nil {
		return "nothing"
	}
	if o.Kind == change.KindTable {
		return fmt.Sprintf("table %s %s", o.Family, o.Table)
	}
	if o.Kind == kindElement {
		return fmt.Sprintf("an element of set %s %s %s", o.Family, o.Table, o.Set)
	}
	if o.Text != "" {
		return fmt.Sprintf("rule %q of %s %s %s", o.Text, o.Family, o.Table, o.Chain)
	}
	return fmt.Sprintf("a rule of %s %s %s (handle %d)", o.Family, o.Table, o.Chain, o.Handle)
}
