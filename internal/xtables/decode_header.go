package xtables

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// header decodes what every entry has before its matches: struct ipt_ip or
// struct ip6t_ip6.
func (d *decoder) header(p *parts) host.Match {
	m := host.Match{Family: d.t.Family}
	inverse := p.raw[d.l.inverse]
	m.Source = d.address(&m, p, 0, inverse&invSource != 0, "-s")
	m.Address = d.address(&m, p, 1, inverse&invAddress != 0, "-d")
	m.In = d.iface(&m, p, 0, inverse&invIn != 0, "-i")
	m.Out = d.iface(&m, p, 1, inverse&invOut != 0, "-o")
	m.Protos = d.proto(p)
	d.flags(&m, p)
	return m
}

// address decodes source (which 0) or destination (which 1). A mask that is
// no prefix goes to the conditions: it describes no few ranges.
func (d *decoder) address(m *host.Match, p *parts, which int, not bool, flag string) host.Addrs {
	n := d.l.address
	addr, mask := p.raw[which*n:which*n+n], p.raw[2*n+which*n:2*n+which*n+n]
	if !not && allZero(mask) && allZero(addr) {
		return nil
	}
	if !within(addr, mask) {
		if not {
			return nil // no packet has this masked address, so every packet is another
		}
		return host.Nothing[netip.Addr]()
	}
	bits, contiguous := prefixBits(mask)
	if !contiguous {
		m.Require(notMark(not) + flag + " " + string(appendMasked(nil, addr, mask)))
		return nil
	}
	a, _ := netip.AddrFromSlice(addr)
	set := host.Addrs{{Lo: a, Hi: a}} // most rules name single hosts
	if bits < a.BitLen() {
		set = host.AddrsOf(netip.PrefixFrom(a, bits))
	}
	if not {
		return host.NotAddrs(set)
	}
	return set
}

// within says whether an address has no bits outside its mask; the kernel
// compares the masked address of a packet with it.
func within(addr, mask []byte) bool {
	for i := range addr {
		if addr[i]&^mask[i] != 0 {
			return false
		}
	}
	return true
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// prefixBits gives the length of a mask, and whether it is a prefix at all.
func prefixBits(mask []byte) (int, bool) {
	bits := 0
	for bits < len(mask)*8 && mask[bits/8]&(0x80>>(bits%8)) != 0 {
		bits++
	}
	for i := bits; i < len(mask)*8; i++ {
		if mask[i/8]&(0x80>>(i%8)) != 0 {
			return bits, false
		}
	}
	return bits, true
}

// iface decodes the ingoing (which 0) or outgoing (which 1) interface. Bytes
// whose mask is zero are not compared: "eth+".
func (d *decoder) iface(m *host.Match, p *parts, which int, not bool, flag string) host.Ifaces {
	name, mask := d.l.iface(p.raw, which)
	if allZero(mask) {
		if not {
			m.Dead = "! " + flag + " +: no interface is none"
		}
		return host.Ifaces{}
	}
	text, wildcard, plain := ifaceName(name, mask)
	if !plain || strings.HasSuffix(text, "*") && !wildcard {
		m.Require(notMark(not) + flag + " " + Quote(text))
		return host.Ifaces{}
	}
	if wildcard {
		text += "*"
	}
	return host.Ifaces{Names: []string{text}, Not: not}
}

// iface gives the name and the mask of an interface.
func (l *layout) iface(raw []byte, which int) (name, mask []byte) {
	at := l.ifaces + which*ifaceSize
	return raw[at : at+ifaceSize], raw[at+2*ifaceSize : at+3*ifaceSize]
}

// ifaceName reads a name under its mask. plain is false for a mask that no
// iptables writes: one with holes or half bytes.
func ifaceName(name, mask []byte) (text string, wildcard, plain bool) {
	n := 0
	for n < ifaceSize && mask[n] == 0xff {
		n++
	}
	for _, b := range mask[n:] {
		if b != 0 {
			return cstring(name), false, false
		}
	}
	text = cstring(name[:n])
	ended := len(text) < n // the NUL is compared as well, so nothing may follow
	return text, !ended && n < ifaceSize, allZero(name[len(text):n])
}

// proto decodes the protocol; each single one is made once.
func (d *decoder) proto(p *parts) host.Protos {
	number := u16(p.raw, d.l.proto)
	if number == 0 || d.l == &layout6 && p.raw[d.l.flags]&flagProto6 == 0 {
		return nil
	}
	if number > 255 { // no packet has it, so every packet has another
		if p.raw[d.l.inverse]&invProto != 0 {
			return nil
		}
		return host.Nothing[host.Proto]()
	}
	key := host.Proto(number)
	set, known := d.protos[key]
	if !known {
		set = host.ProtosOf(key)
		d.protos[key] = set
	}
	if p.raw[d.l.inverse]&invProto != 0 {
		return host.NotProtos(set)
	}
	return set
}

// flags decodes fragments (IPv4) and the type of service (IPv6).
func (d *decoder) flags(m *host.Match, p *parts) {
	flags, inverse := p.raw[d.l.flags], p.raw[d.l.inverse]
	known, knownInverse := byte(flagFragment4|flagGoto4), byte(0x7f&^invTOS)
	if d.l == &layout6 {
		known, knownInverse = flagProto6|flagTOS6|flagGoto6, 0x7f&^invFragment
		if flags&flagTOS6 != 0 {
			m.Require(fmt.Sprintf("%stos %#x", notMark(inverse&invTOS != 0), p.raw[d.l.tos]))
		}
	} else if flags&flagFragment4 != 0 {
		m.Require(notMark(inverse&invFragment != 0) + "-f")
	}
	if flags&^known != 0 || inverse&^knownInverse != 0 {
		what := fmt.Sprintf("flags %#x/%#x", flags, inverse)
		p.opaque = append(p.opaque, what)
		m.Require(what + " (not understood)")
	}
}

func notMark(not bool) string {
	if not {
		return "! "
	}
	return ""
}
