package xtables

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// line appends the rule to b as iptables-legacy-save writes it (print_rule4
// in iptables/iptables.c of iptables 1.8).
func (p *parts) line(b []byte, l *layout, chain string) []byte {
	b = append(b, "-A "...)
	b = append(b, Quote(chain)...)
	b = p.head(b, l)
	for _, m := range p.matches {
		b = append(append(b, ' '), m...)
	}
	if p.target != "" {
		b = append(append(b, ' '), p.target...)
	}
	return b
}

// head appends addresses, interfaces, protocol and fragment flag.
func (p *parts) head(b []byte, l *layout) []byte {
	inverse := p.raw[l.inverse]
	b = p.appendAddress(b, l, 0, inverse&invSource != 0, "-s ")
	b = p.appendAddress(b, l, 1, inverse&invAddress != 0, "-d ")
	b = p.appendIface(b, l, 0, inverse&invIn != 0, "-i ")
	b = p.appendIface(b, l, 1, inverse&invOut != 0, "-o ")
	if number := u16(p.raw, l.proto); number != 0 {
		b = append(appendFlag(b, inverse&invProto != 0, "-p "), protoName(number)...)
	}
	if l == &layout4 && p.raw[l.flags]&flagFragment4 != 0 {
		b = appendFlag(b, inverse&invFragment != 0, "-f")
	}
	return b
}

func appendFlag(b []byte, not bool, flag string) []byte {
	return append(append(append(b, ' '), notMark(not)...), flag...)
}

func (p *parts) appendAddress(b []byte, l *layout, which int, not bool, flag string) []byte {
	n := l.address
	addr, mask := p.raw[which*n:which*n+n], p.raw[2*n+which*n:2*n+which*n+n]
	if !not && allZero(addr) && allZero(mask) {
		return b
	}
	return appendMasked(appendFlag(b, not, flag), addr, mask)
}

func (p *parts) appendIface(b []byte, l *layout, which int, not bool, flag string) []byte {
	name, mask := l.iface(p.raw, which)
	if mask[0] == 0 {
		return b
	}
	text, wildcard, _ := ifaceName(name, mask)
	if wildcard {
		text += "+"
	}
	return append(appendFlag(b, not, flag), Quote(text)...)
}

// appendMasked appends an address with its prefix length, or with its mask
// where that is no prefix.
func appendMasked(b, addr, mask []byte) []byte {
	a, _ := netip.AddrFromSlice(addr)
	b = append(a.AppendTo(b), '/')
	if bits, ok := prefixBits(mask); ok {
		return strconv.AppendInt(b, int64(bits), 10)
	}
	m, _ := netip.AddrFromSlice(mask)
	return m.AppendTo(b)
}

// protoNames are the names under which iptables prints protocols
// (xtables_chain_protos in libxtables, then /etc/protocols as Debian ships it).
var protoNames = map[uint16]string{1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6",
	47: "gre", 50: "esp", 51: "ah", 58: "ipv6-icmp", 89: "ospf", 103: "pim", 108: "ipcomp", 112: "vrrp",
	115: "l2tp", 132: "sctp", 135: "mobility-header", 136: "udplite"}

func protoName(number uint16) string {
	if name, ok := protoNames[number]; ok {
		return name
	}
	return strconv.Itoa(int(number))
}

// Quote writes a word as iptables-save does (xtables_save_string): as it is
// where it has only harmless characters, else in double quotes, with a
// backslash before quotes and backslashes. What cannot be printed, which
// iptables-save would print raw, becomes the text \xNN: a rule is one line.
func Quote(word string) string {
	if word != "" && strings.IndexFunc(word, isHarmful) < 0 {
		return word
	}
	b := []byte{'"'}
	for len(word) > 0 {
		r, n := utf8.DecodeRuneInString(word)
		switch {
		case r == '"' || r == '\\' || r == '\'':
			b = append(b, '\\', word[0])
		case r == utf8.RuneError && n == 1 || !strconv.IsPrint(r):
			for _, c := range []byte(word[:n]) {
				b = fmt.Appendf(b, `\\x%02x`, c)
			}
		default:
			b = append(b, word[:n]...)
		}
		word = word[n:]
	}
	return string(append(b, '"'))
}

func isHarmful(r rune) bool {
	switch {
	case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
		return false
	}
	return !strings.ContainsRune("-_.:/+*@%,=#!", r)
}
