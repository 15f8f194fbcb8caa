package xt

import (
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// bridgeMatch knows the matches of ebtables; their options stand without "-m".
func bridgeMatch(name string) decode {
	switch name {
	case "ip":
		return ebtIPMatch
	case "ip6":
		return ebtIP6Match
	case "arp":
		return ebtARPMatch
	case "vlan":
		return ebtVLANMatch
	case "mark_m":
		return ebtMarkMatch
	case "limit":
		return ebtLimitMatch
	case "pkttype":
		return ebtPkttypeMatch
	case "among", "stp", "802_3":
		return ebtWordsMatch
	}
	return nil
}

// bare begins the text of an ebtables match.
func bare() *options { return &options{ebtables: true} }

// ebt gives a match whose text stands without the blank that add puts first.
func ebt(o *options, m host.Match) ([]host.Match, string) {
	alts, text := o.with(m)
	return alts, strings.TrimPrefix(text, " ")
}

// ebtIPMatch reads struct ebt_ip_info.
func ebtIPMatch(d *data) ([]host.Match, string) {
	bits, inv, proto := d.u8(18), d.u8(19), host.Proto(d.u8(17))
	o, m := bare(), host.Match{Family: host.IP}
	if bits&1 != 0 {
		m.Source = d.maskedOption(o, d.v4(0), d.v4(8), inv&1 != 0, "ip-src")
	}
	if bits&2 != 0 {
		m.Address = d.maskedOption(o, d.v4(4), d.v4(12), inv&2 != 0, "ip-dst")
	}
	if bits&4 != 0 {
		o.add(inv&4 != 0, "ip-tos", hex8(d.u8(16)))
	}
	if bits&8 != 0 {
		m.Protos = ebtProto(o, proto, inv&8 != 0, "ip-proto")
	}
	d.ebtPorts(o, &m, 20, bits, inv, "ip")
	return ebt(o, m)
}

// ebtIP6Match reads struct ebt_ip6_info.
func ebtIP6Match(d *data) ([]host.Match, string) {
	bits, inv, proto := d.u8(66), d.u8(67), host.Proto(d.u8(65))
	o, m := bare(), host.Match{Family: host.IP6}
	if bits&1 != 0 {
		m.Source = d.maskedOption(o, d.v6(0), d.v6(32), inv&1 != 0, "ip6-src")
	}
	if bits&2 != 0 {
		m.Address = d.maskedOption(o, d.v6(16), d.v6(48), inv&2 != 0, "ip6-dst")
	}
	if bits&4 != 0 {
		o.add(inv&4 != 0, "ip6-tclass", hex8(d.u8(64)))
	}
	if bits&8 != 0 {
		m.Protos = ebtProto(o, proto, inv&8 != 0, "ip6-proto")
	}
	d.ebtPorts(o, &m, 68, bits, inv, "ip6")
	return ebt(o, m)
}

func ebtProto(o *options, p host.Proto, not bool, option string) host.Protos {
	o.as(not, option, "", p.String())
	if not {
		return host.NotProtos(host.ProtosOf(p))
	}
	return host.ProtosOf(p)
}

// ebtPorts reads the ports, or types and codes, that stand in one union.
func (d *data) ebtPorts(o *options, m *host.Match, off int, bits, inv uint8, prefix string) {
	if bits&0x10 != 0 {
		m.SPorts = d.portRange(o, off, inv&0x10 != 0, prefix+"-sport")
	}
	if bits&0x20 != 0 {
		m.Ports = d.portRange(o, off+4, inv&0x20 != 0, prefix+"-dport")
	}
	if bits&0xc0 != 0 {
		o.add(inv&0xc0 != 0, prefix+"-icmp-type", span(d.u8(off), d.u8(off+1), ":")+"/"+span(d.u8(off+4), d.u8(off+5), ":"))
	}
}

// maskedOption writes an address with its mask and gives the set; a mask with
// holes stays in words.
func (d *data) maskedOption(o *options, addr, mask netip.Addr, not bool, option string) host.Addrs {
	set, ok := masked(addr, mask)
	if !ok {
		o.add(not, option, maskedText(addr, mask))
		return nil
	}
	o.as(not, option, "", maskedText(addr, mask))
	if not {
		return host.NotAddrs(set)
	}
	return set
}

// ebtARPMatch reads struct ebt_arp_info. ARP carries no redirected flow, hence
// words.
func ebtARPMatch(d *data) ([]host.Match, string) {
	bits, inv := d.u8(48), d.u8(49)
	o := bare().word("arp")
	if bits&1 != 0 {
		o.add(inv&1 != 0, "arp-op", arpOp(d.be16(4)))
	}
	if bits&2 != 0 {
		o.add(inv&2 != 0, "arp-htype", num(d.be16(0)))
	}
	if bits&4 != 0 {
		o.add(inv&4 != 0, "arp-ptype", hex(uint32(d.be16(2))))
	}
	if bits&8 != 0 {
		o.add(inv&8 != 0, "arp-ip-src", maskedText(d.v4(8), d.v4(12)))
	}
	if bits&16 != 0 {
		o.add(inv&16 != 0, "arp-ip-dst", maskedText(d.v4(16), d.v4(20)))
	}
	if bits&32 != 0 {
		o.add(inv&32 != 0, "arp-mac-src", macMask(d.bytes(24, 6), d.bytes(30, 6)))
	}
	if bits&64 != 0 {
		o.add(inv&64 != 0, "arp-mac-dst", macMask(d.bytes(36, 6), d.bytes(42, 6)))
	}
	if bits&128 != 0 {
		o.add(inv&128 != 0, "arp-gratuitous", "")
	}
	return ebt(o, host.Match{})
}

func arpOp(op uint16) string {
	known := [...]string{"Request", "Reply", "Request_Reverse", "Reply_Reverse", "DRARP_Request", "DRARP_Reply",
		"DRARP_Error", "InARP_Request", "ARP_NAK"}
	if op >= 1 && int(op) <= len(known) {
		return known[op-1]
	}
	return num(op)
}

func macMask(addr, mask []byte) string {
	if text := mac(mask); text != "ff:ff:ff:ff:ff:ff" {
		return mac(addr) + "/" + text
	}
	return mac(addr)
}

// ebtVLANMatch reads struct ebt_vlan_info.
func ebtVLANMatch(d *data) ([]host.Match, string) {
	bits, inv := d.u8(6), d.u8(7)
	o := bare()
	if bits&1 != 0 {
		o.add(inv&1 != 0, "vlan-id", num(d.u16(0)))
	}
	if bits&2 != 0 {
		o.add(inv&2 != 0, "vlan-prio", num(d.u8(2)))
	}
	if bits&4 != 0 {
		o.add(inv&4 != 0, "vlan-encap", hex(uint32(d.be16(4))))
	}
	return ebt(o, host.Match{})
}

// ebtMarkMatch reads struct ebt_mark_m_info, whose longs are of 64 bits.
func ebtMarkMatch(d *data) ([]host.Match, string) {
	mark, mask, not, how := d.u64(0), d.u64(8), d.u8(16) != 0, d.u8(17)
	value := hexMask(uint32(mark), uint32(mask))
	if how == 2 { // EBT_MARK_OR: any bit of the mask
		value = "/" + hex(uint32(mask))
	}
	return ebt(bare().add(not, "mark", value), host.Match{})
}

// ebtLimitMatch reads struct ebt_limit_info.
func ebtLimitMatch(d *data) ([]host.Match, string) {
	text, _ := rate(uint64(d.u32(0)), 10000)
	return ebt(bare().add(false, "limit", text).
		as(false, "limit-burst", "burst", num(d.u32(4))), host.Match{})
}

// ebtPkttypeMatch reads struct ebt_pkttype_info.
func ebtPkttypeMatch(d *data) ([]host.Match, string) {
	kind := d.u8(0)
	list := [...]string{"host", "broadcast", "multicast", "otherhost", "outgoing", "loopback", "fastroute"}
	name := num(kind)
	if int(kind) < len(list) {
		name = list[kind]
	}
	return ebt(bare().add(d.u8(1) != 0, "pkttype-type", name), host.Match{})
}

// ebtWordsMatch names matches about frames that carry no redirected flow.
func ebtWordsMatch(d *data) ([]host.Match, string) {
	text := "--" + d.name + " (not decoded further)"
	return []host.Match{{Conditions: []string{text}}}, text
}
