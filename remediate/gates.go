package remediate

import (
	"context"
	"errors"

	"github.com/natwarden/natwarden/rollback"
)

// The guards that ask something else than the plan, as --force names them.
const (
	GuardWindow   = "window"   // no change window of the policy is open
	GuardApproval = "approval" // fewer people signed the plan than the policy asks for
)

// Gate is a guard that the caller looks after, for it asks something else than
// the plan: the clock, signatures. It is asked when the plan is made, again under the lock, and
// once more right before the first edit.
type Gate struct {
	Name string // as --force names it
	// Refuses gives the reasons for which nothing may be changed now; none: go on.
	Refuses func(ctx context.Context) []string
}

// gates are the gates as guards.
func (o Options) gates() (out []guard) {
	for _, g := range o.Gates {
		out = append(out, guard{g.Name, func(ctx context.Context, _ *plan) []string { return g.Refuses(ctx) }})
	}
	return out
}

// stillOpen asks the gates once more: under the lock, and right before the first
// edit, for a snapshot or a rehearsal may have taken longer than a change window is open.
func (r *run) stillOpen(ctx context.Context) error {
	r.result.Guards = r.o.ask(ctx, r.planned, r.o.gates())
	return guardedError(r.result.Guards)
}

// Tried gives the change that carried out a plan file, by its SHA-256, or that
// began to; "" for none. An approval is for one try. It takes no lock and changes nothing.
func Tried(stateDir, planFile string) (change string, err error) {
	store, err := rollback.Open(stateDir)
	if errors.Is(err, rollback.ErrNoState) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer store.Close()
	return store.Tried(planFile)
}
