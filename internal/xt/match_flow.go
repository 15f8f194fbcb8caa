package xt

import (
	"github.com/natwarden/natwarden/internal/host"
)

// flowMatch knows the matches that look at marks and at connection tracking.
func flowMatch(name string) decode {
	switch name {
	case "mark", "connmark":
		return markMatch
	case "conntrack":
		return conntrackMatch
	case "state":
		return stateMatch
	case "connlabel":
		return connlabelMatch
	case "connbytes":
		return connbytesMatch
	case "connlimit":
		return connlimitMatch
	case "helper":
		return helperMatch
	case "policy":
		return policyMatch
	case "ipvs":
		return ipvsMatch
	}
	return nil
}

// markMatch reads struct xt_mark_mtinfo1 and xt_connmark_mtinfo1.
func markMatch(d *data) ([]host.Match, string) {
	mark, mask, not := d.u32(0), d.u32(4), d.u8(8) != 0
	var m host.Match
	if mark&^mask != 0 && !not {
		m.Dead = "no " + d.name + " fits " + hexMask(mark, mask)
	}
	o := d.match().as(not, "mark", d.name, hexMask(mark, mask))
	t := host.Test{Words: o.words.String(), Field: host.FieldMark, Mask: mask, Spans: []host.Span{{Lo: mark, Hi: mark}}, Not: not}
	if d.name == "connmark" {
		t.Field, t.NeedsFlow = host.FieldCTMark, true
	}
	m.Expect(t)
	return o.with(m)
}

// stateMatch reads struct xt_state_info.
func stateMatch(d *data) ([]host.Match, string) {
	return d.match().add(false, "state", stateNames(d.u32(0), 1<<6)).computed(stateTest(d.u32(0), false))
}

// stateTest asks for any of these states.
func stateTest(bits uint32, not bool) host.Test {
	return host.Test{Field: host.FieldCTState, Mask: bits, Spans: []host.Span{{}}, Not: !not}
}

// stateNames lists connection states in the order of iptables-save.
func stateNames(bits, untracked uint32) string {
	list := names(bits, "INVALID")
	for _, s := range []struct {
		bit  uint32
		name string
	}{{1 << 3, "NEW"}, {1 << 2, "RELATED"}, {1 << 1, "ESTABLISHED"}, {untracked, "UNTRACKED"}} {
		if bits&s.bit != 0 {
			list = join(list, s.name)
		}
	}
	return list
}

func join(list, more string) string {
	if list == "" || more == "" {
		return list + more
	}
	return list + "," + more
}

// The flags of struct xt_conntrack_mtinfo: XT_CONNTRACK_*.
const (
	ctState = 1 << iota
	ctProto
	ctOrigSrc
	ctOrigDst
	ctReplSrc
	ctReplDst
	ctStatus
	ctExpires
	ctOrigSrcPort
	ctOrigDstPort
	ctReplSrcPort
	ctReplDstPort
	ctDirection
	ctStateAlias
)

// conntrackMatch reads struct xt_conntrack_mtinfo1, 2 and 3. What it says of
// the original and the reply tuple stays in words: they are the packet's own
// addresses in one direction only, and only as long as nothing translated it.
func conntrackMatch(d *data) ([]host.Match, string) {
	if d.rev < 1 || d.rev > 3 {
		d.refuse()
		return nil, ""
	}
	flags, inv := uint32(d.u16(146)), uint32(d.u16(148))
	o := d.match()
	if flags&ctStateAlias != 0 {
		o.text.Reset()
		o.text.WriteString("-m state")
	}
	var m host.Match
	d.ctStates(o, flags, inv)
	if flags&ctProto != 0 {
		m.Protos = d.ctProto(o, inv&ctProto != 0)
	}
	for i, option := range []string{"ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst"} {
		if bit := uint32(ctOrigSrc << i); flags&bit != 0 {
			o.add(inv&bit != 0, option, maskedText(d.addr(32*i), d.addr(32*i+16)))
		}
	}
	for i, option := range []string{"ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport"} {
		if bit := uint32(ctOrigSrcPort << i); flags&bit != 0 {
			o.add(inv&bit != 0, option, d.ctPorts(i))
		}
	}
	d.ctRest(o, flags, inv)
	d.ctTests(&m, o, flags, inv)
	return o.with(m)
}

// ctTests computes what can be: where all of the options can, they stand for
// the words as a whole.
func (d *data) ctTests(m *host.Match, o *options, flags, inv uint32) {
	if flags&ctProto != 0 { // its set is the packet's; but without a connection it takes none
		m.Tests = append(m.Tests, host.Test{Field: host.FieldStated, NeedsFlow: true})
	}
	if o.words.Len() == 0 {
		return
	}
	if flags&ctState != 0 {
		m.Tests = append(m.Tests, d.ctStateTest(inv&ctState != 0))
	}
	if flags&ctOrigSrc != 0 {
		m.Tests = append(m.Tests, d.ctAddrTest(host.FieldOrigSource, 0, inv&ctOrigSrc != 0))
	}
	if flags&ctOrigDst != 0 {
		m.Tests = append(m.Tests, d.ctAddrTest(host.FieldOrigDest, 1, inv&ctOrigDst != 0))
	}
	if flags&ctOrigSrcPort != 0 {
		m.Tests = append(m.Tests, d.ctPortTest(host.FieldOrigSPort, 0, inv&ctOrigSrcPort != 0))
	}
	if flags&ctOrigDstPort != 0 {
		m.Tests = append(m.Tests, d.ctPortTest(host.FieldOrigPort, 1, inv&ctOrigDstPort != 0))
	}
	if flags&ctDirection != 0 {
		m.Tests = append(m.Tests, host.Test{Field: host.FieldCTDirection, Mask: 1, Spans: []host.Span{{}}, Not: inv&ctDirection != 0, NeedsFlow: true})
	}
	const rest = ctReplSrc | ctReplDst | ctReplSrcPort | ctReplDstPort | ctStatus | ctExpires
	if flags&rest == 0 {
		m.Expect(host.Test{Words: o.words.String(), Field: host.FieldStated})
	}
}

func (d *data) ctStateTest(not bool) host.Test {
	mask := uint32(d.u8(150))
	if d.rev > 1 {
		mask = uint32(d.u16(150))
	}
	bits := mask & 0xf
	for from, to := range map[uint32]uint32{1 << 6: host.StateSNAT, 1 << 7: host.StateDNAT, 1 << 8: 64} {
		if mask&from != 0 {
			bits |= to
		}
	}
	return stateTest(bits, not)
}

// ctAddrTest knows prefixes; another mask is asked of no address.
func (d *data) ctAddrTest(field host.Field, i int, not bool) host.Test {
	t := host.Test{Field: field, Not: not, NeedsFlow: true}
	bits, ok := maskBits(d.addr(32*i + 16))
	if !ok {
		return host.Test{}
	}
	if p, err := d.addr(32 * i).Prefix(bits); err == nil {
		t.Addrs = host.AddrsOf(p)
	}
	return t
}

func (d *data) ctPortTest(field host.Field, i int, not bool) host.Test {
	lo, hi := d.be16(138+2*i), d.be16(138+2*i)
	if d.rev == 3 {
		lo, hi = d.u16(138+2*i), d.u16(154+2*i)
	}
	return host.Test{Field: field, Not: not, NeedsFlow: true, Ports: host.PortsOf(lo, hi)}
}

func (d *data) ctStates(o *options, flags, inv uint32) {
	if flags&ctState == 0 {
		return
	}
	mask := uint32(d.u8(150))
	if d.rev > 1 {
		mask = uint32(d.u16(150))
	}
	list := join(stateNames(mask, 1<<8), names(mask>>6, "SNAT", "DNAT"))
	if flags&ctStateAlias != 0 {
		o.add(inv&ctState != 0, "state", list)
		return
	}
	o.add(inv&ctState != 0, "ctstate", list)
}

func (d *data) ctProto(o *options, not bool) host.Protos {
	number := d.u16(136)
	o.as(not, "ctproto", "", num(number))
	if number > 255 {
		d.refuse()
		return nil
	}
	set := host.ProtosOf(host.Proto(number))
	if not {
		return host.NotProtos(set)
	}
	return set
}

// ctPorts reads a port, in r3 a range of ports in host byte order.
func (d *data) ctPorts(i int) string {
	if d.rev < 3 {
		return num(d.be16(138 + 2*i))
	}
	return span(d.u16(138+2*i), d.u16(154+2*i), ":")
}

func (d *data) ctRest(o *options, flags, inv uint32) {
	if flags&ctStatus != 0 {
		mask := uint32(d.u8(151))
		if d.rev > 1 {
			mask = uint32(d.u16(152))
		}
		list := names(mask, "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED")
		if list == "" {
			list = "NONE"
		}
		o.add(inv&ctStatus != 0, "ctstatus", list)
	}
	if flags&ctExpires != 0 {
		o.add(inv&ctExpires != 0, "ctexpire", span(d.u32(128), d.u32(132), ":"))
	}
	if flags&ctDirection != 0 {
		dir := "ORIGINAL"
		if inv&ctDirection != 0 {
			dir = "REPLY"
		}
		o.add(false, "ctdir", dir)
	}
}

// connlabelMatch reads struct xt_connlabel_mtinfo.
func connlabelMatch(d *data) ([]host.Match, string) {
	flags := d.u16(2)
	return d.match().as(flags&1 != 0, "label", "connlabel", `"`+num(d.u16(0))+`"`).flag(flags&2 != 0, "set").only()
}

// connbytesMatch reads struct xt_connbytes_info.
func connbytesMatch(d *data) ([]host.Match, string) {
	from, to, what, dir := d.u64(0), d.u64(8), d.u8(16), d.u8(17)
	if what > 2 || dir > 2 {
		d.refuse()
		return nil, ""
	}
	not := from > to // the kernel's way to write an inverted range
	if not {
		from, to = to, from
	}
	value := num(from)
	if to != 1<<64-1 {
		value += ":" + num(to)
	}
	return d.match().add(not, "connbytes", value).
		add(false, "connbytes-mode", [...]string{"packets", "bytes", "avgpkt"}[what]).
		add(false, "connbytes-dir", [...]string{"original", "reply", "both"}[dir]).only()
}

// connlimitMatch reads struct xt_connlimit_info (r1; r0 has no flags but 0 and 1).
func connlimitMatch(d *data) ([]host.Match, string) {
	flags := d.u32(20)
	option, side := "connlimit-above", "connlimit-saddr"
	if flags&1 != 0 {
		option = "connlimit-upto"
	}
	if flags&2 != 0 {
		side = "connlimit-daddr"
	}
	bits, _ := maskBits(d.addr(0))
	return d.match().add(false, option, num(d.u32(16))).
		as(false, "connlimit-mask", "for each prefix of length", num(uint8(bits))).add(false, side, "").only()
}

// helperMatch reads struct xt_helper_info.
func helperMatch(d *data) ([]host.Match, string) {
	return d.match().add(d.u32(0) != 0, "helper", quote(d.str(4, 30))).only()
}

// ipvsMatch reads struct xt_ipvs_mtinfo.
func ipvsMatch(d *data) ([]host.Match, string) {
	inv, ops := d.u8(38), d.u8(39)
	o := d.match().word("ipvs")
	if ops == 1 {
		return o.add(inv&1 != 0, "ipvs", "").only()
	}
	if ops&2 != 0 {
		o.add(inv&2 != 0, "vproto", num(d.u8(34)))
	}
	if ops&4 != 0 {
		o.add(inv&4 != 0, "vaddr", maskedText(d.addr(0), d.addr(16)))
	}
	if ops&8 != 0 {
		o.add(inv&8 != 0, "vport", num(d.be16(32)))
	}
	if ops&16 != 0 {
		o.add(false, "vdir", map[bool]string{false: "ORIGINAL", true: "REPLY"}[inv&16 != 0])
	}
	if ops&32 != 0 {
		o.add(inv&32 != 0, "vmethod", map[uint8]string{0: "MASQ", 1: "LOCALNODE", 2: "IPIP", 3: "GATE"}[d.u8(35)])
	}
	if ops&64 != 0 {
		o.add(inv&64 != 0, "vportctl", num(d.be16(36)))
	}
	return o.only()
}

// policyMatch reads struct xt_policy_info: how IPsec treats the packet.
func policyMatch(d *data) ([]host.Match, string) {
	flags, count := d.u16(304), int(d.u16(306))
	if count > 4 {
		d.refuse()
		return nil, ""
	}
	dir := "in"
	if flags&1 == 0 {
		dir = "out"
	}
	o := d.match().as(false, "dir", "ipsec policy dir", dir)
	if flags&4 != 0 {
		return o.add(false, "pol", "none").only()
	}
	o.add(false, "pol", "ipsec").flag(flags&8 != 0, "strict")
	for i := 0; i < count; i++ {
		if i > 0 {
			o.flag(true, "next")
		}
		d.policyElement(o, 76*i)
	}
	return o.only()
}

func (d *data) policyElement(o *options, off int) {
	is, inv := d.u8(off+74), d.u8(off+75)
	if is&0x20 != 0 {
		o.add(inv&0x20 != 0, "reqid", num(d.u32(off+68)))
	}
	if is&0x10 != 0 {
		o.add(inv&0x10 != 0, "spi", hex(d.u32(off+64)))
	}
	if is&4 != 0 {
		o.add(inv&4 != 0, "proto", host.Proto(d.u8(off+72)).String())
	}
	if is&8 != 0 {
		mode := "transport"
		if d.u8(off+73) == 1 {
			mode = "tunnel"
		}
		o.add(inv&8 != 0, "mode", mode)
	}
	if is&2 != 0 {
		o.add(inv&2 != 0, "tunnel-dst", maskedText(d.addr(off+32), d.addr(off+48)))
	}
	if is&1 != 0 {
		o.add(inv&1 != 0, "tunnel-src", maskedText(d.addr(off), d.addr(off+16)))
	}
}
