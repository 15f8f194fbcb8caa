package remediate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// patience is how long a run tries again in all because others write faster
// than it reads and sends. Between two tries it rests, each time longer up to
// longestRest, so that whoever writes comes to an end.
const (
	patience    = 20 * time.Second
	longestRest = 50 * time.Millisecond
	restMore    = time.Millisecond
)

// patiently does again what others overtook, while the run has patience. What was
// planned and is gone does not come back by waiting.
func (r *run) patiently(ctx context.Context, do func() error) error {
	for n := range time.Duration(1 << 20) {
		began := time.Now()
		err := do()
		if !errors.Is(err, change.ErrStale) || errors.Is(err, change.ErrGone) {
			return err
		}
		rest := min(n*restMore, longestRest)
		if r.patience -= time.Since(began) + rest; r.patience < 0 || sleep(ctx, rest) != nil {
			return err
		}
	}
	return change.ErrStale
}

// read reads a group's world as it is now, however restless others are.
func (r *run) read(ctx context.Context, g *group) (world *change.World, err error) {
	err = r.patiently(ctx, func() error { world, err = g.read(ctx); return err })
	return world, err
}

// edit carries out one group in one transaction. Where others wrote meanwhile,
// nothing has happened, and its steps are made anew while there is patience. Where a
// lock keeps others away it is held from the last look before to the first after.
func (r *run) edit(ctx context.Context, index int) error {
	g := r.planned.groups[index]
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted before changing %s: %w", g.label(), err)
	}
	ctx, release, err := g.hold(ctx)
	if err != nil {
		return fmt.Errorf("changing %s: %w", g.label(), err)
	}
	defer release()
	tried := 0
	err = r.patiently(ctx, func() error { tried++; return r.attempt(ctx, index, tried) })
	if err != nil {
		return fmt.Errorf("changing %s (tried %d times): %w", g.label(), tried, err)
	}
	return r.done(index)
}

// attempt sends a group once: the first time as it was planned, unless others
// wrote before the lock was taken, then made anew.
func (r *run) attempt(ctx context.Context, index, number int) error {
	g := r.planned.groups[index]
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	if number > 1 || g.holder() != nil {
		if err := g.freshen(ctx); err != nil {
			return err
		}
	}
	if err := r.intend(index); err != nil {
		return err
	}
	err := g.send(ctx, g.steps, g.world.Generation)
	if !errors.Is(err, change.ErrStale) { // an error does not say that nothing happened
		r.edited = append(r.edited, index)
	}
	if err == nil {
		g.lookAfter(ctx)
	}
	return err
}

// intend writes down what is sent next, unless the journal says so already. Of
// the rules beside, which others add and take meanwhile, it need not know the last:
// what is missing and where it belongs is found without them.
func (r *run) intend(index int) error {
	g := r.planned.groups[index]
	now := g.record()
	entry := rollback.Entry{Event: rollback.Intend, Group: index, PlanFile: r.o.PlanFileSHA256}
	same := sameIntent(g.written, now)
	if g.intended && same {
		return nil
	}
	if !same {
		entry.Replaced = &now
	}
	if err := r.note(entry); err != nil {
		return err
	}
	if g.intended = true; !same {
		g.written = now
	}
	return nil
}

// done writes down that a group is carried out, and beside which rules its own
// stood, where those are no longer as the journal has them.
func (r *run) done(index int) error {
	g := r.planned.groups[index]
	entry := rollback.Entry{Event: rollback.DoneEvent, Group: index}
	if now := g.record(); !maps.EqualFunc(g.written.Before, now.Before, slices.Equal) {
		entry.Replaced = &now
	}
	return r.note(entry)
}

// sameIntent says whether two groups undo the same: the same steps, from places
// that hold their objects equally often.
func sameIntent(a, b rollback.Group) bool {
	if !sameSteps(a.Steps, b.Steps) || len(a.Before) != len(b.Before) {
		return false
	}
	for place, steps := range byPlace(a.Steps) {
		was, is := count(a.Before[place]), count(b.Before[place])
		for _, s := range steps {
			for _, o := range []*change.Object{s.Before, s.After} {
				if o != nil && was[o.Fingerprint] != is[o.Fingerprint] {
					return false
				}
			}
		}
	}
	return true
}

// holder is the group's editor where it has a lock; else nil.
func (g *group) holder() change.Holder {
	h, _ := g.editor.(change.Holder)
	return h
}

// hold takes the lock of the group's subsystem, where it has one.
func (g *group) hold(ctx context.Context) (held context.Context, release func(), err error) {
	if h := g.holder(); h != nil {
		return h.Hold(ctx)
	}
	return ctx, func() {}, nil
}

// lookAfter reads what the transaction made. It keeps that only where nobody
// else can have written since: under the lock, or where the kernel counted no other commit.
func (g *group) lookAfter(ctx context.Context) {
	world, err := g.read(ctx)
	ours := err == nil && (g.holder() != nil || g.world.Generation != 0 && world.Generation == g.world.Generation+1)
	if ours {
		g.after = world
	}
}

// freshen makes the steps of a group anew, unless a lock keeps the rules as they
// were planned from.
func (g *group) freshen(ctx context.Context) error {
	if g.holder() != nil {
		now, err := g.read(ctx)
		if err != nil || maps.EqualFunc(now.Places, g.world.Places, slices.Equal) {
			return err
		}
	}
	return g.again(ctx)
}

// again makes the steps of a group anew after others wrote. It must be the
// same steps, proven again: anything else is for the user to look at.
func (g *group) again(ctx context.Context) error {
	before := g.steps
	_, failed, err := g.make(ctx)
	if err != nil {
		return err
	}
	if !sameSteps(before, g.steps) {
		return fmt.Errorf("the steps are no longer the same: %w", change.ErrGone)
	}
	accepted := irreversible(before)
	for i, why := range failed {
		if !accepted[stepKey(g.steps[i])] {
			return fmt.Errorf("%s can no longer be put back: %s", where(g.steps[i]), why)
		}
		g.steps[i].Reversible = false
	}
	return nil
}

func sameStep(a, b change.Step) bool {
	return a.Action == b.Action && a.Object().Fingerprint == b.Object().Fingerprint
}

// stepKey is what a step does, wherever in its place and under whatever handle.
func stepKey(s change.Step) string {
	parts := []string{s.Action, placeOf(s.Object())}
	for _, o := range []*change.Object{s.Before, s.After} {
		if o != nil {
			parts = append(parts, o.Fingerprint)
		}
	}
	return key(parts...)
}

// sameSteps compares what steps do; others may have moved the rules about.
func sameSteps(a, b []change.Step) bool {
	keys := func(steps []change.Step) (out []string) {
		for _, s := range steps {
			out = append(out, stepKey(s))
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(keys(a), keys(b))
}

// irreversible are the steps, by what they do, of which the user accepted that
// they cannot be taken back.
func irreversible(steps []change.Step) map[string]bool {
	out := map[string]bool{}
	for _, s := range steps {
		k := stepKey(s)
		known, other := out[k]
		out[k] = !s.Reversible && (known || !other)
	}
	return out
}
