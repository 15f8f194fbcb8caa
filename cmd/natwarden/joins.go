package main

import (
	"context"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/doubt"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/suspect"
)

// socketHolders finds the processes that hold the sockets of all namespaces,
// in one walk of /proc, and what is odd about them. labels are the names of the
// namespaces in scope.
func socketHolders(spaces []audit.Space, labels map[netns.ID]string) audit.Join {
	ids := map[string]netns.ID{}
	for id, label := range labels {
		ids[label] = id
	}
	in := make([]suspect.Space, len(spaces))
	for i, s := range spaces {
		in[i] = suspect.Space{ID: ids[s.Label], Enter: s.Enter}
	}
	return audit.Join{Name: "processes", Run: func(ctx context.Context, found []*host.Space) ([]host.Blind, error) {
		return suspect.Look(ctx, found, in, labels)
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

// doubts are what could falsify the report of a host.
func doubts(ctx context.Context) []string {
	out := doubt.Notes()
	meddlers, err := bpf.NewCatalog().Meddlers(ctx)
	if err != nil {
		out = append(out, "the eBPF programs that could make the kernel lie could not be listed: "+err.Error())
	}
	for _, m := range meddlers {
		out = append(out, m+" and so make system calls lie")
	}
	return out
}
