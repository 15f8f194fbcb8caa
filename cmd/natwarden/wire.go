package main

import (
	"context"
	"slices"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// sources are all that can be looked at, in the order of the report.
func sources() []audit.Source {
	return nil
}

// editors are all that can be changed, in the order of a plan.
func editors() []change.Editor {
	return nil
}

// sourceGroups are the names that --sources takes.
func sourceGroups() []string {
	return []string{"rules", "sockets"}
}

// inputFor is what audit.Run needs to look at spaces through the sources of
// groups; no group is all.
func inputFor(spaces []audit.Space, groups []string) (audit.Input, error) {
	in := audit.Input{Spaces: spaces, Tool: tool()}
	for _, s := range sources() {
		if len(groups) == 0 || slices.Contains(groups, s.Group()) {
			in.Sources = append(in.Sources, s)
		} else {
			in.Skipped = append(in.Skipped, s.Name())
		}
	}
	var err error
	if in.Host, err = thisHost(); err != nil {
		return in, err
	}
	in.Scope.Root = "/"
	in.Scope.PIDNamespace, err = pidNamespace()
	return in, err
}

// cuts finds the flows that ride removed rules.
func cuts() func(context.Context, []host.Redirect) ([]change.Step, error) { return nil }

// listeners reads the listeners of a namespace, for comparing.
func listeners() func(context.Context) ([]host.Listener, error) { return nil }
