package xt

import (
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// u32Test is struct xt_u32_test.
type u32Test struct {
	steps  []u32Step
	values []u32Value
}

// u32Step is struct xt_u32_location_element: op is applied with n.
type u32Step struct {
	n  uint32
	op uint8 // XT_U32_AND, LEFTSH, RIGHTSH, AT; of the first it says nothing
}

type u32Value struct{ lo, hi uint32 }

// u32Match reads struct xt_u32. The tests that read a port, the protocol or an
// address of IPv4 in the usual way become sets; others stay words.
func u32Match(d *data) ([]host.Match, string) {
	count, not := int(d.u8(1980)), d.u8(1981) != 0
	if count > 11 {
		d.refuse()
		return nil, ""
	}
	var m host.Match
	var all, rest []string
	for i := 0; i < count; i++ {
		t := d.u32Test(180 * i)
		text := t.String()
		all = append(all, text)
		known, ok := t.match()
		if !ok || not || d.fam != host.IP {
			rest = append(rest, text)
			continue
		}
		m.Narrow(&known)
	}
	o := d.match().as(not, "u32", "", `"`+strings.Join(all, "&&")+`"`)
	if len(rest) > 0 {
		word := "u32 "
		if not {
			word = "not u32 "
		}
		o.word(word + `"` + strings.Join(rest, "&&") + `"`)
	}
	return o.with(m)
}

func (d *data) u32Test(off int) (t u32Test) {
	steps, values := int(d.u8(off+176)), int(d.u8(off+177))
	if steps > 11 || values > 11 {
		d.refuse()
		return t
	}
	for i := 0; i < steps; i++ {
		t.steps = append(t.steps, u32Step{d.u32(off + 8*i), d.u8(off + 8*i + 4)})
	}
	for i := 0; i < values; i++ {
		t.values = append(t.values, u32Value{d.u32(off + 88 + 8*i), d.u32(off + 92 + 8*i)})
	}
	return t
}

// String writes the test as iptables-save does.
func (t u32Test) String() string {
	return t.location() + "=" + t.wanted()
}

func (t u32Test) location() string {
	text := ""
	for i, s := range t.steps {
		if i > 0 && s.op < 4 {
			text += [...]string{"&", "<<", ">>", "@"}[s.op]
		}
		text += hex(s.n)
	}
	return text
}

func (t u32Test) wanted() string {
	var list []string
	for _, v := range t.values {
		list = append(list, hexSpan(v.lo, v.hi))
	}
	return strings.Join(list, ",")
}

// match gives the sets for the locations that name a field of the packet. The
// options of the header are skipped by 0>>22&0x3C@.
func (t u32Test) match() (m host.Match, ok bool) {
	const header = "0x0>>0x16&0x3c@"
	limit := uint32(0xffff)
	switch where := t.location(); where {
	case header + "0x0&0xffff":
		m.Ports = t.ports()
	case header + "0x2>>0x10":
		m.Ports = t.ports()
	case header + "0x0>>0x10":
		m.SPorts = t.ports()
	case "0x6&0xff":
		m.Protos, limit = t.protos(), 0xff
	case "0xc":
		m.Source, limit = t.addrs(), 0xffffffff
	case "0x10":
		m.Address, limit = t.addrs(), 0xffffffff
	default:
		return m, false
	}
	for _, v := range t.values {
		if v.hi > limit || v.lo > v.hi {
			return host.Match{}, false
		}
	}
	return m, len(t.values) > 0
}

func (t u32Test) ports() host.Ports {
	set := host.Nothing[host.Port]()
	for _, v := range t.values {
		set = set.Union(host.PortsOf(uint16(v.lo), uint16(v.hi)))
	}
	return host.WholePorts(set)
}

func (t u32Test) protos() host.Protos {
	set := host.Nothing[host.Proto]()
	for _, v := range t.values {
		set = set.Union(host.Of(host.Range[host.Proto]{Lo: host.Proto(v.lo), Hi: host.Proto(v.hi)}))
	}
	return set
}

func (t u32Test) addrs() host.Addrs {
	set := host.Nothing[netip.Addr]()
	for _, v := range t.values {
		set = set.Union(host.AddrRange(addr4(v.lo), addr4(v.hi)))
	}
	return host.WholeAddrs(set)
}

func addr4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
