package nft

import (
	"github.com/natwarden/natwarden/internal/host"
)

// dim is what of a packet host.Match can state as a set.
type dim uint8

const (
	noDim    dim = iota
	dimProto     // one byte
	dimNextHeader
	dimSport // two
	dimPort
	dimSource // an address
	dimAddress
	dimNfproto // one byte, NFPROTO_*
	dimEther   // two, an ethertype
	dimIn      // an interface name
	dimOut
	dimInIndex // four, an interface index
	dimOutIndex
)

// span is where a dimension lies in a header, in bytes.
type span struct {
	dim   dim
	at, n int
}

var (
	ip4Spans  = []span{{dimProto, 9, 1}, {dimSource, 12, 4}, {dimAddress, 16, 4}}       // struct iphdr
	ip6Spans  = []span{{dimNextHeader, 6, 1}, {dimSource, 8, 16}, {dimAddress, 24, 16}} // struct ipv6hdr
	portSpans = []span{{dimSport, 0, 2}, {dimPort, 2, 2}}                               // TCP, UDP, SCTP, DCCP, UDP-Lite
	linkSpans = []span{{dimEther, 12, 2}}                                               // struct ethhdr
)

// piece says that n bytes of a value, from the byte from, are the bytes of
// its dimension from the byte at. The dimension is full bytes wide.
type piece struct {
	dim         dim
	from, at, n int
	full        int
}

func (p piece) whole() bool { return p.n == p.full }

// pieces are the dimensions that a value holds, up to four.
func (m *machine) pieces(s *state, v *value, room []piece) []piece {
	if v.swap && (v.place != fromMeta || v.size == 2) {
		return room // its bytes stand the other way round
	}
	switch v.place {
	case linkHeader:
		return cut(linkSpans, v, room)
	case networkHeader:
		switch m.family(s) {
		case host.IP:
			return cut(ip4Spans, v, room)
		case host.IP6:
			return cut(ip6Spans, v, room)
		}
	case transportHeader:
		if portsHere(s.branch.Match.Protos) {
			return cut(portSpans, v, room)
		}
	case fromMeta:
		return wholePiece(metaDim(v.key), v, room)
	case fromCT:
		return wholePiece(m.ctDim(s, v), v, room)
	}
	return room
}

// portsHere says whether the transport header starts with ports. Where the
// protocol is not restricted, rules about it mean ports ("th dport").
func portsHere(protos host.Protos) bool {
	for _, r := range protos {
		if int(r.Hi) > int(r.Lo)+3 {
			return true // a negated list
		}
		for p := r.Lo; ; p++ {
			if !p.HasPorts() {
				return false
			}
			if p == r.Hi {
				break
			}
		}
	}
	return true
}

func cut(spans []span, v *value, room []piece) []piece {
	start, end := int(v.key), int(v.key)+v.size
	for _, sp := range spans {
		lo, hi := max(start, sp.at), min(end, sp.at+sp.n)
		if lo < hi {
			room = append(room, piece{sp.dim, lo - start, lo - sp.at, hi - lo, sp.n})
		}
	}
	return room
}

func wholePiece(d dim, v *value, room []piece) []piece {
	if d == noDim {
		return room
	}
	return append(room, piece{d, 0, 0, v.size, v.size})
}

func metaDim(key uint16) dim {
	switch key {
	case metaProtocol:
		return dimEther
	case metaIif:
		return dimInIndex
	case metaOif:
		return dimOutIndex
	case metaIifname:
		return dimIn
	case metaOifname:
		return dimOut
	case metaNfproto:
		return dimNfproto
	case metaL4proto:
		return dimProto
	}
	return noDim
}

// ctDim states the original tuple, which is what a redirect takes: before any
// translation it is the packet itself.
func (m *machine) ctDim(s *state, v *value) dim {
	switch {
	case v.key == ctL3proto:
		return dimNfproto
	case v.key == ctProtocol:
		return dimProto
	case v.dir != dirOriginal || m.afterTranslation():
		return noDim
	}
	switch v.key {
	case ctSrcIP, ctSrcIP6:
		return m.familyDim(s, v, dimSource)
	case ctDstIP, ctDstIP6:
		return m.familyDim(s, v, dimAddress)
	case ctSrc, ctDst:
		if m.family(s) == "" {
			return noDim
		}
		v.size = map[host.Family]int{host.IP: 4, host.IP6: 16}[m.family(s)]
		if v.key == ctSrc {
			return dimSource
		}
		return dimAddress
	case ctProtoSrc:
		return dimSport
	case ctProtoDst:
		return dimPort
	}
	return noDim
}

// familyDim is d where the packets are of the family of the key, or may be:
// then the key itself asks for it.
func (m *machine) familyDim(s *state, v *value, d dim) dim {
	want := host.IP
	if v.key == ctSrcIP6 || v.key == ctDstIP6 {
		want = host.IP6
	}
	if f := m.family(s); f == "" {
		s.branch.Match.Family = want
	} else if f != want {
		return noDim
	}
	return d
}
