package main

import (
	"context"
	"slices"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/flow"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/path"
	"github.com/natwarden/natwarden/internal/relay"
	"github.com/natwarden/natwarden/internal/route"
)

// looked are the namespaces in scope as explain reads them, and the one that
// the packet comes to.
type looked struct {
	found   []netns.Space
	spaces  []*host.Space
	ifaces  [][]host.Iface
	routers []*route.Router // nil: not opened yet
	blind   []host.Blind

	entry  int
	space  *host.Space
	router *route.Router
}

func (l *looked) close() {
	for _, r := range l.routers {
		if r != nil {
			_ = r.Close()
		}
	}
}

// entrySpace is the place of the namespace that the packet comes to: the first
// that --netns names besides "all", else the one in which natwarden was started.
func entrySpace(s *spaces, named []string) (int, error) {
	label := ""
	for _, n := range named {
		if n != "all" {
			label = n
			break
		}
	}
	if label == "current" {
		label = ""
	}
	h, err := netns.OpenLabel(label)
	if err != nil {
		return 0, usage("natwarden explain --netns NAME", "opening network namespace %q: %w", label, err)
	}
	defer h.Close()
	id, err := h.ID()
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(s.found, func(f netns.Space) bool { return f.ID == id })
	if i < 0 {
		return 0, usage("natwarden explain --netns NAME", "network namespace %q is not among those in scope", label)
	}
	return i, nil
}

// lookAt reads the namespaces and opens a way to ask that of the packet for routes.
func lookAt(ctx context.Context, s *spaces, entry int) (*looked, error) {
	in, err := inputFor(s.toAudit(), s.labels(), nil)
	if err != nil {
		return nil, err
	}
	in.Sources = explainSources(in.Sources)
	in.Join = append([]audit.Join{s.reached()}, in.Join...)
	state, err := audit.Look(ctx, in)
	if err != nil {
		return nil, err
	}
	l := &looked{found: s.found, spaces: state.Spaces, routers: make([]*route.Router, len(s.found)),
		blind: append(slices.Clone(s.blind), state.Blind...), entry: entry, space: state.Spaces[entry]}
	for _, x := range state.Spaces {
		l.ifaces = append(l.ifaces, x.Ifaces)
	}
	l.router, err = l.routes(ctx, entry)
	return l, err
}

// explainSources are those that decide about a packet, with the text of every rule.
func explainSources(all []audit.Source) []audit.Source {
	var out []audit.Source
	for _, s := range all {
		switch s.(type) {
		case nfTables:
			s = nfTables{texts: true}
		case xTables:
			s = xTables{texts: true}
		case relay.Source, flow.Source, route.Source:
			continue // they change nothing about where a first packet goes, or the kernel is asked
		}
		out = append(out, s)
	}
	return out
}

// routes opens the way to ask a namespace for routes, once.
func (l *looked) routes(ctx context.Context, i int) (*route.Router, error) {
	if l.routers[i] != nil {
		return l.routers[i], nil
	}
	err := l.found[i].Handle.Do(ctx, func(ctx context.Context) (err error) {
		l.routers[i], err = route.OpenRouter(ctx)
		return err
	})
	return l.routers[i], err
}

// world is a namespace as a packet meets it.
func (l *looked) world(ctx context.Context, i int) path.World {
	s := l.spaces[i]
	w := path.World{Netns: s.Netns, Space: s, Sockets: !slices.Contains(s.Failed, "sockets") && !slices.Contains(s.Partial, "sockets"),
		Beyond: func(h path.Hop) (path.Place, bool) { return l.beyond(ctx, i, h) }}
	if l.routers[i] != nil {
		w.Routes = l.routers[i]
	}
	for _, name := range s.Failed {
		if name != "sockets" {
			w.Unread = append(w.Unread, name)
		}
	}
	return w
}

// explain fills in what was left open of the packet and follows it.
func (l *looked) explain(ctx context.Context, p path.Packet) (*explanation, error) {
	e := &explanation{blind: l.blind}
	if err := l.complete(&p, e); err != nil {
		return nil, err
	}
	e.packet = p
	e.answer = path.Follow(l.world(ctx, l.entry), p)
	return e, nil
}
