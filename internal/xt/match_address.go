package xt

import (
	"github.com/natwarden/natwarden/internal/host"
)

// addressMatch knows the matches that look at addresses and interfaces.
func addressMatch(name string) decode {
	switch name {
	case "set":
		return setMatch
	case "addrtype":
		return addrtypeMatch
	case "iprange":
		return iprangeMatch
	case "mac":
		return macMatch
	case "physdev":
		return physdevMatch
	case "pkttype":
		return pkttypeMatch
	case "devgroup":
		return devgroupMatch
	case "realm":
		return realmMatch
	case "rpfilter":
		return rpfilterMatch
	}
	return nil
}

// addrtypeMatch reads struct xt_addrtype_info (r0) and xt_addrtype_info_v1.
func addrtypeMatch(d *data) ([]host.Match, string) {
	source, dest := d.u16(0), d.u16(2)
	var notSource, notDest bool
	var flags uint32
	if d.rev == 0 {
		notSource, notDest = d.u32(4) != 0, d.u32(8) != 0
	} else {
		flags = d.u32(4)
		notSource, notDest = flags&1 != 0, flags&2 != 0
	}
	o := d.match()
	if source != 0 {
		o.add(notSource, "src-type", addrTypes(source))
	}
	if dest != 0 {
		o.add(notDest, "dst-type", addrTypes(dest))
	}
	o.flag(flags&4 != 0, "limit-iface-in").flag(flags&8 != 0, "limit-iface-out")
	switch {
	case flags&12 != 0:
		return o.only()
	case source == 0:
		return o.computed(typeTest(host.FieldDestType, dest, notDest))
	case dest == 0:
		return o.computed(typeTest(host.FieldSourceType, source, notSource))
	}
	m := host.Match{Tests: []host.Test{typeTest(host.FieldSourceType, source, notSource)}}
	dst := typeTest(host.FieldDestType, dest, notDest)
	dst.Words = o.words.String()
	m.Expect(dst)
	return []host.Match{m}, o.text.String()
}

// typeTest asks for one of the address types whose bits are set (RTN_*).
func typeTest(field host.Field, bits uint16, not bool) host.Test {
	t := host.Test{Field: field, Mask: 0xffffffff, Not: not}
	for kind := range uint32(12) {
		if bits>>kind&1 == 1 {
			t.Spans = append(t.Spans, host.Span{Lo: kind, Hi: kind})
		}
	}
	return t
}

func addrTypes(bits uint16) string {
	return names(uint32(bits), "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE",
		"UNREACHABLE", "PROHIBIT", "THROW", "NAT", "XRESOLVE")
}

// iprangeMatch reads struct xt_iprange_mtinfo (r1).
func iprangeMatch(d *data) ([]host.Match, string) {
	flags := d.u8(64)
	if d.rev == 0 {
		d.refuse() // struct ipt_iprange_info: no kernel since 2.6.35 has it
	}
	o := d.match()
	var m host.Match
	if flags&1 != 0 {
		m.Source = d.addrRange(o, 0, flags&0x10 != 0, "src-range")
	}
	if flags&2 != 0 {
		m.Address = d.addrRange(o, 32, flags&0x20 != 0, "dst-range")
	}
	return o.with(m)
}

func (d *data) addrRange(o *options, off int, not bool, option string) host.Addrs {
	lo, hi := d.addr(off), d.addr(off+16)
	o.as(not, option, "", lo.String()+"-"+hi.String())
	set := host.AddrRange(lo, hi)
	if not {
		return host.NotAddrs(set)
	}
	return set
}

// macMatch reads struct xt_mac_info.
func macMatch(d *data) ([]host.Match, string) {
	return d.match().add(d.u32(8) != 0, "mac-source", mac(d.bytes(0, 6))).only()
}

// physdevMatch reads struct xt_physdev_info. The ports of a bridge are no
// interfaces of the packet at this hook, hence words.
func physdevMatch(d *data) ([]host.Match, string) {
	inv, ops := d.u8(64), d.u8(65)
	o := d.match()
	if ops&0x08 != 0 {
		o.add(inv&0x08 != 0, "physdev-is-in", "")
	}
	if ops&0x01 != 0 {
		o.add(inv&0x01 != 0, "physdev-in", bareName(d.str(0, 16)))
	}
	if ops&0x10 != 0 {
		o.add(inv&0x10 != 0, "physdev-is-out", "")
	}
	if ops&0x02 != 0 {
		o.add(inv&0x02 != 0, "physdev-out", bareName(d.str(32, 16)))
	}
	if ops&0x04 != 0 {
		o.add(inv&0x04 != 0, "physdev-is-bridged", "")
	}
	return o.only()
}

// pkttypeMatch reads struct xt_pkttype_info (PACKET_* of linux/if_packet.h).
func pkttypeMatch(d *data) ([]host.Match, string) {
	kind := d.u32(0)
	known := [...]string{"unicast", "broadcast", "multicast", "otherhost", "outgoing", "loopback"}
	name := num(kind)
	if kind < uint32(len(known)) {
		name = known[kind]
	}
	return d.match().add(d.u32(4) != 0, "pkt-type", name).computed(host.Test{Field: host.FieldPktType, Mask: 0xffffffff,
		Spans: []host.Span{{Lo: kind, Hi: kind}}, Not: d.u32(4) != 0})
}

// devgroupMatch reads struct xt_devgroup_info.
func devgroupMatch(d *data) ([]host.Match, string) {
	flags := d.u32(0)
	o := d.match()
	if flags&1 != 0 {
		o.add(flags&2 != 0, "src-group", hexMask(d.u32(4), d.u32(8)))
	}
	if flags&4 != 0 {
		o.add(flags&8 != 0, "dst-group", hexMask(d.u32(12), d.u32(16)))
	}
	return o.only()
}

// realmMatch reads struct xt_realm_info.
func realmMatch(d *data) ([]host.Match, string) {
	return d.match().add(d.u8(8) != 0, "realm", hexMask(d.u32(0), d.u32(4))).only()
}

// rpfilterMatch reads struct xt_rpfilter_info: packets whose source has a
// route back.
func rpfilterMatch(d *data) ([]host.Match, string) {
	flags := d.u8(0)
	return d.match().word("reverse path filter").
		flag(flags&1 != 0, "loose").flag(flags&2 != 0, "validmark").
		flag(flags&4 != 0, "accept-local").flag(flags&8 != 0, "invert").only()
}
