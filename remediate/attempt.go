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

// read reads a group's world as it is now, however restless others are.
func (r *run) read(ctx context.Context, g *group) (world *change.World, err error) {
	err = r.patience.try(ctx, func() error { world, err = g.read(ctx); return err })
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
	err = r.patience.try(ctx, func() error { tried++; return r.attempt(ctx, index, tried) })
	if err != nil {
		return fmt.Errorf("changing %s (tried %d times): %w", g.label(), tried, err)
	}
	if tried > 1 {
		r.planned.notes = append(r.planned.notes, fmt.Sprintf("others wrote to %s meanwhile: it took %d tries", g.label(), tried))
	}
	return r.done(index)
}

// attempt sends a group once: the first time as it was planned, unless others
// wrote before the lock was taken, then chased and made anew in turn.
func (r *run) attempt(ctx context.Context, index, number int) error {
	g := r.planned.groups[index]
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	if number%2 == 0 && g.chasable() && r.o.Exactly == nil {
		return r.chase(ctx, index)
	}
	if number > 1 || g.holder() != nil {
		if err := r.freshen(ctx, g); err != nil {
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

// freshen is that of the group. A plan that was reviewed is for the rules around
// the steps as well: where they are others by now it is not carried out.
func (r *run) freshen(ctx context.Context, g *group) error {
	if err := g.freshen(ctx); err != nil || r.o.Exactly == nil {
		return err
	}
	if err := r.o.Exactly.match(r.planned); err != nil {
		return fmt.Errorf("%s: %w", err.Error(), change.ErrGone)
	}
	return nil
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
	next := *g
	_, failed, err := next.make(ctx, func() bool { return next.sameObjects(g) })
	if err != nil {
		return err
	}
	if !sameSteps(g.steps, next.steps) {
		return fmt.Errorf("the steps are no longer the same: %w", change.ErrGone)
	}
	accepted := irreversible(g.steps)
	for i, why := range failed {
		if !accepted[stepKey(next.steps[i])] {
			return fmt.Errorf("%s can no longer be put back: %s", where(next.steps[i]), why)
		}
		next.steps[i].Reversible = false
	}
	*g = next
	return nil
}

// sameObjects says whether the steps are about the very objects that were proven
// before, by the numbers that the kernel gave them: the same bytes in the same tables
// need no other proof, and on a host where others write all the time there is no time for it.
func (g *group) sameObjects(proven *group) bool {
	if !g.numbered() || !proven.numbered() || len(g.steps) != len(proven.steps) {
		return false
	}
	return slices.EqualFunc(g.steps, proven.steps, func(a, b change.Step) bool {
		table := tableOf(a.Before)
		return stepKey(a) == stepKey(b) && a.Before.Handle == b.Before.Handle && a.Reversible && b.Reversible &&
			g.world.Tables[table] == proven.world.Tables[table]
	})
}

// numbered says whether every step deletes a rule that the kernel has numbered.
func (g *group) numbered() bool {
	return !slices.ContainsFunc(g.steps, func(s change.Step) bool {
		return !isRemoval(s) || s.Before.Handle == 0 || g.world.Tables[tableOf(s.Before)] == 0
	})
}

func tableOf(o *change.Object) string { return string(o.Family) + " " + o.Table }

// chasing is how long the rules are chased before they are looked at again.
const chasing = time.Second

// chasable says whether the group's steps can be chased.
func (g *group) chasable() bool {
	_, can := g.editor.(change.Chaser)
	sets := slices.ContainsFunc(g.steps, func(s change.Step) bool { return len(s.Object().Parts) > 0 })
	return can && g.intended && g.numbered() && !sets
}

// chase deletes the very rules that were proven, between two commits of others.
// What those changed beside them is not read.
func (r *run) chase(ctx context.Context, index int) error {
	g := r.planned.groups[index]
	soon, stop := context.WithTimeout(ctx, chasing)
	defer stop()
	err := g.space.within(soon, func(ctx context.Context) error {
		_, err := g.editor.(change.Chaser).Chase(ctx, g.world.Tables, g.steps)
		return err
	})
	switch {
	case errors.Is(err, change.ErrGone): // it may have been loaded anew: that is looked at next
		return fmt.Errorf("%s: %w", err.Error(), change.ErrStale)
	case errors.Is(err, change.ErrStale):
		return err
	}
	r.edited = append(r.edited, index)
	if err == nil {
		g.lookAfter(ctx)
	}
	return err
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
