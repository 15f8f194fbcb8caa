package xt

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// natTarget knows the targets that translate by connection tracking.
func natTarget(name string) act {
	switch name {
	case "DNAT":
		return dnatTarget
	case "SNAT":
		return snatTarget
	case "REDIRECT":
		return redirectTarget
	case "MASQUERADE":
		return masqueradeTarget
	case "NETMAP":
		return netmapTarget
	}
	return nil
}

// The flags of a NAT range: NF_NAT_RANGE_*.
const (
	natAddrs = 1 << iota
	natPorts
	natRandom
	natPersistent
	natFully
	natOffset
	natNetmap
)

// natRange is a NAT range of any revision.
type natRange struct {
	flags          uint32
	lo, hi         netip.Addr
	portLo, portHi uint16
	base           uint16
}

// natRange reads struct nf_nat_ipv4_multi_range_compat (r0 of IPv4),
// nf_nat_range (r1, and r0 of IPv6) or nf_nat_range2 (r2).
func (d *data) natRange() (r natRange) {
	switch {
	case d.rev == 0 && d.fam != host.IP6:
		if d.u32(0) != 1 {
			d.refuse()
		}
		return natRange{flags: d.u32(4), lo: d.v4(8), hi: d.v4(12), portLo: d.be16(16), portHi: d.be16(18)}
	case d.rev > 2:
		d.refuse()
		return r
	}
	r = natRange{flags: d.u32(0), lo: d.addr(4), hi: d.addr(20), portLo: d.be16(36), portHi: d.be16(38)}
	if d.rev == 2 {
		r.base = d.be16(40)
	}
	return r
}

// target is the destination, or source, that the range gives.
func (r natRange) target() (t host.Target) {
	if r.flags&natAddrs != 0 {
		t.Lo, t.Hi = r.lo, r.hi
	}
	if r.flags&natPorts != 0 {
		t.PortLo, t.PortHi = r.portLo, r.portHi
		t.ToZero = r.portLo == 0 && r.portHi == 0
	}
	if r.flags&natOffset != 0 {
		t.Base = r.base
	}
	return t
}

// doubt says what in the range is not understood.
func (r natRange) doubt() string {
	switch {
	case r.flags >= natNetmap<<1:
		return "nat flags " + hex(r.flags) + " are unknown"
	case r.flags&natAddrs != 0 && r.hi.Less(r.lo):
		return "its address range runs backwards"
	case r.flags&natPorts != 0 && r.portHi < r.portLo:
		return "its port range runs backwards"
	case r.flags&natPorts != 0 && r.portLo == 0 && r.portHi != 0:
		return "its port range starts at 0"
	}
	return ""
}

// effect is the translation in the model.
func (r natRange) effect(kind string, source bool) host.Effect {
	return host.Effect{Kind: kind, To: []host.Target{r.target()}, Source: source, Unknown: r.doubt(), Evidence: r.flagNames()}
}

func (r natRange) flagNames() (list []string) {
	for _, f := range []struct {
		bit  uint32
		name string
	}{{natRandom, "random"}, {natFully, "random-fully"}, {natPersistent, "persistent"}} {
		if r.flags&f.bit != 0 {
			list = append(list, f.name)
		}
	}
	return list
}

func (r natRange) options(o *options) *options {
	for _, f := range r.flagNames() {
		o.add(false, f, "")
	}
	return o
}

// natTo writes what iptables-save prints behind --to-destination.
func (r natRange) natTo() string {
	t := r.target()
	if t.Local() && t.PortLo == 0 && t.PortHi == 0 && !t.ToZero {
		return ""
	}
	if t.Lo.Is6() && t.Lo != t.Hi && t.PortLo != 0 { // "[LO-HI]:PORT", unlike the report's "[LO]-[HI]:PORT"
		ports := t
		ports.Lo, ports.Hi = netip.Addr{}, netip.Addr{}
		return "[" + t.Lo.String() + "-" + t.Hi.String() + "]" + ports.String()
	}
	return t.String()
}

func dnatTarget(d *data) Result {
	r := d.natRange()
	o := d.target().as(false, "to-destination", "", r.natTo())
	return r.options(o).does(host.Accept, r.effect("dnat", false))
}

func snatTarget(d *data) Result {
	r := d.natRange()
	o := d.target().as(false, "to-source", "", r.natTo())
	return r.options(o).does(host.Accept, r.effect("snat", true))
}

// redirectTarget: the port of this host; without one the port is kept. The
// kernel ignores addresses in the range.
func redirectTarget(d *data) Result {
	r := d.natRange()
	r.flags &^= natAddrs
	return r.options(r.toPorts(d)).does(host.Accept, r.effect("redirect", false))
}

func masqueradeTarget(d *data) Result {
	r := d.natRange()
	r.flags &^= natAddrs
	return r.options(r.toPorts(d)).does(host.Accept, r.effect("masquerade", true))
}

func (r natRange) toPorts(d *data) *options {
	o := d.target()
	if r.flags&natPorts != 0 {
		o.add(false, "to-ports", span(r.portLo, r.portHi, "-"))
	}
	return o
}

// netmapTarget keeps the host part of the address. In PREROUTING and OUTPUT it
// maps the destination, in POSTROUTING and INPUT the source: the target does
// not say in which it stands.
func netmapTarget(d *data) Result {
	r := d.natRange()
	r.flags &= natAddrs
	e := r.effect("netmap", false)
	e.To[0].Prefix = true
	return d.target().add(false, "to", netmapText(r)).does(host.Accept, e)
}

func netmapText(r natRange) string {
	bits, ok := maskBits(sameBits(r.lo, r.hi))
	if !ok {
		return r.lo.String() + "/" + sameBits(r.lo, r.hi).String()
	}
	return r.lo.String() + "/" + num(uint8(bits))
}

// sameBits is the mask of the bits in which two addresses agree.
func sameBits(a, b netip.Addr) netip.Addr {
	x, y := a.AsSlice(), b.AsSlice()
	for i := range x {
		x[i] = ^(x[i] ^ y[i])
	}
	mask, _ := netip.AddrFromSlice(x)
	return mask
}
