package main

import (
	"context"
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/path"
)

// beyond finds the namespace that a packet comes to when it leaves the i-th by
// an interface: the other end of a veth, or one behind a bridge that has the
// address of the next hop on that end. Whatever stands between and may send it
// elsewhere (programs, rules of a bridge or about ARP, fixed neighbours) makes
// the answer no: then it is only known to which address it is sent.
func (l *looked) beyond(ctx context.Context, i int, h path.Hop) (path.Place, bool) {
	out := ifaceNamed(l.ifaces[i], h.Out)
	if !out.Up || l.meddled(i) || l.pinned(ctx, i, h) {
		return path.Place{}, false
	}
	var found []path.Place
	for _, end := range l.ends(i, out) {
		if at, ok := l.behind(ctx, i, end, h.To); ok {
			found = append(found, at)
		}
	}
	if len(found) != 1 {
		return path.Place{}, false
	}
	return found[0], true
}

// ends are the cables behind an interface: itself, or those that a bridge joins.
func (l *looked) ends(i int, out host.Iface) []host.Iface {
	switch {
	case out.Kind == "veth" && out.Master == 0:
		return []host.Iface{out}
	case out.Kind != "bridge" || out.Filtering || hasChains(l.spaces[i], host.Bridge):
		return nil
	}
	var ports []host.Iface
	for _, f := range l.ifaces[i] {
		if f.Master == out.Index && f.Up {
			ports = append(ports, f)
		}
	}
	return ports
}

// behind is where a cable leads, if the next hop's address is there.
func (l *looked) behind(ctx context.Context, i int, end host.Iface, to netip.Addr) (path.Place, bool) {
	j, in := netns.Peer(ctx, l.found, l.ifaces, i, end)
	if j < 0 || !in.Up || j != i && l.meddled(j) {
		return path.Place{}, false
	}
	if in.Master != 0 {
		at := slices.IndexFunc(l.ifaces[j], func(f host.Iface) bool { return f.Index == in.Master })
		if at < 0 || l.ifaces[j][at].Kind != "bridge" || l.ifaces[j][at].Filtering || !l.ifaces[j][at].Up {
			return path.Place{}, false
		}
		in = l.ifaces[j][at]
	}
	if r, err := l.routes(ctx, j); err != nil || !r.Holds(in.Name, to) {
		return path.Place{}, false
	}
	return path.Place{World: l.world(ctx, j), In: in.Name}, true
}

// meddled says whether something besides rules about packets may send what
// leaves or enters a namespace elsewhere.
func (l *looked) meddled(i int) bool {
	return hasChains(l.spaces[i], host.ARP) || slices.ContainsFunc(l.spaces[i].Redirects, func(r host.Redirect) bool {
		return (r.Mechanism == "tc" || r.Mechanism == "bpf") && r.Direction == "outbound" && !r.Info && (r.State == host.Active || r.State == host.Unknown)
	})
}

// hasChains says whether a base chain of the family does anything.
func hasChains(s *host.Space, family host.Family) bool {
	return slices.ContainsFunc(s.Tables, func(t *host.Table) bool {
		return t.Family == family && !t.Dormant && slices.ContainsFunc(t.Chains, func(c *host.Chain) bool {
			return c.Base != nil && (len(c.Rules) > 0 || c.Base.Policy == "drop")
		})
	})
}

// pinned says whether a fixed neighbour entry decides where the frame goes.
func (l *looked) pinned(ctx context.Context, i int, h path.Hop) bool {
	r, err := l.routes(ctx, i)
	if err != nil {
		return true
	}
	fixed, err := r.Pinned(h.Out, h.To)
	return fixed || err != nil
}

func ifaceNamed(list []host.Iface, name string) host.Iface {
	for _, f := range list {
		if f.Name == name {
			return f
		}
	}
	return host.Iface{}
}
