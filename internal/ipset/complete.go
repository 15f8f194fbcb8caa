package ipset

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// complete makes ranges of addresses with prefix lengths and says why the
// element cannot be used, if so.
func (e *Element) complete(s *Set) string {
	addresses := 0
	for _, dim := range s.Dims() {
		switch dim {
		case "ip", "net":
			addresses++
		case "port":
			e.PortHi = max(e.PortHi, e.PortLo)
		case "iface":
			if e.Iface == "" {
				return "an element has no interface"
			}
		case "set":
			if e.Member == "" {
				return "an element has no set"
			}
		case "mac":
			if !e.HasMAC && len(s.Dims()) == 1 {
				return "an element has no address"
			}
		}
	}
	if addresses > 0 {
		bits := e.Bits
		if bits < 0 && s.netmask > 0 { // hash:ip with a netmask holds networks
			bits = s.netmask
		}
		e.Lo, e.Hi, e.Bits = spread(e.Lo, e.Hi, bits)
	}
	if addresses > 1 {
		e.Lo2, e.Hi2, e.Bits2 = spread(e.Lo2, e.Hi2, e.Bits2)
	}
	if addresses > 0 && !s.holds(e.Lo, e.Hi) || addresses > 1 && !s.holds(e.Lo2, e.Hi2) {
		return "an element has no address of its family"
	}
	return ""
}

// spread gives the first and last address of a network; where there is a last
// address already, or no prefix length, it keeps what is there.
func spread(lo, hi netip.Addr, bits int) (netip.Addr, netip.Addr, int) {
	switch {
	case !lo.IsValid():
		return lo, hi, 0
	case hi.IsValid():
		return lo, hi, lo.BitLen()
	case bits < 0 || bits >= lo.BitLen():
		return lo, lo, lo.BitLen()
	}
	p := netip.PrefixFrom(lo, bits).Masked()
	return p.Addr(), host.LastAddr(p), bits
}

func (s *Set) holds(lo, hi netip.Addr) bool {
	return lo.IsValid() && hi.IsValid() && lo.Is4() == hi.Is4() && !hi.Less(lo) &&
		(s.Family == "" || lo.Is4() == (s.Family == host.IP))
}
