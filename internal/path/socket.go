package path

import (
	"cmp"
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// listener finds the socket that gets a packet for an address, as the kernel
// does: one bound to the address before one of the wildcard, one bound to the
// interface before one of any, one of IPv4 before one of both families
// (inet_lookup_listener, udp4_lib_lookup). It gives -1 where none listens.
// doubt is true where what is known of the sockets does not decide.
func (k *walker) listener(s *state, at destination) (best int, doubt bool) {
	best, top := -1, -1
	k.cutListeners(s, at)
	for _, i := range k.ports[at.port] {
		l := &k.world.Space.Listeners[i]
		score, unsure := k.score(l, s, at)
		doubt = doubt || unsure
		if score > top {
			best, top = i, score
		}
	}
	return best, doubt && best >= 0
}

// score says how well a socket fits; -1 where it does not.
func (k *walker) score(l *host.Listener, s *state, at destination) (score int, unsure bool) {
	if l.Port != at.port || !speaks(l.Proto, k.packet.Proto) {
		return -1, false
	}
	bound, err := netip.ParseAddr(l.Address)
	if err != nil {
		return -1, false
	}
	dual := false
	switch {
	case bound == at.addr || bound.Is4In6() && bound.Unmap() == at.addr:
		score = 100
	case !bound.IsUnspecified():
		return -1, false
	case bound.Is4() != at.addr.Is4():
		if bound.Is4() || l.V6Only {
			return -1, false
		}
		dual = true
	}
	if l.Device != "" {
		if l.Device != k.cameBy(s) {
			return -1, false
		}
		score += 10
	}
	if !dual && bound.Is4() {
		score++
	}
	return score, dual && l.Partial
}

// holder is a host.Router that knows which interface, besides the loopback, has
// an address.
type holder interface{ Holder(netip.Addr) string }

// cameBy is the interface on which sockets see a packet arrive. What the host
// sends to itself comes by the one that has its address, although it passes the
// loopback (ip_route_output_key_hash_rcu, ipv6_rcv).
func (k *walker) cameBy(s *state) string {
	if !k.packet.Own || s.in != loopback {
		return s.in
	}
	if h, ok := k.world.Routes.(holder); ok {
		return cmp.Or(h.Holder(s.dst), loopback)
	}
	return s.in
}

const loopback = "lo"

// unheard says why the sender, which is this host itself, does not hear what a
// socket or the kernel answers; "" where it does.
func (k *walker) unheard(s *state, l *host.Listener) string {
	h, ok := k.world.Routes.(holder)
	if !ok || !k.packet.Own || s.in != loopback || k.packet.Proto != host.TCP || !s.src.IsValid() {
		return ""
	}
	if l == nil && !s.src.Is4() {
		k.cutFrom(s, single(netip.IPv6Loopback()))
		k.cutTo(s.toHow, s.dst, single(netip.IPv6Loopback()))
	}
	from := cmp.Or(h.Holder(s.src), loopback)
	switch {
	case l != nil && l.Device != "" && l.Device != from:
		return "the socket is bound to " + l.Device + ", by which " + s.src.String() + " is not reached"
	case l == nil && s.src == netip.IPv6Loopback() && s.dst != s.src:
		return "no answer from " + s.dst.String() + " goes to the loopback address"
	}
	return ""
}

func speaks(socket string, proto host.Proto) bool {
	if socket == "mptcp" {
		return proto == host.TCP
	}
	return socket == proto.String()
}

// deliver ends the way at a socket of this host.
func (k *walker) deliver(s state) {
	if s.socket > 0 {
		k.handed(s, &k.world.Space.Listeners[s.socket-1])
		return
	}
	if !k.world.Sockets {
		k.unknown(s, "it comes to this host, and who listens was not read")
		return
	}
	at := destination{s.dst, s.dport, s.toHow, s.portHow}
	i, doubt := k.listener(&s, at)
	switch {
	case i < 0 && k.mute(&s):
		k.nobody(s, Dropped, "dropped: nothing listens on "+netip.AddrPortFrom(at.addr, at.port).String()+
			", and this host cannot refuse in the name of an address that is not its own")
	case i < 0 && k.unheard(&s, nil) != "":
		k.nobody(s, Dropped, "dropped: nothing listens, and "+k.unheard(&s, nil))
	case i < 0:
		k.nobody(s, Refused, "refused: nothing listens on "+netip.AddrPortFrom(at.addr, at.port).String())
	case doubt:
		l := &k.world.Space.Listeners[i]
		k.answered(s.guessing("the socket takes IPv4 as well"), l)
		k.nobody(s.guessing(negated("the socket takes IPv4 as well")), Refused, "refused: nothing listens")
	case k.packet.Proto == host.TCP && !k.world.Space.Listeners[i].Transparent && k.mute(&s):
		k.nobody(s, Dropped, "dropped: the socket on "+socketText(&k.world.Space.Listeners[i])+
			" is not transparent, and cannot answer in the name of an address that is not this host's")
	case k.unheard(&s, &k.world.Space.Listeners[i]) != "":
		k.nobody(s, Dropped, "dropped: "+k.unheard(&s, &k.world.Space.Listeners[i]))
	default:
		k.answered(s, &k.world.Space.Listeners[i])
	}
}

// handed is what TPROXY gave to a socket. Where the destination was translated
// after that, TPROXY does not find the connection of the next packet again.
func (k *walker) handed(s state, l *host.Listener) {
	reason := "a transparent socket of this host takes it by TPROXY"
	if s.handedAs != s.tuple && k.packet.Proto == host.TCP {
		reason += "; the connection breaks at the next packet, since a translation behind TPROXY keeps it from being found again"
	}
	k.end(s, Outcome{Kind: Local, AnsweredBy: socketText(l), Listener: l, Reason: reason})
}

// mute says that no answer can be sent: its source would be an IPv4 address
// that this host does not have (ip_route_output_key_hash_rcu).
func (k *walker) mute(s *state) bool {
	if !s.dst.Is4() || k.world.Routes == nil {
		return false
	}
	if k.cell != nil {
		if s.took == nil {
			k.event()
		}
		k.cutTo(s.toHow, s.dst, k.ofTypes(1<<typeLocal, s.dst))
	}
	kind, known := k.world.Routes.TypeOf(s.dst)
	return known && kind != typeLocal
}

const typeLocal = 2 // RTN_LOCAL

// cutListeners narrows the cell to the packets that find the same sockets.
func (k *walker) cutListeners(s *state, at destination) {
	if k.cell == nil {
		return
	}
	if len(k.ports[at.port]) == 0 {
		k.cutPorts(at.portHow, at.port, k.listened)
		return
	}
	k.cutPorts(at.portHow, at.port, host.PortsOf(at.port, at.port))
	for _, i := range k.ports[at.port] {
		l := &k.world.Space.Listeners[i]
		if !speaks(l.Proto, k.packet.Proto) {
			continue
		}
		if bound, err := netip.ParseAddr(l.Address); err == nil && !bound.IsUnspecified() {
			k.cutTo(at.toHow, at.addr, single(bound.Unmap()))
		}
		if l.Device != "" && k.packet.Own {
			k.cutTo(at.toHow, at.addr, single(at.addr))
			k.cutFrom(s, single(s.src))
		}
		if l.Device != "" && s.in == k.packet.In {
			k.cutIn(func(i *ifkind) bool { return i.names[0] == l.Device })
		}
	}
}

// listenedOn are the ports on which anything listens.
func listenedOn(s *host.Space) host.Ports {
	var out []host.Range[host.Port]
	for i := range s.Listeners {
		p := host.Port(s.Listeners[i].Port)
		out = append(out, host.Range[host.Port]{Lo: p, Hi: p})
	}
	return host.Of(out...)
}
