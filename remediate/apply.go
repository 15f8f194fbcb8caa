package remediate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// editTime bounds one transaction. It is not ended by the user's Ctrl-C: a
// transaction is finished or not begun.
const editTime = 2 * time.Minute

// editTries bounds how often one transaction is made anew because others write
// faster than it can be sent; between two tries it rests a moment, each time
// longer, so that whoever writes comes to an end.
const (
	editTries = 25
	editRest  = 2 * time.Millisecond
)

// staleError says what changed since the plan was made.
type staleError struct {
	what    []string
	guarded bool // the kernel counts commits there, and would refuse a transaction that was overtaken
}

// Error names the first of what changed.
func (e *staleError) Error() string {
	return "the plan is stale: " + strings.Join(e.what[:min(len(e.what), 8)], "; ")
}

// Unwrap gives change.ErrStale, by which callers know to plan anew.
func (e *staleError) Unwrap() error { return change.ErrStale }

// compare reads every world of the plan again. Nobody changed it: the plan
// stands. Others changed what is not in it, nor near it: an ErrStale with what changed.
func (p *plan) compare(ctx context.Context) error {
	for _, g := range p.groups {
		world, err := g.read(ctx)
		if err != nil {
			return err
		}
		if what := diff(g.world.Places, world.Places); len(what) > 0 {
			return &staleError{what, world.Generation != g.world.Generation}
		}
		if world.Generation != g.world.Generation {
			// The same rules, but perhaps loaded anew: their handles may belong to others now.
			return &staleError{[]string{g.label() + " was written to, though it reads the same"}, true}
		}
	}
	return nil
}

// read reads the group's world as it is now.
func (g *group) read(ctx context.Context) (world *change.World, err error) {
	err = g.space.within(ctx, func(ctx context.Context) error {
		world, err = g.editor.World(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", g.label(), err)
	}
	return world, nil
}

// edit carries out one group in one transaction. Where others wrote meanwhile,
// nothing has happened, and its steps are made anew a bounded number of times.
func (r *run) edit(ctx context.Context, index int) error {
	g := r.planned.groups[index]
	intent := rollback.Entry{Event: rollback.Intend, Group: index, PlanFile: r.o.PlanFileSHA256}
	for attempt := 1; ; attempt++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted before changing %s: %w", g.label(), err)
		}
		if err := r.note(intent); err != nil {
			return err
		}
		err := g.sendSoon(ctx)
		stale := errors.Is(err, change.ErrStale)
		if !stale { // an error does not say that nothing happened
			r.edited = append(r.edited, index)
		}
		if err == nil {
			return r.note(rollback.Entry{Event: rollback.DoneEvent, Group: index})
		}
		if stale && attempt < editTries {
			if err = sleep(ctx, time.Duration(attempt-1)*editRest); err == nil {
				err = g.again(ctx)
			}
		}
		if err != nil {
			return fmt.Errorf("changing %s after %d tries: %w", g.label(), attempt, err)
		}
		replaced := g.record()
		intent.Replaced = &replaced
	}
}

// sendSoon sends the steps of a group. Where others wrote meanwhile, and all
// looks again as it was planned for and written down, they are sent again at
// once: on a host where somebody writes all the time that is soon enough.
func (g *group) sendSoon(ctx context.Context) error {
	err := g.send(ctx, g.steps, g.world.Generation)
	for range editTries {
		if !errors.Is(err, change.ErrStale) || ctx.Err() != nil {
			return err
		}
		now, errRead := g.read(ctx)
		if errRead != nil || now.Generation == g.world.Generation || !maps.EqualFunc(now.Places, g.world.Places, slices.Equal) {
			return err
		}
		g.world = now
		err = g.send(ctx, g.steps, g.world.Generation)
	}
	return err
}

// send gives steps to the editor as one transaction. Steps that it did not
// carry out are an error.
func (g *group) send(ctx context.Context, steps []change.Step, generation uint32) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), editTime)
	defer stop()
	return g.space.within(ctx, func(ctx context.Context) error {
		outcome, err := g.editor.Edit(ctx, generation, steps)
		if err != nil {
			return err
		}
		for i, why := range outcome.Undone {
			return fmt.Errorf("%s was not carried out: %s", where(steps[i]), why)
		}
		return nil
	})
}

// again makes the steps of a group anew after others wrote. It must be the
// same steps, proven again: anything else is for the user to look at.
func (g *group) again(ctx context.Context) error {
	before := g.steps
	_, failed, err := g.make(ctx)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(before, g.steps, sameStep) {
		return fmt.Errorf("%w: the steps are no longer the same", change.ErrStale)
	}
	for i, why := range failed {
		if before[i].Reversible {
			return fmt.Errorf("%s can no longer be put back: %s", where(g.steps[i]), why)
		}
		g.steps[i].Reversible = false
	}
	return nil
}

func sameStep(a, b change.Step) bool {
	return a.Action == b.Action && a.Object().Fingerprint == b.Object().Fingerprint
}

// cut cuts the flows that ride what was removed, as they are now.
func (r *run) cut(ctx context.Context, c *spaceCuts) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted before cutting flows: %w", err)
	}
	if err := c.find(ctx, r.o); err != nil {
		return err
	}
	for _, e := range r.editors {
		if err := r.cutBy(ctx, c, e); err != nil {
			return err
		}
	}
	if i := slices.Index(c.done, false); i >= 0 {
		return fmt.Errorf("nothing here can cut %s", where(c.steps[i]))
	}
	return nil
}

// cutBy has one editor cut the flows that are its own.
func (r *run) cutBy(ctx context.Context, c *spaceCuts, e change.Editor) error {
	var steps []change.Step
	own := func(s change.Step) bool { return s.Object().Backend == e.Backend() }
	for _, s := range c.steps {
		if own(s) {
			steps = append(steps, s)
		}
	}
	if len(steps) == 0 {
		return nil
	}
	g := &group{space: c.space, editor: e}
	if err := g.send(ctx, steps, 0); err != nil {
		return fmt.Errorf("cutting flows in network namespace %s: %w", name(c.space.Label), err)
	}
	for i, s := range c.steps {
		c.done[i] = c.done[i] || own(s)
	}
	return r.note(rollback.Entry{Event: rollback.CutEvent, Group: -1, Cut: steps})
}
