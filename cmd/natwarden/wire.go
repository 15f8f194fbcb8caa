package main

import (
	"context"
	"slices"

	"github.com/natwarden/natwarden/audit"
	bpfedit "github.com/natwarden/natwarden/internal/bpf/edit"
	"github.com/natwarden/natwarden/internal/change"
	flowedit "github.com/natwarden/natwarden/internal/flow/edit"
	"github.com/natwarden/natwarden/internal/host"
	ipvsedit "github.com/natwarden/natwarden/internal/ipvs/edit"
	"github.com/natwarden/natwarden/internal/netns"
	nftedit "github.com/natwarden/natwarden/internal/nft/edit"
	"github.com/natwarden/natwarden/internal/proc"
	procedit "github.com/natwarden/natwarden/internal/proc/edit"
	routeedit "github.com/natwarden/natwarden/internal/route/edit"
	"github.com/natwarden/natwarden/internal/sock"
	tcedit "github.com/natwarden/natwarden/internal/tc/edit"
	xtedit "github.com/natwarden/natwarden/internal/xtables/edit"
)

// editors are all that can be changed, in the order of a plan.
func editors() []change.Editor {
	return []change.Editor{nftedit.New(), xtedit.New(""), flowedit.Editor{}, routeedit.New(), ipvsedit.New(), tcedit.New(), bpfedit.New(), procedit.New()}
}

// inputFor is what audit.Run needs to look at spaces through the sources of
// groups; no group is all.
func inputFor(spaces []audit.Space, labels map[netns.ID]string, groups []string) (audit.Input, error) {
	in := audit.Input{Spaces: spaces, Tool: tool()}
	groups = withNeeded(groups)
	for _, s := range sources() {
		if len(groups) == 0 || s.Group() == always || slices.Contains(groups, s.Group()) {
			in.Sources = append(in.Sources, s)
		} else {
			in.Skipped = append(in.Skipped, s.Name())
		}
	}
	if slices.ContainsFunc(in.Sources, func(s audit.Source) bool { return s.Group() == groupSockets }) {
		in.Join = append(in.Join, socketHolders(spaces, labels))
	}
	var err error
	if in.Host, err = thisHost(); err != nil {
		return in, err
	}
	in.Scope.Root = "/"
	in.Scope.PIDNamespace, err = pidNamespace()
	return in, err
}

// withNeeded adds the groups without which others would prove what they have not
// seen: a flow is explained by a rule, a relay is found by its listeners.
func withNeeded(groups []string) []string {
	out := slices.Clone(groups)
	for _, need := range []struct{ group, of string }{{groupRules, groupFlows}, {groupSockets, groupRelays}} {
		if slices.Contains(out, need.of) && !slices.Contains(out, need.group) {
			out = append(out, need.group)
		}
	}
	return out
}

// listeners reads the listeners of a namespace, for comparing before and after.
func listeners() func(context.Context) ([]host.Listener, error) {
	return func(ctx context.Context) ([]host.Listener, error) {
		found, _, err := sock.Read(ctx)
		if err != nil {
			return nil, err
		}
		space := host.Space{Listeners: found}
		// Who cannot be read is of no matter here: a listener that vanished is then
		// taken to be missed.
		_, err = proc.Attach(ctx, []*host.Space{&space}, nil)
		return space.Listeners, err
	}
}
