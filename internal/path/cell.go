package path

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// cell is what is known of the packets around the one that is followed: all of
// them take the same way. It begins as a whole class, and each test on the way
// takes away the packets for which it would have turned out otherwise.
type cell struct {
	to, from      span[netip.Addr]
	ports, sports span[host.Port]
	in            Arrivals
	at            int // the kind of the interface of the packet that is followed

	brief bool // only whether a redirect takes the packets is asked
	loose bool // any packet of a flow is meant, not its first one alone
	// events is true where something decided that changes without an editor's
	// hand: an entry of an ipset, an address, a route.
	events bool
	acted  []*host.Effect
}

// span is one side of a cell: a set without what was taken out of it.
type span[T host.Point[T]] struct {
	set host.Set[T]
	out []host.Range[T]
}

// one says whether the side is a single point.
func (s *span[T]) one() bool { return len(s.set) == 1 && s.set[0].Lo == s.set[0].Hi }

// meets says whether a point of the side is in the set.
func (s *span[T]) meets(o host.Set[T]) bool {
	switch {
	case s.set == nil:
		return !o.Empty()
	case o == nil:
		return len(s.set) > 0
	case len(s.set) > len(o):
		return overlap(o, s.set)
	}
	return overlap(s.set, o)
}

// overlap says whether two sets have a point in common; the first one is the shorter.
func overlap[T host.Point[T]](few, many host.Set[T]) bool {
	for _, r := range few {
		i, j := 0, len(many)
		for i < j {
			if m := (i + j) / 2; many[m].Hi.Compare(r.Lo) < 0 {
				i = m + 1
			} else {
				j = m
			}
		}
		if i < len(many) && many[i].Lo.Compare(r.Hi) <= 0 {
			return true
		}
	}
	return false
}

// keep leaves what is in the set, and drop what is not. Both leave the point
// that is followed.
func (s *span[T]) keep(o host.Set[T]) {
	if o != nil && !s.one() {
		s.set = s.set.Intersect(o)
	}
}

func (s *span[T]) drop(o host.Set[T]) {
	if !s.one() && s.meets(o) {
		s.out = append(s.out, o...)
	}
}

func (s *span[T]) rest(not func(host.Set[T]) host.Set[T]) host.Set[T] {
	if len(s.out) == 0 {
		return s.set
	}
	return s.set.Intersect(not(host.Of(s.out...)))
}

// class is the cell as a class of packets like the one that is followed.
func (c *cell) class(p *Packet) Class {
	return Class{Proto: p.Proto, Family: p.family(), Own: p.Own, In: c.in,
		To: c.to.rest(host.NotAddrs), From: c.from.rest(host.NotAddrs),
		Ports: c.ports.rest(host.NotPorts), SPorts: c.sports.rest(host.NotPorts)}
}

// An origin says how a field of the packet under way follows from the field
// with which it came in.
type origin uint8

const (
	asSent  origin = iota // it is that
	settled               // it is the same for the whole cell
	moved                 // a port: that plus a number
	ofIface               // an address: the first of the interface of arrival
	mapped0               // and above, an address: that below a prefix of another network, of this length less mapped0
)

// beforePorts gives the ports of arrival that became those of the set; any of
// a field that is settled says nothing about them.
func (k *walker) beforePorts(how origin, now uint16, set host.Ports) host.Ports {
	if how != moved || set == nil {
		return set
	}
	shift := int(now) - int(k.packet.Port)
	out := host.Nothing[host.Port]()
	for _, r := range set {
		lo, hi := max(int(r.Lo)-shift, 0), min(int(r.Hi)-shift, 65535)
		if lo <= hi {
			out = append(out, host.Range[host.Port]{Lo: host.Port(lo), Hi: host.Port(hi)})
		}
	}
	return host.WholePorts(out)
}

// beforeTo is beforePorts for destination addresses.
func (k *walker) beforeTo(how origin, now netip.Addr, set host.Addrs) host.Addrs {
	if how < mapped0 || set == nil {
		return set
	}
	length := int(how - mapped0)
	was, is := netip.PrefixFrom(k.packet.To, length), netip.PrefixFrom(now, length)
	net := is.Masked().Addr()
	inside := set.Intersect(host.Addrs{{Lo: net, Hi: host.LastAddr(is)}})
	out := host.Nothing[netip.Addr]()
	for _, r := range inside {
		out = append(out, host.Range[netip.Addr]{Lo: under(was, r.Lo), Hi: under(was, r.Hi)})
	}
	return out
}

// under is an address with the network of a prefix.
func under(p netip.Prefix, a netip.Addr) netip.Addr {
	return mapped(a, p.Masked().Addr(), host.LastAddr(p))
}

// cutPorts, cutTo, cutFrom and cutSPorts leave in the cell the packets of
// which the field is in the set, or is not: as it is for the one that is followed.
func (k *walker) cutPorts(how origin, now uint16, set host.Ports) {
	if k.cell == nil || how == settled {
		return
	}
	cut(&k.cell.ports, k.beforePorts(how, now, set), has(set, host.Port(now)))
}

func (k *walker) cutTo(how origin, now netip.Addr, set host.Addrs) {
	switch {
	case k.cell == nil || how == settled || foreign(set, now):
	case how == ofIface:
		k.cutIn(func(i *ifkind) bool { return has(set, i.like(now)) })
	default:
		cut(&k.cell.to, k.beforeTo(how, now, set), has(set, now))
	}
}

func (k *walker) cutFrom(s *state, set host.Addrs) {
	if k.cell != nil && s.fromHow == asSent && !foreign(set, s.src) {
		cut(&k.cell.from, set, has(set, s.src))
	}
}

func (k *walker) cutSPorts(s *state, set host.Ports) {
	if k.cell != nil && s.sportHow == asSent {
		cut(&k.cell.sports, set, has(set, host.Port(s.sport)))
	}
}

// foreign says whether a set is of another family than an address: no packet
// of the cell is in it.
func foreign(set host.Addrs, a netip.Addr) bool { return len(set) > 0 && set[0].Lo.Is4() != a.Is4() }

func cut[T host.Point[T]](side *span[T], set host.Set[T], inside bool) {
	if inside {
		side.keep(set)
	} else {
		side.drop(set)
	}
}

// cutIn leaves the interfaces for which something holds, or does not: as it is
// for that of the packet.
func (k *walker) cutIn(holds func(*ifkind) bool) {
	if k.cell == nil || k.packet.Own {
		return
	}
	want := holds(&k.kinds[k.cell.at])
	for n := range k.kinds {
		if k.cell.in.has(n) && holds(&k.kinds[n]) != want {
			k.cell.in &^= 1 << n
		}
	}
}

// pin leaves nothing in the cell but the packet itself and its interfaces.
func (k *walker) pin() {
	if k.cell == nil {
		return
	}
	p := &k.packet
	k.cell.to.keep(host.Addrs{{Lo: p.To, Hi: p.To}})
	k.cell.from.keep(host.Addrs{{Lo: p.From, Hi: p.From}})
	k.cell.ports.keep(host.Ports{{Lo: host.Port(p.Port), Hi: host.Port(p.Port)}})
	k.cell.sports.keep(host.Ports{{Lo: host.Port(p.SPort), Hi: host.Port(p.SPort)}})
}

// same says whether two tuples are equal, for the whole cell.
func (k *walker) same(a, b *tuple) bool {
	equal := a.src == b.src && a.dst == b.dst && a.sport == b.sport && a.dport == b.dport
	if k.cell == nil || a.toHow == b.toHow && a.portHow == b.portHow && a.fromHow == b.fromHow && a.sportHow == b.sportHow {
		return equal
	}
	switch {
	case equal:
		k.cutEqual(a, b)
		k.cutEqual(b, a)
	case a.dst != b.dst && a.toHow == b.toHow, a.dport != b.dport && a.portHow == b.portHow,
		a.src != b.src && a.fromHow == b.fromHow, a.sport != b.sport && a.sportHow == b.sportHow:
		// that difference is the same for all packets of the cell
	case a.dst != b.dst:
		k.apartTo(a, b)
	case a.dport != b.dport:
		k.apartPort(a, b)
	default:
		k.pin()
	}
	return equal
}

// cutEqual leaves the packets of which each field of a is as it is.
func (k *walker) cutEqual(a, b *tuple) {
	if a.toHow != b.toHow {
		k.cutTo(a.toHow, a.dst, single(a.dst))
	}
	if a.portHow != b.portHow {
		k.cutPorts(a.portHow, a.dport, host.PortsOf(a.dport, a.dport))
	}
	if a.fromHow != b.fromHow || a.sportHow != b.sportHow {
		k.pin()
	}
}

// apartTo leaves the packets of which the two destinations differ.
func (k *walker) apartTo(a, b *tuple) {
	switch settled {
	case a.toHow:
		k.cutTo(b.toHow, b.dst, single(a.dst))
	case b.toHow:
		k.cutTo(a.toHow, a.dst, single(b.dst))
	default:
		k.cutTo(a.toHow, a.dst, single(a.dst))
		k.cutTo(b.toHow, b.dst, single(b.dst))
	}
}

func (k *walker) apartPort(a, b *tuple) {
	switch settled {
	case a.portHow:
		k.cutPorts(b.portHow, b.dport, host.PortsOf(a.dport, a.dport))
	case b.portHow:
		k.cutPorts(a.portHow, a.dport, host.PortsOf(b.dport, b.dport))
	default:
		k.pin()
	}
}

func single(a netip.Addr) host.Addrs { return host.Addrs{{Lo: a, Hi: a}} }
