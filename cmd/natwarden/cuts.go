package main

import (
	"context"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/flow"
	flowedit "github.com/natwarden/natwarden/internal/flow/edit"
	"github.com/natwarden/natwarden/internal/host"
)

// cutter finds the flows that ride removed redirects: conntrack goes on
// translating what it knows when the rule is gone. rows are all redirects of
// the audit: a flow that one of them explains which stays is left alone, since
// the same connection would be translated the same way again.
func cutter(rows []host.Redirect) func(context.Context, []host.Redirect) ([]change.Step, error) {
	return func(ctx context.Context, removed []host.Redirect) ([]change.Step, error) {
		if len(removed) == 0 {
			return nil, nil
		}
		gone := riders(removed)
		kept := riders(staying(rows, removed))
		var rides []string // of each step, the redirect whose flow it cuts
		steps, err := flowedit.CutSteps(ctx, func(f flow.Flow) bool {
			id := riddenBy(gone, f)
			if id == "" || riddenBy(kept, f) != "" {
				return false
			}
			rides = append(rides, id)
			return true
		})
		for i := range steps {
			steps[i].IDs = []string{rides[i]}
			steps[i].Why = "the flow outlives its rule"
		}
		return steps, err
	}
}

// rider asks whether a flow rides a redirect.
type rider struct {
	id    string
	rides func(flow.Flow) bool
}

func riders(rows []host.Redirect) []rider {
	var out []rider
	for i := range rows {
		if r := &rows[i]; r.Match != nil {
			out = append(out, rider{r.ID, flow.Riding(r.Match, r.Targets, r.Kind)})
		}
	}
	return out
}

func riddenBy(riders []rider, f flow.Flow) string {
	for _, r := range riders {
		if r.rides(f) {
			return r.id
		}
	}
	return ""
}

// staying are the active redirects of the same namespace that are not removed.
func staying(rows, removed []host.Redirect) []host.Redirect {
	gone := make(map[string]bool, len(removed))
	for i := range removed {
		gone[removed[i].ID] = true
	}
	var out []host.Redirect
	for i := range rows {
		if r := &rows[i]; r.Netns == removed[0].Netns && r.State == host.Active && !r.Info && !gone[r.ID] {
			out = append(out, *r)
		}
	}
	return out
}
