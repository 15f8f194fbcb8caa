package xt

import (
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// packetMatch knows the matches that look at fields and at the payload of a
// packet.
func packetMatch(name string) decode {
	switch name {
	case "comment":
		return commentMatch
	case "length":
		return lengthMatch
	case "ttl", "hl":
		return ttlMatch
	case "tos":
		return tosMatch
	case "dscp":
		return dscpMatch
	case "ecn":
		return ecnMatch
	case "tcpmss":
		return tcpmssMatch
	case "string":
		return stringMatch
	case "bpf":
		return bpfMatch
	case "u32":
		return u32Match
	case "osf":
		return osfMatch
	case "l2tp":
		return l2tpMatch
	case "ipcomp":
		return ipcompMatch
	}
	return nil
}

// commentMatch reads struct xt_comment_info: every packet fits.
func commentMatch(d *data) ([]host.Match, string) {
	return nil, d.match().as(false, "comment", "", quote(d.str(0, min(256, len(d.b))))).text.String()
}

// Comment gives the text of a "comment" match; ok is false for other matches.
func Comment(e Ext) (text string, ok bool) {
	if e.Name != "comment" {
		return "", false
	}
	return newData(e, Env{}).str(0, min(256, len(e.Info))), true
}

// lengthMatch reads struct xt_length_info.
func lengthMatch(d *data) ([]host.Match, string) {
	return d.match().add(d.u8(4) != 0, "length", span(d.u16(0), d.u16(2), ":")).only()
}

// ttlMatch reads struct ipt_ttl_info and ip6t_hl_info.
func ttlMatch(d *data) ([]host.Match, string) {
	mode := d.u8(0)
	if mode > 3 {
		d.refuse()
		return nil, ""
	}
	return d.match().add(mode == 1, d.name+[...]string{"-eq", "-eq", "-lt", "-gt"}[mode], num(d.u8(1))).only()
}

// tosMatch reads struct xt_tos_match_info (r1) and ipt_tos_info (r0).
func tosMatch(d *data) ([]host.Match, string) {
	if d.rev == 0 {
		return d.match().add(d.u8(1) != 0, "tos", hex8(d.u8(0))).only()
	}
	return d.match().add(d.u8(2) != 0, "tos", hex8(d.u8(1))+"/"+hex8(d.u8(0))).only()
}

func hex8(n uint8) string {
	const digits = "0123456789abcdef"
	return "0x" + string([]byte{digits[n>>4], digits[n&15]})
}

// dscpMatch reads struct xt_dscp_info.
func dscpMatch(d *data) ([]host.Match, string) {
	return d.match().add(d.u8(1) != 0, "dscp", hex8(d.u8(0))).only()
}

// ecnMatch reads struct xt_ecn_info.
func ecnMatch(d *data) ([]host.Match, string) {
	ops, inv := d.u8(0), d.u8(1)
	o := d.match()
	if ops&0x10 != 0 {
		o.add(inv&0x10 != 0, "ecn-tcp-ece", "")
	}
	if ops&0x20 != 0 {
		o.add(inv&0x20 != 0, "ecn-tcp-cwr", "")
	}
	if ops&1 != 0 {
		o.add(inv&1 != 0, "ecn-ip-ect", num(d.u8(2)))
	}
	return o.only()
}

// tcpmssMatch reads struct xt_tcpmss_match_info.
func tcpmssMatch(d *data) ([]host.Match, string) {
	return d.match().as(d.u8(4) != 0, "mss", "tcp mss", span(d.u16(0), d.u16(2), ":")).only()
}

// stringMatch reads struct xt_string_info.
func stringMatch(d *data) ([]host.Match, string) {
	from, to, size, flags := d.u16(0), d.u16(2), int(d.u8(148)), d.u8(149)
	if size > 128 {
		d.refuse()
		return nil, ""
	}
	pattern := d.bytes(20, size)
	o := d.match()
	if printable(pattern) {
		o.as(flags&1 != 0, "string", "string", patternText(pattern))
	} else {
		o.as(flags&1 != 0, "hex-string", "string", hexPattern(pattern))
	}
	o.as(false, "algo", "", bareName(d.str(4, 16)))
	if from != 0 {
		o.add(false, "from", num(from))
	}
	if to != 0xffff {
		o.add(false, "to", num(to))
	}
	return o.flag(d.rev > 0 && flags&2 != 0, "icase").only()
}

// printable follows is_hex_string of libxt_string: what it prints as it is.
func printable(pattern []byte) bool {
	for _, c := range pattern {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(pattern) == 0 || pattern[0] != '|' && pattern[len(pattern)-1] != '\\'
}

func patternText(pattern []byte) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(pattern)) + `"`
}

func hexPattern(pattern []byte) string {
	const digits = "0123456789abcdef"
	text := []byte{'"', '|'}
	for _, c := range pattern {
		text = append(text, digits[c>>4], digits[c&15])
	}
	return string(append(text, '|', '"'))
}

// bpfMatch reads struct xt_bpf_info (r0) and xt_bpf_info_v1.
func bpfMatch(d *data) ([]host.Match, string) {
	if d.rev > 1 {
		d.refuse()
		return nil, ""
	}
	count, program := d.u16(0), 4
	if d.rev == 1 {
		count, program = d.u16(2), 8
		if mode := d.u16(0); mode != 0 {
			return d.match().as(false, "object-pinned", "bpf program", quote(d.str(8, 512))).only()
		}
	}
	if count > 64 {
		d.refuse()
		return nil, ""
	}
	code := num(count)
	for i := 0; i < int(count); i++ {
		at := program + 8*i
		code += "," + num(d.u16(at)) + " " + num(d.u8(at+2)) + " " + num(d.u8(at+3)) + " " + num(d.u32(at+4))
	}
	return d.match().as(false, "bytecode", "", `"`+code+`"`).word("bpf program of " + num(count) + " instructions").only()
}

// osfMatch reads struct nf_osf_info.
func osfMatch(d *data) ([]host.Match, string) {
	flags := d.u32(36)
	o := d.match().as(flags&8 != 0, "genre", "os genre", bareName(d.str(0, 32)))
	if flags&2 != 0 {
		o.as(false, "ttl", "", num(d.u32(44)))
	}
	if flags&4 != 0 {
		o.as(false, "log", "", num(d.u32(40)))
	}
	return o.only()
}

// l2tpMatch reads struct xt_l2tp_info.
func l2tpMatch(d *data) ([]host.Match, string) {
	flags := d.u8(10)
	o := d.match().word("l2tp")
	if flags&1 != 0 {
		o.add(false, "tid", num(d.u32(0)))
	}
	if flags&2 != 0 {
		o.add(false, "sid", num(d.u32(4)))
	}
	if flags&4 != 0 {
		o.add(false, "pversion", num(d.u8(8)))
	}
	if flags&8 != 0 {
		o.add(false, "type", map[bool]string{true: "control", false: "data"}[d.u8(9) == 0])
	}
	return o.only()
}

// ipcompMatch reads struct xt_ipcomp.
func ipcompMatch(d *data) ([]host.Match, string) {
	o := d.match()
	if lo, hi, not := d.u32(0), d.u32(4), d.u8(8)&1 != 0; lo != 0 || hi != 0xffffffff || not {
		o.add(not, "ipcompspi", span(lo, hi, ":"))
	}
	return o.flag(d.u8(9) != 0, "compres").only()
}

// hexSpan writes LO, or LO:HI where they differ.
func hexSpan(lo, hi uint32) string {
	if lo == hi {
		return hex(lo)
	}
	return hex(lo) + ":" + hex(hi)
}
