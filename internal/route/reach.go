package route

import (
	"context"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// reach is where in the two address spaces something changes.
type reach struct {
	edges  [2][]netip.Addr // first addresses of what one route or rule may tell apart, sorted; of IPv4 and IPv6
	points bool            // the tables are too long to look at: every address is for itself
	asks   host.RouteAsks
}

// mostEdges bounds the routes that are taken apart: a router with the table of
// the whole Internet asks the kernel for each address instead.
const mostEdges = 100_000

// loadReach reads the main table, which nothing else needs, besides those that
// are known.
func (r *Router) loadReach() {
	c := r.conn
	r.reach = &reach{points: c.limit(context.Background()) != nil}
	for i, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		v := &view{}
		for _, table := range []uint32{unix.RT_TABLE_LOCAL, unix.RT_TABLE_MAIN, unix.RT_TABLE_DEFAULT} {
			if err := v.loadKind(c, family, 0, table); err != nil {
				r.reach.points = true
			}
		}
		r.reach.points = r.reach.points || len(v.routes) > mostEdges
		for _, x := range slices.Concat(v.routes, r.view.routes) {
			if x.family == family && x.dst.IsValid() {
				r.reach.add(i, x.dst)
			}
		}
	}
	r.reach.addRules(r.view.rules)
	for _, p := range []string{"0.0.0.0/8", "0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32"} { // martians and types that no route says (net/ipv4/route.c)
		r.reach.add(0, netip.MustParsePrefix(p))
	}
	for _, p := range []string{"::/128", "::1/128", "fe80::/10", "ff00::/8"} {
		r.reach.add(1, netip.MustParsePrefix(p))
	}
	for i := range r.reach.edges {
		slices.SortFunc(r.reach.edges[i], netip.Addr.Compare)
		r.reach.edges[i] = slices.Compact(r.reach.edges[i])
	}
}

func (x *reach) add(i int, p netip.Prefix) {
	x.edges[i] = append(x.edges[i], p.Masked().Addr())
	if after := host.LastAddr(p).Next(); after.IsValid() {
		x.edges[i] = append(x.edges[i], after)
	}
}

func (x *reach) addRules(rules []rule) {
	for _, r := range rules {
		i := 0
		if r.family == unix.AF_INET6 {
			i = 1
		}
		for _, p := range []netip.Prefix{r.src, r.dst} {
			if p.IsValid() {
				x.add(i, p)
			}
		}
		x.asks.Source = x.asks.Source || r.src.IsValid() && r.src.Bits() > 0
		x.asks.Proto = x.asks.Proto || r.proto != 0
		if r.dport != [2]uint16{} {
			x.asks.Ports = append(x.asks.Ports, host.PortsOf(r.dport[0], r.dport[1]))
		}
		if r.sport != [2]uint16{} {
			x.asks.SPorts = append(x.asks.SPorts, host.PortsOf(r.sport[0], r.sport[1]))
		}
		if r.iif != "" {
			x.asks.Ifaces = append(x.asks.Ifaces, r.iif)
		}
	}
}

func (r *Router) reached() *reach {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reach == nil {
		r.loadReach()
	}
	return r.reach
}

// Around gives addresses on both sides of one that no route and no policy rule
// tells from it.
func (r *Router) Around(a netip.Addr) (lo, hi netip.Addr) {
	x := r.reached()
	if x.points {
		return a, a
	}
	whole, edges := netip.MustParsePrefix("0.0.0.0/0"), x.edges[0]
	if !a.Is4() {
		whole, edges = netip.MustParsePrefix("::/0"), x.edges[1]
	}
	lo, hi = whole.Addr(), host.LastAddr(whole)
	i, found := slices.BinarySearchFunc(edges, a, netip.Addr.Compare)
	if found {
		i++
	}
	if i > 0 {
		lo = edges[i-1]
	}
	if i < len(edges) {
		hi = edges[i].Prev()
	}
	return lo, hi
}

// OfTypes gives the addresses whose TypeOf is one of the kinds. Of IPv6 only
// the types are known that stand in the local table.
func (r *Router) OfTypes(kinds uint32, like netip.Addr) (host.Addrs, bool) {
	if !like.Is4() && kinds&^(1<<unix.RTN_LOCAL|1<<unix.RTN_ANYCAST|1<<unix.RTN_MULTICAST) != 0 {
		return nil, false
	}
	others, some := host.Nothing[netip.Addr](), host.Nothing[netip.Addr]()
	for _, a := range r.typedEdges(like) {
		kind, known := r.TypeOf(a.Lo)
		if !known {
			continue
		}
		if kinds&(1<<kind) != 0 {
			some = append(some, a)
		} else {
			others = append(others, a)
		}
	}
	if kinds&(1<<unix.RTN_UNICAST) != 0 {
		return host.NotAddrs(host.Of(others...)), true
	}
	return host.Of(some...), true
}

// typedEdges are the pieces of the address space of which the local table, or
// the family itself, says a type.
func (r *Router) typedEdges(like netip.Addr) []host.Range[netip.Addr] {
	prefixes := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32")}
	if !like.Is4() {
		prefixes = []netip.Prefix{netip.MustParsePrefix("ff00::/8")}
	}
	x := reach{}
	for _, t := range r.types {
		if t.prefix.Addr().Is4() == like.Is4() {
			prefixes = append(prefixes, t.prefix)
		}
	}
	for _, p := range prefixes {
		x.add(0, p)
	}
	slices.SortFunc(x.edges[0], netip.Addr.Compare)
	edges := slices.Compact(x.edges[0])
	var out []host.Range[netip.Addr]
	for i, lo := range edges {
		hi := host.LastAddr(netip.PrefixFrom(lo, 0))
		if i+1 < len(edges) {
			hi = edges[i+1].Prev()
		}
		if slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(lo) }) {
			out = append(out, host.Range[netip.Addr]{Lo: lo, Hi: hi})
		}
	}
	return out
}

// Asked says what policy rules look at besides destination and mark.
func (r *Router) Asked() host.RouteAsks { return r.reached().asks }
