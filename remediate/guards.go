package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// The guards that refuse a plan before any change, as --force names them.
const (
	GuardLimit  = "limit"  // more redirects than the policy's limits allow
	GuardSSH    = "ssh"    // the caller's own way in: ssh, or another session over the network
	GuardRemote = "remote" // the connection by which the host is managed, or its policy is read
)

// Guards are the names that --force takes.
func Guards() []string {
	return []string{GuardLimit, GuardSSH, GuardRemote, GuardWindow, GuardApproval}
}

// Guarded is why a plan is refused before any change.
type Guarded struct {
	Guard    string `json:"guard"` // as --force names it
	Why      string `json:"why"`
	ExitCode int    `json:"exit_code"` // that of a run that is no dry run
}

// String is the reason with what goes on all the same.
func (g Guarded) String() string { return fmt.Sprintf("%s (--force %s)", g.Why, g.Guard) }

// A guard looks at a plan and gives the reasons for which it is refused.
type guard struct {
	name    string
	reasons func(context.Context, *plan) []string
}

func (o Options) guards() []guard {
	out := []guard{
		{GuardLimit, o.overLimit},
		{GuardSSH, o.cutLines(GuardSSH)},
		{GuardRemote, o.cutLines(GuardRemote)},
	}
	return append(out, o.gates()...)
}

// errGuarded is refused before any change; its text names the guards.
var errGuarded = errors.New("refused")

// guarded says why a plan is refused, but for the guards that --force names.
func (o Options) guarded(ctx context.Context, p *plan) []Guarded {
	if len(p.groups) == 0 {
		return nil
	}
	return o.ask(ctx, p, o.guards())
}

// ask asks those guards that --force does not name.
func (o Options) ask(ctx context.Context, p *plan, guards []guard) (out []Guarded) {
	for _, g := range guards {
		if o.forces(g.name) {
			continue
		}
		for _, why := range g.reasons(ctx, p) {
			out = append(out, Guarded{g.name, why, exitRefused})
		}
	}
	return out
}

func (o Options) forces(name string) bool { return slices.Contains(o.Force, name) }

// guardedError is guarded as an error.
func guardedError(reasons []Guarded) error {
	if len(reasons) == 0 {
		return nil
	}
	words := make([]string, len(reasons))
	for i, g := range reasons {
		words[i] = g.String()
	}
	return fmt.Errorf("%w: %s", errGuarded, strings.Join(words, "; "))
}

// refuseGuarded ends the run of a plan that a guard refuses.
func (r *run) refuseGuarded(ctx context.Context) error {
	r.result.Guards = r.o.guarded(ctx, r.planned)
	return guardedError(r.result.Guards)
}

// endedRows are the redirects that a plan ends, once each.
func (p *plan) endedRows() (out []*host.Redirect) {
	for _, g := range p.groups {
		ended := g.ended()
		for _, r := range g.rows {
			if ended[r.ID] && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}
