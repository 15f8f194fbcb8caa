package remediate

import (
	"context"
	"fmt"
	"strings"
)

// The guards that ask something else than the plan, as --force names them.
const (
	GuardWindow = "window" // no change window of the policy is open
)

// Gate is a guard that the caller looks after, for it asks something else than
// the plan: the clock, signatures. It is asked when the plan is made, again under the lock, and
// once more right before the first edit.
type Gate struct {
	Name string // as --force names it
	// Refuses gives the reasons for which nothing may be changed now; none: go on.
	Refuses func(ctx context.Context) []string
}

// gated are the reasons of the gates that --force does not name.
func (o Options) gated(ctx context.Context) (reasons []string) {
	for _, g := range o.Gates {
		if o.forces(g.Name) {
			continue
		}
		for _, why := range g.Refuses(ctx) {
			reasons = append(reasons, fmt.Sprintf("%s (--force %s)", why, g.Name))
		}
	}
	return reasons
}

// stillOpen asks the gates once more right before the first edit: a snapshot or
// a rehearsal may have taken longer than a change window is open.
func (o Options) stillOpen(ctx context.Context) error {
	if reasons := o.gated(ctx); len(reasons) > 0 {
		return fmt.Errorf("%w: %s", errGuarded, strings.Join(reasons, "; "))
	}
	return nil
}
