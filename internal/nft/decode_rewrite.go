package nft

import (
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// rewrite collects what the writes of one rule do to addresses and ports, so
// that "ip daddr set A tcp dport set P" becomes one destination. The numbers
// point into machine.values; 0 is none.
type rewrite struct {
	daddr, dport, saddr, sport int32
	toUnknown, fromUnknown     string
}

// writePayload is nft_payload with a source register: bytes of a header are
// replaced. Writes to other fields redirect nothing.
func (m *machine) writePayload(f *fields) {
	base, at, n := f.u32(2), f.u32(3), int(f.u32(4))
	target := value{kind: loaded, place: place(base), key: uint16(at), size: n}
	if base > uint32(innerHeader) || at > 0xffff || n == 0 || n > 64 {
		m.doubt("a write to a place that is unknown")
		return
	}
	m.written = append(m.written, target)
	m.each(func(s *state) {
		v := m.get(s, f.u32(5), n)
		if why := m.beyond(s, &target); why != "" {
			s.rewrite.toUnknown = why
			return
		}
		if base == uint32(linkHeader) {
			m.writeMAC(s, &target, &v)
			return
		}
		if base == uint32(networkHeader) && m.t.family == host.ARP {
			m.writeARP(s, &target, &v)
			return
		}
		if base == uint32(networkHeader) && m.family(s) == "" {
			m.writeEither(s, &target)
			return
		}
		var room [4]piece
		for _, p := range m.pieces(s, &target, room[:0]) {
			m.writePiece(s, p, &v, &target)
		}
	})
}

// beyond says why a write may reach an address or a port although it does not
// name the header in which that stands: headers follow each other.
func (m *machine) beyond(s *state, target *value) string {
	if m.t.family == host.ARP {
		return ""
	}
	end := int(target.key) + target.size
	switch target.place {
	case linkHeader:
		if end > 14 { // struct ethhdr
			return "it writes beyond the link header (" + m.describe(s, target) + ")"
		}
	case networkHeader:
		if end > 40 || m.family(s) == host.IP && end > 20 { // struct ipv6hdr, struct iphdr
			return "it writes beyond the network header (" + m.describe(s, target) + ")"
		}
	case innerHeader:
		return "it writes inside the payload (" + m.describe(s, target) + ")"
	}
	return ""
}

// writeMAC is a new destination of a frame. On a bridge, and on an interface that
// is one of its ports or sends, that leads it elsewhere, as ebtables' dnat does;
// before a forward it only prepares that.
func (m *machine) writeMAC(s *state, target, v *value) {
	if m.t.family != host.Bridge && m.t.family != host.Netdev || target.key >= 6 {
		return
	}
	e := host.Effect{Kind: "mac-redirect", Evidence: []string{"destination MAC from " + m.describe(s, v)}}
	if v.kind == constant && target.key == 0 && len(v.data) == 6 {
		e.Evidence = []string{"destination MAC " + writeValue(asMAC, v.data, false)}
	}
	s.branch.Effects = append(s.branch.Effects, e)
}

// writeARP is a new address in an ARP packet (RFC 826): whoever believes it
// sends elsewhere, or this host does, as by arptables' mangle.
func (m *machine) writeARP(s *state, target, v *value) {
	const addresses, end = 8, 28 // after the fixed part, for Ethernet and IPv4
	if int(target.key)+target.size <= addresses || target.key >= end || v.same(target, 0) {
		return
	}
	s.branch.Effects = append(s.branch.Effects, host.Effect{Kind: "mac-redirect",
		Evidence: []string{"address in ARP packets (" + m.describe(s, target) + ") from " + m.describe(s, v)}})
}

// writeEither is a write that does not say for which family: of one of the two
// it changes an address.
func (m *machine) writeEither(s *state, target *value) {
	var room [8]piece
	for _, p := range cut(ip6Spans, target, cut(ip4Spans, target, room[:0])) {
		if p.dim == dimSource || p.dim == dimAddress {
			s.rewrite.toUnknown = "it writes " + m.describe(s, target) + " of IPv4 and IPv6 packets alike"
		}
	}
}

func (m *machine) writePiece(s *state, p piece, v, target *value) {
	part := v.part(p.from, p.n)
	if part.same(target, p.from) {
		return
	}
	unknown := ""
	if !p.whole() {
		unknown = "it writes part of a field (" + m.describe(s, target) + ")"
	}
	kept := m.keep(part)
	switch p.dim {
	case dimAddress:
		s.rewrite.daddr, s.rewrite.toUnknown = kept, first(unknown, s.rewrite.toUnknown)
	case dimPort:
		s.rewrite.dport, s.rewrite.toUnknown = kept, first(unknown, s.rewrite.toUnknown)
	case dimSource:
		s.rewrite.saddr, s.rewrite.fromUnknown = kept, first(unknown, s.rewrite.fromUnknown)
	case dimSport:
		s.rewrite.sport, s.rewrite.fromUnknown = kept, first(unknown, s.rewrite.fromUnknown)
	}
}

// same says whether a value is what stands at its place already: nft loads,
// masks and writes back neighbours of the field that it changes.
func (v *value) same(target *value, from int) bool {
	if v.kind != loaded || v.place != target.place || int(v.key) != int(target.key)+from || v.swap {
		return false
	}
	for _, b := range v.mask {
		if b != 0xff {
			return false
		}
	}
	for _, b := range v.xor {
		if b != 0 {
			return false
		}
	}
	return true
}

// settle turns the writes of a state into effects.
func (m *machine) settle(s *state) {
	w := s.rewrite
	if m.t.family == host.Netdev && hasKind(s, "forward") {
		s.branch.Effects = slices.DeleteFunc(s.branch.Effects, func(e host.Effect) bool { return e.Kind == "mac-redirect" })
	}
	if w.daddr != 0 || w.dport != 0 || w.toUnknown != "" {
		s.branch.Effects = append(s.branch.Effects, m.rewriteEffect(s, w.daddr, w.dport, w.toUnknown, false))
	}
	if w.saddr != 0 || w.sport != 0 || w.fromUnknown != "" {
		s.branch.Effects = append(s.branch.Effects, m.rewriteEffect(s, w.saddr, w.sport, w.fromUnknown, true))
	}
}

func hasKind(s *state, kind string) bool {
	return slices.ContainsFunc(s.branch.Effects, func(e host.Effect) bool { return e.Kind == kind })
}

func (m *machine) rewriteEffect(s *state, addr, port int32, unknown string, source bool) host.Effect {
	e := host.Effect{Kind: "rewrite", Source: source}
	if unknown != "" {
		e.Unknown = unknown
		return e
	}
	var addrs, ports []value
	prefix := false
	if addr != 0 {
		if addrs = m.mappedPrefix(m.values[addr]); addrs != nil {
			prefix = true
		} else {
			addrs = []value{m.values[addr]}
		}
	}
	if port != 0 {
		ports = []value{m.values[port]}
	}
	m.aim(&e, addrs, ports)
	for i := range e.To {
		e.To[i].Prefix = prefix
	}
	return e
}

// mappedPrefix gives first and last address of a stateless netmap: an address
// of the packet whose host part is kept and whose network part is set.
func (m *machine) mappedPrefix(v value) []value {
	if v.kind != loaded || v.mask == nil || v.place != networkHeader {
		return nil
	}
	mask := make([]byte, len(v.mask))
	for i, b := range v.mask {
		mask[i] = ^b
	}
	length, ok := prefixLength(mask)
	addr, valid := netip.AddrFromSlice(v.xor)
	if !ok || !valid || netip.PrefixFrom(addr, length).Masked().Addr() != addr {
		return nil
	}
	return []value{constantOf(v.xor), constantOf(host.LastAddr(netip.PrefixFrom(addr, length)).AsSlice())}
}
