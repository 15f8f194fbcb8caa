package xt

import (
	"net/netip"

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
func bare() *options { return &options{} }

// ebt gives a match whose text stands without the blank that add puts first.
func ebt(o *options, m host.Match) ([]host.Match, string) {
	alts, text := o.with(m)
	for len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	return alts, text
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
		o.add(inv&1 != 0, "arp-op", num(d.be16(4)))
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
	return ebt(o, host.Match{})
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
	return ebt(bare().add(false, "limit", rate(uint64(d.u32(0)), 10000)).
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

// bridgeTarget knows the targets of ebtables.
func bridgeTarget(name string) act {
	switch name {
	case "redirect":
		return ebtRedirect
	case "dnat", "snat":
		return ebtNAT
	case "mark":
		return ebtMark
	case "arpreply":
		return ebtARPReply
	case "log":
		return ebtLog
	case "nflog":
		return ebtNFLog
	case "standard":
		return ebtStandard
	}
	return nil
}

// ebtVerdict reads EBT_ACCEPT -1, EBT_DROP -2, EBT_CONTINUE -3, EBT_RETURN -4.
func (d *data) ebtVerdict(off int) (host.Verdict, string) {
	switch int32(d.u32(off)) | -16 { // the low four bits count: EBT_VERDICT_BITS
	case -1:
		return host.Accept, "ACCEPT"
	case -2:
		return host.Drop, "DROP"
	case -3:
		return host.Continue, "CONTINUE"
	case -4:
		return host.Return, "RETURN"
	}
	d.refuse()
	return host.Uncertain, ""
}

// ebtRedirect reads struct ebt_redirect_info: the frame is taken by this host.
func ebtRedirect(d *data) Result {
	v, name := d.ebtVerdict(0)
	e := host.Effect{Kind: "mac-redirect", To: []host.Target{{}}, Evidence: []string{"the frame goes to this host's own MAC"}}
	return d.target().add(false, "redirect-target", name).does(v, e)
}

// ebtNAT reads struct ebt_nat_info: another destination or source MAC.
func ebtNAT(d *data) Result {
	v, name := d.ebtVerdict(8)
	addr := mac(d.bytes(0, 6))
	if d.name == "snat" {
		e := host.Effect{Kind: "mac-redirect", Source: true, Evidence: []string{"source MAC " + addr}}
		return d.target().add(false, "to-source", addr).add(false, "snat-target", name).does(v, e)
	}
	e := host.Effect{Kind: "mac-redirect", Evidence: []string{"destination MAC " + addr}}
	return d.target().add(false, "to-destination", addr).add(false, "dnat-target", name).does(v, e)
}

// ebtMark reads struct ebt_mark_t_info: the upper bits say what to do.
func ebtMark(d *data) Result {
	v, name := d.ebtVerdict(8)
	option := map[uint32]string{0xf0: "mark-set", 0xe0: "mark-or", 0xd0: "mark-and", 0xc0: "mark-xor"}[d.u32(8)&0xf0]
	if option == "" {
		d.refuse()
	}
	return d.target().add(false, option, hex(uint32(d.u64(0)))).add(false, "mark-target", name).does(v)
}

// ebtARPReply reads struct ebt_arpreply_info: this host answers ARP requests
// with a MAC, so that traffic goes there.
func ebtARPReply(d *data) Result {
	v, name := d.ebtVerdict(8)
	addr := mac(d.bytes(0, 6))
	e := host.Effect{Kind: "mac-redirect", Evidence: []string{"answers ARP requests with MAC " + addr}}
	return d.target().add(false, "arpreply-mac", addr).add(false, "arpreply-target", name).does(v, e)
}

// ebtLog reads struct ebt_log_info.
func ebtLog(d *data) Result {
	return bareTarget("--log-level " + num(d.u8(0)) + " --log-prefix " + quote(d.str(1, 30)))
}

// ebtNFLog reads struct ebt_nflog_info.
func ebtNFLog(d *data) Result {
	return bareTarget("--nflog-group " + num(d.u16(4)) + " --nflog-prefix " + quote(d.str(12, 64)))
}

// bareTarget is a watcher of ebtables: it stands among the options, without "-j".
func bareTarget(text string) Result { return Result{Verdict: host.Continue, Text: text} }

// ebtStandard reads struct ebt_standard_target: a verdict alone.
func ebtStandard(d *data) Result {
	v, name := d.ebtVerdict(0)
	return Result{Verdict: v, Text: "-j " + name}
}

// arpMangle reads struct arpt_mangle (linux/netfilter_arp/arpt_mangle.h): the
// addresses in an ARP packet are replaced, so that traffic goes elsewhere.
func arpMangle(d *data) Result {
	flags, verdict := d.u8(40), int32(d.u32(44))
	o := d.target()
	e := host.Effect{Kind: "mac-redirect"}
	for i, f := range []struct {
		option string
		value  string
	}{{"mangle-mac-s", mac(d.bytes(0, 6))}, {"mangle-mac-d", mac(d.bytes(16, 6))},
		{"mangle-ip-s", d.v4(32).String()}, {"mangle-ip-d", d.v4(36).String()}} {
		if flags>>i&1 == 1 {
			o.add(false, f.option, f.value)
			e.Evidence = append(e.Evidence, "arp "+f.option+" "+f.value)
		}
	}
	switch verdict {
	case -1: // XT_CONTINUE
		return o.add(false, "mangle-target", "CONTINUE").does(host.Continue, e)
	case 0:
		return o.add(false, "mangle-target", "DROP").does(host.Drop, e)
	}
	return o.does(host.Accept, e)
}
