package path

import (
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// What a translation makes of the destinations of a whole cell.

// act notes that a redirect takes the packet.
func (r *run) act(e *host.Effect, s *state) {
	if r.cell != nil {
		r.cell.acted = append(r.cell.acted, e)
		s.took = &took{e, s.took}
	}
}

// idle says whether a translation comes too late to do anything.
func (r *run) idle(e *host.Effect, s *state) bool {
	switch e.Kind {
	case "dnat", "redirect", "netmap":
		return s.flow != newFlow || s.toDone
	}
	return false
}

// newTo says how the new destination address follows from the one of the
// packet, and leaves in the cell the packets of which the same can be said.
func (r *run) newTo(e *host.Effect, t host.Target, s *state) origin {
	switch {
	case r.cell == nil:
		return asSent
	case e.Kind == "redirect" && r.base.chain.Base.Hook != "output":
		return r.toIface(s)
	case e.Kind == "redirect":
		return settled
	case !t.Lo.IsValid():
		return s.toHow
	case t.Prefix && s.toHow != settled:
		return r.remapped(t, s)
	}
	return settled
}

// linkLocal are the addresses to which REDIRECT gives one of the same scope.
var linkLocal = host.AddrsOf(netip.MustParsePrefix("fe80::/10"))

// toIface is newTo of a translation to the first address of the interface: of
// link-local destinations, for the one interface of the packet.
func (r *run) toIface(s *state) origin {
	if s.dst.Is4() {
		return ofIface
	}
	r.cutTo(s.toHow, s.dst, linkLocal)
	if !s.dst.IsLinkLocalUnicast() {
		return ofIface
	}
	r.cutIn(func(i *ifkind) bool { return i.names[0] == s.in })
	return settled
}

// remapped is newTo of a translation that keeps the host part.
func (r *run) remapped(t host.Target, s *state) origin {
	p, ok := prefixOf(host.Range[netip.Addr]{Lo: t.Lo, Hi: t.Hi})
	if !ok || s.toHow != asSent || p.Addr().Is4() != s.dst.Is4() {
		r.pin()
		r.cutTo(s.toHow, s.dst, single(s.dst))
		return settled
	}
	if p.IsSingleIP() {
		return settled
	}
	block := netip.PrefixFrom(s.dst, p.Bits()).Masked()
	r.cutTo(asSent, s.dst, host.Addrs{{Lo: block.Addr(), Hi: host.LastAddr(block)}})
	return mapped0 + origin(p.Bits())
}

// newPort is newTo for the port.
func (r *run) newPort(t host.Target, s *state, random bool) origin {
	switch {
	case r.cell == nil:
		return asSent
	case t.ToZero:
		return settled
	case t.PortLo == 0 && t.PortHi == 0:
		return s.portHow
	case t.PortLo == t.PortHi || s.portHow == settled:
		return settled
	case t.Base != 0:
		return r.shifted(t, s)
	case random:
		return settled
	}
	r.cutPorts(s.portHow, s.dport, host.PortsOf(t.PortLo, t.PortHi))
	if s.dport >= t.PortLo && s.dport <= t.PortHi {
		return s.portHow
	}
	return settled
}

// shifted is newPort of a range that is laid over the ports from Base on,
// again and again: one laying of it is kept.
func (r *run) shifted(t host.Target, s *state) origin {
	size := int(t.PortHi-t.PortLo) + 1
	above := int(s.dport - t.Base)
	into := above % size
	lo, hi := int(s.dport)-into, int(s.dport)+min(size-1-into, 65535-above)
	r.cutPorts(s.portHow, s.dport, host.PortsOf(uint16(max(lo, 0)), uint16(min(hi, 65535))))
	return moved
}

// translated notes that the destination of the flow is what it is now, where
// that is another one: what changes nothing leaves also what was rewritten
// before. Of a cell nothing was rewritten in, it is asked only where a rule wants to know.
func (r *run) translated(s *state, before *tuple) {
	switch {
	case r.cell != nil && *before == s.orig:
		s.nat, s.natted = s.tuple, true
	case !r.same(&s.tuple, &s.orig):
		s.changed = true
	default:
		s.tuple = *before
	}
}

// toAnother says whether the flow was translated to another destination.
func (k *walker) toAnother(s *state) bool {
	if s.natted {
		return !k.same(&s.nat, &s.orig)
	}
	return s.changed
}

// readdressed says whether the destination is another than that of the connection.
func (k *walker) readdressed(s *state) bool {
	was, is := tuple{dst: s.orig.dst, toHow: s.orig.toHow}, tuple{dst: s.dst, toHow: s.toHow}
	return !k.same(&was, &is)
}

// routeOf asks for a route, once for all packets that no route tells apart,
// and leaves those in the cell. A source that the kernel refuses is told from
// others; one that it takes stands for all that it takes.
func (k *walker) routeOf(s *state, q host.RouteQuery) host.Route {
	if k.cell == nil {
		return k.world.Routes.Route(q)
	}
	if s.took == nil {
		k.event()
	}
	if k.reach == nil {
		k.pin()
		k.tests += perRoute
		return k.world.Routes.Route(q)
	}
	lo, hi := k.reach.Around(q.Dst)
	if q.Dst.IsMulticast() { // who joined a group stands in no route
		lo, hi = q.Dst, q.Dst
	}
	asks, key := k.asks, q
	if key.Dst = lo; q.Src.IsValid() {
		key.Src, _ = k.reach.Around(q.Src)
	}
	if !asks.Proto && len(asks.Ports)+len(asks.SPorts) == 0 {
		key.Proto = 0
	}
	if !among(asks.Ports, q.DPort) {
		key.DPort = 0
	}
	if !among(asks.SPorts, q.SPort) {
		key.SPort = 0
	}
	found, seen := k.known[key]
	if !seen {
		found = k.world.Routes.Route(q)
		k.known[key] = found
		k.tests += perRoute
	}
	k.cutRoute(s, &q, host.Addrs{{Lo: lo, Hi: hi}}, found.Kind)
	return found
}

func among(sets []host.Ports, port uint16) bool {
	return slices.ContainsFunc(sets, func(s host.Ports) bool { return has(s, host.Port(port)) })
}

func (k *walker) cutRoute(s *state, q *host.RouteQuery, around host.Addrs, kind host.RouteKind) {
	switch {
	case kind == host.RouteMulticast || kind == host.RouteBroadcast:
		k.cutTo(s.toHow, s.dst, single(s.dst))
	case s.toHow != ofIface || kind != host.RouteLocal:
		k.cutTo(s.toHow, s.dst, around)
	}
	refused := kind != host.RouteLocal && kind != host.RouteUnicast && !k.usual
	if (refused || k.asks.Source) && q.Src == s.src {
		lo, hi := k.reach.Around(s.src)
		k.cutFrom(s, host.Addrs{{Lo: lo, Hi: hi}})
	}
	for _, set := range k.asks.Ports {
		k.cutPorts(s.portHow, s.dport, set)
	}
	for _, set := range k.asks.SPorts {
		k.cutSPorts(s, set)
	}
	if refused || s.dst.IsLinkLocalUnicast() {
		k.cutIn(func(i *ifkind) bool { return i.names[0] == q.In })
	}
}

// Balancer begins the condition that a translation gives one of its destinations.
const Balancer = "the balancer"
