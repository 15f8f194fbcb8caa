package host

import (
	"fmt"
	"net/netip"
	"strings"
)

// Addrs is a set of addresses of one family; nil is any.
type Addrs = Set[netip.Addr]

var (
	allV4 = Range[netip.Addr]{netip.AddrFrom4([4]byte{}), netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	allV6 = Range[netip.Addr]{netip.IPv6Unspecified(), netip.AddrFrom16([16]byte{
		255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255})}
)

func addrDomain(s Addrs) Range[netip.Addr] {
	if len(s) > 0 && !s[0].Lo.Is4() {
		return allV6
	}
	return allV4
}

// AddrRange gives the addresses from lo to hi, of one family.
func AddrRange(lo, hi netip.Addr) Addrs { return WholeAddrs(Of(Range[netip.Addr]{lo, hi})) }

// AddrsOf gives the addresses of a prefix; of a /0 that is any.
func AddrsOf(p netip.Prefix) Addrs { return AddrRange(p.Masked().Addr(), LastAddr(p)) }

// LastAddr is the highest address of a prefix.
func LastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// WholeAddrs writes a set that holds a whole family as any. The family stays
// restricted by whatever holds the set.
func WholeAddrs(s Addrs) Addrs { return s.whole(addrDomain(s)) }

// NotAddrs gives the addresses of the same family that are not in s.
func NotAddrs(s Addrs) Addrs { return s.complement(addrDomain(s)) }

// AddrsString writes addresses as the contract does: "" for any, prefixes and
// ranges separated by commas, "!10.0.0.0/8" for a set that holds both ends.
func AddrsString(s Addrs) string {
	switch {
	case s.Any():
		return ""
	case s.Empty():
		return "none"
	}
	domain := addrDomain(s)
	if s[0].Lo == domain.Lo && s[len(s)-1].Hi == domain.Hi {
		return "!" + addrList(NotAddrs(s))
	}
	return addrList(s)
}

func addrList(s Addrs) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(AddrRangeString(r.Lo, r.Hi))
	}
	return b.String()
}

// AddrRangeString writes one range: an address, a prefix, or LO-HI.
func AddrRangeString(lo, hi netip.Addr) string {
	if lo == hi {
		return lo.String()
	}
	if p, ok := asPrefix(lo, hi); ok {
		return p.String()
	}
	return lo.String() + "-" + hi.String()
}

func asPrefix(lo, hi netip.Addr) (netip.Prefix, bool) {
	for bits := 0; bits < lo.BitLen(); bits++ {
		p := netip.PrefixFrom(lo, bits)
		if p.Masked().Addr() == lo && LastAddr(p) == hi {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// ParseAddrs reads what AddrsString writes; "any" and "" are any. All parts
// must be of one family.
func ParseAddrs(text string) (Addrs, error) {
	text = strings.TrimSpace(text)
	if text == "" || text == "any" {
		return nil, nil
	}
	list, not := strings.CutPrefix(text, "!")
	var ranges []Range[netip.Addr]
	for _, part := range strings.Split(list, ",") {
		r, err := parseAddrRange(strings.TrimSpace(part))
		if err != nil {
			return Nothing[netip.Addr](), err
		}
		if len(ranges) > 0 && ranges[0].Lo.Is4() != r.Lo.Is4() {
			return Nothing[netip.Addr](), fmt.Errorf("%q mixes IPv4 and IPv6: write one entry for each", text)
		}
		ranges = append(ranges, r)
	}
	set := Of(ranges...)
	if not {
		return NotAddrs(set), nil
	}
	return WholeAddrs(set), nil
}

func parseAddrRange(text string) (Range[netip.Addr], error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return Range[netip.Addr]{p.Masked().Addr(), LastAddr(p)}, nil
	}
	low, high, ranged := strings.Cut(text, "-")
	lo, err := netip.ParseAddr(low)
	hi, err2 := lo, error(nil)
	if ranged {
		hi, err2 = netip.ParseAddr(high)
	}
	if err != nil || err2 != nil || lo.Zone() != "" || hi.Zone() != "" || lo.Is4() != hi.Is4() || hi.Less(lo) {
		return Range[netip.Addr]{}, fmt.Errorf("%q is no address: want ADDR, PREFIX/LEN or LO-HI", text)
	}
	return Range[netip.Addr]{lo, hi}, nil
}
