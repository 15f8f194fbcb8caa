package main

import (
	"context"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/remediate"
)

// spaces is which network namespaces a verb looks at and may change.
type spaces struct {
	found []netns.Space
	blind []host.Blind
	scope netns.Scope
}

// openSpaces finds the namespaces of --netns, or those of the given scope
// where the flag is absent. The caller closes them.
func (a *app) openSpaces(ctx context.Context, absent netns.Scope) (*spaces, error) {
	scope := absent
	if len(a.Netns) > 0 {
		var err error
		if scope, err = netns.ParseScope(a.Netns); err != nil {
			return nil, usage("--netns takes current, all, NAME, PATH or pid:N", "%w", err)
		}
	}
	s := &spaces{scope: scope}
	s.found, s.blind = netns.List(ctx, scope)
	return s, nil
}

func (s *spaces) close() { netns.Close(s.found) }

// toAudit gives all of them, to look at.
func (s *spaces) toAudit() []audit.Space {
	out := make([]audit.Space, 0, len(s.found))
	for _, f := range s.found {
		out = append(out, audit.Space{Label: f.Label, UID: f.UID, Enter: f.Handle.Do})
	}
	return out
}

// toChange gives those that a verb may change: all that --netns names, or else
// only the one in which natwarden was started.
func (s *spaces) toChange(named bool) []remediate.Space {
	var out []remediate.Space
	for _, f := range s.found {
		if named || f.Label == "" {
			out = append(out, remediate.Space{Label: f.Label, Handle: f.Handle})
		}
	}
	return out
}

// labels are the names of the namespaces by their identity, for naming where a
// process stands.
func (s *spaces) labels() map[netns.ID]string {
	out := make(map[netns.ID]string, len(s.found))
	for _, f := range s.found {
		out[f.ID] = f.Label
	}
	return out
}
