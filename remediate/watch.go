package remediate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/rollback"
)

const (
	// tick is how often a waiting change is looked at.
	tick = 200 * time.Millisecond
	// grace is what a waiting run leaves to the watchdog before it rolls back itself.
	grace = 2 * time.Second
	// stubborn is how long a watchdog tries when rolling back fails.
	stubborn = 10 * time.Minute
)

// Watch is the watchdog of one change: it returns when the change has ended,
// and undoes it when nobody confirmed it in time, or when the run that makes it died before it
// was done: that run holds the lock until then, and the kernel takes the lock from the dead.
// Watch holds no lock while it waits; several may watch one change.
func Watch(ctx context.Context, id string, resolve Resolve, editors []change.Editor, o Options) error {
	o = o.withDefaults()
	var until time.Time
	for {
		began := time.Now()
		due, ended, err := o.due(id)
		if ended {
			return nil
		}
		if due {
			_, err = Recover(ctx, resolve, editors, o)
		}
		var busy *rollback.BusyError
		if err == nil || errors.As(err, &busy) {
			until = time.Time{}
		} else if until.IsZero() {
			until = time.Now().Add(stubborn)
		} else if time.Now().After(until) {
			return fmt.Errorf("watching change %s: %w", id, err)
		}
		if err := rest(ctx, began); err != nil {
			return err
		}
	}
}

// due says whether a change is to be undone as soon as the lock is free, or has
// ended.
func (o Options) due(id string) (due, ended bool, err error) {
	c, left, err := o.stand(id)
	if err != nil {
		return false, false, err
	}
	switch c.Stage() {
	case rollback.Ended:
		return false, true, nil
	case rollback.Waiting:
		return left == 0, false, nil
	}
	return true, false, nil
}

// Watchable says why a change cannot be watched from here: it is another
// host's, or one of its network namespaces is not the one that was changed.
func Watchable(ctx context.Context, id string, resolve Resolve, o Options) error {
	c, _, err := o.withDefaults().stand(id)
	if err != nil {
		return err
	}
	for _, changed := range c.Plan.Origin.Netns {
		handle, err := resolve(ctx, changed.Label)
		if err != nil {
			return fmt.Errorf("opening network namespace %s: %w", name(changed.Label), err)
		}
		s := Space{changed.Label, handle}
		here, err := s.identity()
		s.close()
		if err != nil {
			return err
		}
		if !here.Same(changed) {
			return fmt.Errorf("network namespace %s is not the one that change %s changes", name(changed.Label), c.ID)
		}
	}
	return nil
}

// stand reads how a change stands, without the lock.
func (o Options) stand(id string) (*rollback.Change, time.Duration, error) {
	here, err := rollback.Here(o.Version, o.Now(), nil)
	if err != nil {
		return nil, 0, err
	}
	store, err := rollback.Open(o.StateDir)
	if err != nil {
		return nil, 0, err
	}
	defer store.Close()
	c, err := store.Load(id)
	if err != nil {
		return nil, 0, err
	}
	left, err := c.Left(here)
	return c, left, err
}

// Await waits until a pending change is confirmed or rolled back, and makes its
// result the final one: 0, 2 or 3 where it stays, 6 where it was rolled back. When ctx ends it
// stays pending: the watchdog goes on. Where the watchdog does not act in time, Await does.
func Await(ctx context.Context, r *Result, resolve Resolve, editors []change.Editor, o Options) (*Result, error) {
	o = o.withDefaults()
	var late time.Time // since when the watchdog should have acted
	for {
		began := time.Now()
		c, left, err := o.stand(r.Change)
		switch {
		case err == nil && c.Stage() == rollback.Ended:
			return r.concluded(c)
		case err == nil && left > 0:
			late = time.Time{}
		case late.IsZero():
			late = began
		case began.Sub(late) > grace+stubborn:
			return r.failPlan(exitHalf, fmt.Errorf("change %s was not confirmed, and could not be rolled back (%v): natwarden recover tries again", r.Change, err))
		case err == nil && began.Sub(late) > grace:
			_, _ = Recover(context.WithoutCancel(ctx), resolve, editors, o) // how that went the next look tells
		}
		if rest(ctx, began) != nil {
			return r, nil
		}
	}
}

// rest sleeps between two looks: a big plan is read more seldom, so that
// waiting costs next to nothing.
func rest(ctx context.Context, began time.Time) error {
	return sleep(ctx, max(tick, 20*time.Since(began)))
}

// concluded makes the result of a change that waited what became of it.
func (r *Result) concluded(c *rollback.Change) (*Result, error) {
	r.Until = nil
	if c.IsConfirmed() {
		r.Status, r.ExitCode = Done, r.remains()
		return r, nil
	}
	for i := range r.Steps {
		r.Steps[i].Done = false
	}
	if !c.IsRolledBack() {
		return r.failPlan(exitHalf, fmt.Errorf("change %s was not confirmed, and not all of it could be put back: natwarden rollback %s tries again", c.ID, c.ID))
	}
	return r.failPlan(exitExpired, fmt.Errorf("change %s was not confirmed and is rolled back", c.ID))
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
