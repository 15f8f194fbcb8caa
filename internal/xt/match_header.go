package xt

import "github.com/natwarden/natwarden/internal/host"

// headerMatch knows the matches that look at IPv6 extension headers.
func headerMatch(name string) decode {
	switch name {
	case "ipv6header":
		return ipv6headerMatch
	case "frag":
		return fragMatch
	case "rt":
		return rtMatch
	case "hbh", "dst":
		return optsMatch
	case "mh":
		return mhMatch
	case "eui64":
		return eui64Match
	}
	return nil
}

// ipv6headerMatch reads struct ip6t_ipv6header_info.
func ipv6headerMatch(d *data) ([]host.Match, string) {
	list := ""
	for i, name := range []string{"hop-by-hop", "ipv6-opts", "ipv6-route", "ipv6-frag", "ah", "esp", "ipv6-nonxt", "protocol"} {
		if d.u8(0)>>(7-i)&1 == 1 {
			list = join(list, name)
		}
	}
	return d.match().as(d.u8(1) != 0, "header", "ipv6 headers", list).flag(d.u8(2) != 0, "soft").only()
}

// fragMatch reads struct ip6t_frag.
func fragMatch(d *data) ([]host.Match, string) {
	flags, inv := d.u8(12), d.u8(13)
	o := d.match().word("fragment")
	if flags&1 != 0 {
		o.add(inv&1 != 0, "fragid", span(d.u32(0), d.u32(4), ":"))
	}
	if flags&2 != 0 {
		o.add(inv&2 != 0, "fraglen", num(d.u32(8)))
	}
	return o.flag(flags&4 != 0, "fragres").flag(flags&8 != 0, "fragfirst").
		flag(flags&16 != 0, "fragmore").flag(flags&32 != 0, "fraglast").only()
}

// rtMatch reads struct ip6t_rt.
func rtMatch(d *data) ([]host.Match, string) {
	flags, inv, count := d.u8(16), d.u8(17), int(d.u8(276))
	if count > 16 {
		d.refuse()
		return nil, ""
	}
	o := d.match().word("routing header")
	if flags&1 != 0 {
		o.add(inv&1 != 0, "rt-type", num(d.u32(0)))
	}
	if flags&2 != 0 {
		o.add(inv&2 != 0, "rt-segsleft", span(d.u32(4), d.u32(8), ":"))
	}
	if flags&4 != 0 {
		o.add(inv&4 != 0, "rt-len", num(d.u32(12)))
	}
	o.flag(flags&8 != 0, "rt-0-res")
	if flags&0x10 != 0 {
		list := ""
		for i := 0; i < count; i++ {
			list = join(list, d.v6(20+16*i).String())
		}
		o.add(false, "rt-0-addrs", list)
	}
	return o.flag(flags&0x20 != 0, "rt-0-not-strict").only()
}

// optsMatch reads struct ip6t_opts: hop-by-hop and destination options.
func optsMatch(d *data) ([]host.Match, string) {
	flags, inv, count := d.u8(4), d.u8(5), int(d.u8(38))
	if count > 16 {
		d.refuse()
		return nil, ""
	}
	o := d.match().word(d.name + " options")
	if flags&1 != 0 {
		o.add(inv&1 != 0, d.name+"-len", num(d.u32(0)))
	}
	if flags&2 != 0 {
		list := ""
		for i := 0; i < count; i++ {
			list = join(list, option6(d.u16(6+2*i)))
		}
		o.add(false, d.name+"-opts", list)
	}
	return o.flag(flags&4 != 0, d.name+"-not-strict").only()
}

// option6 writes TYPE:LENGTH, where a length of 255 is any.
func option6(opt uint16) string {
	if opt&0xff == 0xff {
		return num(opt >> 8)
	}
	return num(opt>>8) + ":" + num(opt&0xff)
}

// mhMatch reads struct ip6t_mh: mobility headers.
func mhMatch(d *data) ([]host.Match, string) {
	o := d.match().word("mobility header")
	if lo, hi, not := d.u8(0), d.u8(1), d.u8(2)&1 != 0; lo != 0 || hi != 255 || not {
		o.add(not, "mh-type", span(lo, hi, ":"))
	}
	return o.only()
}

// eui64Match has no fields: the interface part of the source is made of its MAC.
func eui64Match(d *data) ([]host.Match, string) {
	return d.match().word("source is made of its MAC (eui64)").only()
}

// undecodedMatch stands for matches whose fields are not read. A match can only
// narrow a rule, so to name it is safe.
func undecodedMatch(name string) decode {
	switch name {
	case "srh", "nbt", "condition", "geoip", "ndpi", "connmark6", "psd", "fuzzy", "iface", "ipp2p", "length2", "lscan",
		"quota2", "asn", "ipv4options", "dhcpmac", "gradm", "layer7":
	default:
		return nil
	}
	return func(d *data) ([]host.Match, string) {
		text := "-m " + quote(d.name) + " (not decoded further)"
		return []host.Match{{Conditions: []string{text}}}, text
	}
}
