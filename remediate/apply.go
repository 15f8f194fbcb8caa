package remediate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

// editTime bounds one transaction. It is not ended by the user's Ctrl-C: a
// transaction is finished or not begun.
const editTime = 2 * time.Minute

// staleError says what changed since the plan was made.
type staleError struct {
	what    []string
	guarded bool // a transaction that was overtaken would be refused there, or nobody can overtake it
}

// Error names the first of what changed.
func (e *staleError) Error() string {
	return "the plan is stale: " + strings.Join(e.what[:min(len(e.what), 8)], "; ")
}

// Unwrap gives change.ErrStale, by which callers know to plan anew.
func (e *staleError) Unwrap() error { return change.ErrStale }

// compare reads every world of the plan again. Nobody changed it: the plan
// stands. Others changed what is not in it, nor near it: an ErrStale with what changed.
func (r *run) compare(ctx context.Context) error {
	for _, g := range r.planned.groups {
		world, err := r.read(ctx, g)
		if err != nil {
			return err
		}
		written := world.Generation != g.world.Generation
		if what := diff(g.world.Places, world.Places); len(what) > 0 {
			return &staleError{what, written || g.holder() != nil}
		}
		if written {
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
