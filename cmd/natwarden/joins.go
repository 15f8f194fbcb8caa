package main

import (
	"context"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/proc"
)

// socketHolders finds the processes that hold the listeners of all namespaces, in
// one walk of /proc. labels are the names of the namespaces in scope.
func socketHolders(labels map[netns.ID]string) audit.Join {
	return audit.Join{Name: "processes", Run: func(ctx context.Context, spaces []*host.Space) ([]host.Blind, error) {
		return proc.Attach(ctx, spaces, labels)
	}}
}

// reached finds out into which of the namespaces packets from outside come.
func (s *spaces) reached() audit.Join {
	return audit.Join{Name: "interfaces", Run: func(ctx context.Context, spaces []*host.Space) ([]host.Blind, error) {
		ifaces := make([][]host.Iface, len(spaces))
		for i := range spaces {
			ifaces[i] = spaces[i].Ifaces
		}
		for i, why := range netns.Reach(ctx, s.found, ifaces) {
			spaces[i].Unreached = why
		}
		return nil, ctx.Err()
	}}
}
