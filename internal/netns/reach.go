package netns

import (
	"context"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// Reach says of each namespace why no packet from outside comes into it, "" of
// those that one may reach. ifaces are the interfaces of each space, nil where
// they were not read.
//
// A packet comes into the namespace in which natwarden was started, into one
// that holds hardware or the end of a tunnel that is up, and into one whose
// interface that is up has its other end (veth), or what it stands on (macvlan,
// ipvlan, vlan), up in a namespace into which one comes. Whatever cannot be
// found out is taken to let packets in.
func Reach(ctx context.Context, spaces []Space, ifaces [][]host.Iface) []string {
	g := &reach{spaces: spaces, ifaces: ifaces, open: make([]bool, len(spaces)), from: make([][]int, len(spaces))}
	for i := range spaces {
		g.look(ctx, i)
	}
	g.spread()
	out := make([]string, len(spaces))
	for i := range spaces {
		if !g.open[i] {
			out[i] = "no packet from outside reaches the network namespace: " + dead(ifaces[i])
		}
	}
	return out
}

// dead says why, for a namespace that is shut off.
func dead(list []host.Iface) string {
	if slices.ContainsFunc(list, func(i host.Iface) bool { return i.Up && !i.Loopback }) {
		return "none of its interfaces leads out"
	}
	return "none of its interfaces is up but the loopback"
}

// reach is the graph of namespaces and the cables between them.
type reach struct {
	spaces []Space
	ifaces [][]host.Iface
	open   []bool  // packets come in
	from   [][]int // namespaces from which a cable that is up leads here
}

// look finds out what leads into namespace i.
func (g *reach) look(ctx context.Context, i int) {
	g.open[i] = g.spaces[i].Label == "" || g.ifaces[i] == nil
	var cables []host.Iface
	for _, f := range g.ifaces[i] {
		switch {
		case g.open[i]:
			return
		case !f.Up || f.Loopback || closed(f.Kind):
		case !cable(f.Kind):
			g.open[i] = true // hardware, a tunnel, or what nobody here knows
		case f.OtherNetns >= 0:
			cables = append(cables, f)
		case !g.has(i, f.Other):
			g.open[i] = true
		}
	}
	if len(cables) > 0 && !g.open[i] {
		g.follow(ctx, i, cables)
	}
}

// closed tells interfaces that lead nowhere by themselves: what is enslaved
// to them is looked at itself.
func closed(kind string) bool {
	switch kind {
	case "dummy", "ifb", "nlmon", "vcan", "bridge", "bond", "team", "vrf", "hsr", "netdevsim":
		return true
	}
	return false
}

// cable tells interfaces that are one end of two, or stand on another.
func cable(kind string) bool {
	switch kind {
	case "veth", "netkit", "macvlan", "macvtap", "ipvlan", "ipvtap", "vlan", "macsec":
		return true
	}
	return false
}

func (g *reach) has(i, index int) bool {
	return slices.ContainsFunc(g.ifaces[i], func(f host.Iface) bool { return f.Index == index })
}

// follow finds the namespaces at the other ends. One that is in no list lets
// packets in, for all that is known.
func (g *reach) follow(ctx context.Context, i int, cables []host.Iface) {
	err := g.spaces[i].Handle.Do(ctx, func(context.Context) error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("opening a route socket: %w", err)
		}
		defer h.Close()
		if err := h.SetSocketTimeout(routePatience); err != nil {
			return fmt.Errorf("limiting the wait for the route socket: %w", err)
		}
		for _, f := range cables {
			g.connect(h, i, f)
		}
		return nil
	})
	if err != nil {
		g.open[i] = true
	}
}

// connect notes the namespace at the other end of one cable.
func (g *reach) connect(h *netlink.Handle, i int, f host.Iface) {
	for j := range g.spaces {
		if j == i || g.ifaces[j] != nil && !g.has(j, f.Other) {
			continue
		}
		nsid, err := nsidOf(h, g.spaces[j].Handle)
		if err != nil || nsid != f.OtherNetns {
			continue
		}
		if g.ifaces[j] == nil || g.isUp(j, f.Other) {
			g.from[i] = append(g.from[i], j)
		}
		return
	}
	g.open[i] = true
}

func (g *reach) isUp(j, index int) bool {
	return slices.ContainsFunc(g.ifaces[j], func(f host.Iface) bool { return f.Index == index && f.Up })
}

// spread lets packets in wherever a cable comes from where they come in, until
// nothing changes.
func (g *reach) spread() {
	for changed := true; changed; {
		changed = false
		for i := range g.from {
			if !g.open[i] && slices.ContainsFunc(g.from[i], func(j int) bool { return g.open[j] }) {
				g.open[i], changed = true, true
			}
		}
	}
}
