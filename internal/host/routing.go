package host

import "net/netip"

// RouteQuery asks where a packet goes.
type RouteQuery struct {
	Dst, Src     netip.Addr
	In           string // interface of arrival; "" for a packet of this host itself
	Mark         uint32
	Proto        Proto
	SPort, DPort uint16
}

// RouteKind is where a packet goes.
type RouteKind uint8

// The kinds of routes.
const (
	RouteUnknown     RouteKind = iota // it could not be asked
	RouteLocal                        // to this host
	RouteUnicast                      // on to another
	RouteBroadcast                    // to this host and others
	RouteMulticast                    // to whom has joined
	RouteUnreachable                  // nowhere, and the sender is told or not
)

// Route is the kernel's answer.
type Route struct {
	Kind RouteKind
	Out  string // interface; "" where not RouteUnicast
	// Via is the next hop of RouteUnicast; invalid where that is the destination itself.
	Via netip.Addr
	Why string // of RouteUnknown and RouteUnreachable
}

// Router says how a network namespace routes.
type Router interface {
	// Route gives the way of a packet.
	Route(RouteQuery) Route
	// TypeOf is the RTN_* of an address as "fib daddr type" sees it; false where it
	// is not known.
	TypeOf(netip.Addr) (uint32, bool)
	// First is the address of an interface that REDIRECT gives to packets for an
	// address like the other; invalid where it has none.
	First(iface string, like netip.Addr) netip.Addr
	// ByMark says whether a policy rule looks at the packet mark.
	ByMark() bool
}

// RouteReach is a Router that also knows how far its answers reach, so that
// one answer does for many packets.
type RouteReach interface {
	Router
	// Around gives addresses on both sides of one that no route and no policy rule
	// tells from it.
	Around(netip.Addr) (lo, hi netip.Addr)
	// OfTypes gives the addresses like the other whose TypeOf is one of the kinds,
	// of which bit n stands for RTN n; false where that is not known.
	OfTypes(kinds uint32, like netip.Addr) (Addrs, bool)
	// Asked says what policy rules look at besides destination and mark.
	Asked() RouteAsks
}

// RouteAsks is what policy rules look at.
type RouteAsks struct {
	Source, Proto bool
	Ports, SPorts []Ports  // the sets of ports, of destination and source
	Ifaces        []string // of arrival
}
