package xt

import (
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// portMatch knows the matches that look at a transport header.
func portMatch(name string) decode {
	switch name {
	case "tcp":
		return tcpMatch
	case "udp", "udplite":
		return udpMatch
	case "sctp":
		return sctpMatch
	case "dccp":
		return dccpMatch
	case "multiport":
		return multiportMatch
	case "icmp", "icmp6":
		return icmpMatch
	case "esp":
		return espMatch
	case "ah":
		return ahMatch
	}
	return nil
}

// portRange reads a pair of ports, writes the option unless it is any port,
// and gives the set.
func (d *data) portRange(o *options, off int, not bool, option string) host.Ports {
	lo, hi := d.u16(off), d.u16(off+2)
	if lo != 0 || hi != 65535 {
		o.as(not, option, "", span(lo, hi, ":"))
	}
	return portSet(lo, hi, not)
}

func portSet(lo, hi uint16, not bool) host.Ports {
	ports := host.PortsOf(lo, hi)
	if not {
		return host.NotPorts(ports)
	}
	return ports
}

// tcpMatch reads struct xt_tcp.
func tcpMatch(d *data) ([]host.Match, string) {
	inv := d.u8(11)
	o := d.match()
	m := host.Match{Protos: host.ProtosOf(host.TCP)}
	m.SPorts = d.portRange(o, 0, inv&1 != 0, "sport")
	m.Ports = d.portRange(o, 4, inv&2 != 0, "dport")
	if option, not := d.u8(8), inv&8 != 0; option != 0 || not {
		o.add(not, "tcp-option", num(option))
	}
	if mask, cmp, not := d.u8(9), d.u8(10), inv&4 != 0; mask != 0 || not {
		o.add(not, "tcp-flags", tcpFlags(mask)+" "+tcpFlags(cmp))
		t := host.Test{Field: host.FieldTCPFlags, Mask: uint32(mask), Spans: []host.Span{{Lo: uint32(cmp), Hi: uint32(cmp)}}, Not: not}
		if d.u8(8) == 0 && inv&8 == 0 {
			t.Words = o.words.String()
		}
		m.Expect(t)
	}
	return o.with(m)
}

func tcpFlags(bits uint8) string {
	if bits == 0 {
		return "NONE"
	}
	return names(uint32(bits), "FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
}

// udpMatch reads struct xt_udp.
func udpMatch(d *data) ([]host.Match, string) {
	inv := d.u8(8)
	o := d.match()
	proto := host.UDP
	if d.name == "udplite" {
		proto = host.UDPLite
	}
	m := host.Match{Protos: host.ProtosOf(proto)}
	m.SPorts = d.portRange(o, 0, inv&1 != 0, "sport")
	m.Ports = d.portRange(o, 4, inv&2 != 0, "dport")
	return o.with(m)
}

// sctpMatch reads struct xt_sctp_info, whose chunkmap has eight times the words
// that it needs.
func sctpMatch(d *data) ([]host.Match, string) {
	flags, inv := d.u32(284), d.u32(288)
	o := d.match()
	m := host.Match{Protos: host.ProtosOf(host.SCTP)}
	if flags&1 != 0 {
		m.SPorts = d.portRange(o, 4, inv&1 != 0, "sport")
	}
	if flags&2 != 0 {
		m.Ports = d.portRange(o, 0, inv&2 != 0, "dport")
	}
	if flags&4 != 0 {
		o.add(inv&4 != 0, "chunk-types", d.sctpChunks())
	}
	return o.with(m)
}

func (d *data) sctpChunks() string {
	how := map[uint32]string{1: "any", 2: "all", 4: "only"}[d.u32(264)]
	var types []string
	for i := 0; i < 256; i++ {
		if d.u32(8+i/32*4)>>(i%32)&1 == 1 {
			types = append(types, sctpChunk(uint8(i)))
		}
	}
	if len(types) == 256 {
		return how + " ALL"
	}
	return how + " " + strings.Join(types, ",")
}

func sctpChunk(n uint8) string {
	known := [...]string{"DATA", "INIT", "INIT_ACK", "SACK", "HEARTBEAT", "HEARTBEAT_ACK", "ABORT", "SHUTDOWN",
		"SHUTDOWN_ACK", "ERROR", "COOKIE_ECHO", "COOKIE_ACK", "ECN_ECNE", "ECN_CWR", "SHUTDOWN_COMPLETE"}
	if int(n) < len(known) {
		return known[n]
	}
	switch n {
	case 0x40:
		return "I_DATA"
	case 0x80:
		return "ASCONF_ACK"
	case 0x82:
		return "RE_CONFIG"
	case 0x84:
		return "PAD"
	case 0xc0:
		return "FORWARD_TSN"
	case 0xc1:
		return "ASCONF"
	case 0xc2:
		return "I_FORWARD_TSN"
	}
	return num(n)
}

// dccpMatch reads struct xt_dccp_info.
func dccpMatch(d *data) ([]host.Match, string) {
	flags, inv := d.u16(8), d.u16(10)
	o := d.match()
	m := host.Match{Protos: host.ProtosOf(host.DCCP)}
	if flags&1 != 0 {
		m.SPorts = d.portRange(o, 4, inv&1 != 0, "sport")
	}
	if flags&2 != 0 {
		m.Ports = d.portRange(o, 0, inv&2 != 0, "dport")
	}
	if flags&4 != 0 {
		o.add(inv&4 != 0, "dccp-types", names(uint32(d.u16(12)), "REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK",
			"CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK", "INVALID"))
	}
	if flags&8 != 0 {
		o.add(inv&8 != 0, "dccp-option", num(d.u8(14)))
	}
	return o.with(m)
}

// multiportMatch reads struct xt_multiport (r0) and xt_multiport_v1 (r1).
func multiportMatch(d *data) ([]host.Match, string) {
	which, count := d.u8(0), int(d.u8(1))
	if which > 2 || count > 15 {
		d.refuse()
		return nil, ""
	}
	not := d.rev > 0 && d.u8(47) != 0
	ports, list := d.multiports(count)
	if not {
		ports = host.NotPorts(ports)
	}
	o := d.match().as(not, [...]string{"sports", "dports", "ports"}[which], "", list)
	source, dest := host.Match{SPorts: ports}, host.Match{Ports: ports}
	switch {
	case which == 0:
		return o.with(source)
	case which == 1:
		return o.with(dest)
	case not: // neither the one nor the other
		return o.with(host.Match{SPorts: ports, Ports: ports})
	}
	return []host.Match{dest, source}, o.text.String()
}

// multiports gives the ports and their text; in r1 a port whose flag is set is
// the first of a range that the next one ends.
func (d *data) multiports(count int) (host.Ports, string) {
	var list []string
	var ranges []host.Range[host.Port]
	for i := 0; i < count; i++ {
		lo := d.u16(2 + 2*i)
		hi := lo
		if d.rev > 0 && d.u8(32+i) != 0 && i+1 < count {
			i++
			hi = d.u16(2 + 2*i)
			list = append(list, num(lo)+":"+num(hi))
		} else {
			list = append(list, num(lo))
		}
		ranges = append(ranges, host.Range[host.Port]{Lo: host.Port(lo), Hi: host.Port(hi)})
	}
	return host.WholePorts(host.Of(ranges...)), strings.Join(list, ",")
}

// icmpMatch reads struct ipt_icmp and ip6t_icmp.
func icmpMatch(d *data) ([]host.Match, string) {
	typ, lo, hi, not := d.u8(0), d.u8(1), d.u8(2), d.u8(3)&1 != 0
	option, proto := "icmp-type", host.ICMP
	if d.name == "icmp6" {
		option, proto = "icmpv6-type", host.ICMPv6
	}
	value := num(typ)
	switch {
	case typ == 255 && proto == host.ICMP:
		value = "any"
	case lo != 0 || hi != 255:
		value += "/" + span(lo, hi, "-")
	}
	return d.match().add(not, option, value).with(host.Match{Protos: host.ProtosOf(proto)})
}

// espMatch reads struct xt_esp.
func espMatch(d *data) ([]host.Match, string) {
	o := d.match()
	d.spis(o, d.u8(8)&1 != 0, "espspi")
	return o.with(host.Match{Protos: host.ProtosOf(host.ESP)})
}

// ahMatch reads struct ipt_ah and ip6t_ah.
func ahMatch(d *data) ([]host.Match, string) {
	o := d.match()
	if d.fam != host.IP6 {
		d.spis(o, d.u8(8)&1 != 0, "ahspi")
		return o.with(host.Match{Protos: host.ProtosOf(host.AH)})
	}
	inv := d.u8(13)
	d.spis(o, inv&1 != 0, "ahspi")
	if length, not := d.u32(8), inv&2 != 0; length != 0 || not {
		o.as(not, "ahlen", "ah length", num(length))
	}
	o.flag(d.u8(12) != 0, "ahres")
	return o.only()
}

// spis writes a range of security parameter indexes unless it is any.
func (d *data) spis(o *options, not bool, option string) {
	if lo, hi := d.u32(0), d.u32(4); lo != 0 || hi != 0xffffffff || not {
		o.add(not, option, span(lo, hi, ":"))
	}
}
