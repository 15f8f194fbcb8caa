package suspect

import (
	"context"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/proc"
)

// Space is how to look again into a namespace: its identity, zero where it is
// not known, and the way in.
type Space struct {
	ID    netns.ID
	Enter func(ctx context.Context, work func(context.Context) error) error
}

// Look finds the processes behind the sockets of all spaces and adds what is
// odd: rows of mechanism "socket", notes at listeners. in are the ways into the
// spaces, in the same order; labels the names of the namespaces in the report.
func Look(ctx context.Context, spaces []*host.Space, in []Space, labels map[netns.ID]string) ([]host.Blind, error) {
	blind, err := proc.Attach(ctx, spaces, labels)
	if err != nil {
		return blind, err
	}
	o := ownerless{spaces: spaces, in: in, labels: labels}
	more, err := o.look(ctx)
	blind = append(blind, more...)
	if err != nil {
		return blind, err
	}
	for _, s := range spaces {
		note(s)
		s.AddRedirects(transparents(s)...)
		s.AddRedirects(packets(s)...)
	}
	return blind, nil
}
