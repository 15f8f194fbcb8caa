package ipset

import (
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// Addrs gives the addresses that a set of addresses or networks takes: the
// longest prefix that fits an address decides, and it may be an exception
// (nomatch). Many rules may name one set, so a set that was read has them ready.
func (s *Set) Addrs() host.Addrs {
	if s.addrs != nil {
		return *s.addrs
	}
	if !slices.ContainsFunc(s.Elements, func(e Element) bool { return e.NoMatch }) {
		ranges := make([]host.Range[netip.Addr], 0, len(s.Elements))
		for _, e := range s.Elements {
			ranges = append(ranges, host.Range[netip.Addr]{Lo: e.Lo, Hi: e.Hi})
		}
		return host.WholeAddrs(host.Of(ranges...))
	}
	return s.addrsExcept()
}

// addrsExcept goes from the short prefixes to the long ones, which override
// them.
func (s *Set) addrsExcept() host.Addrs {
	set := host.Nothing[netip.Addr]()
	byLength := slices.Clone(s.Elements)
	slices.SortStableFunc(byLength, func(a, b Element) int { return a.Bits - b.Bits })
	for _, e := range byLength {
		if one := host.AddrRange(e.Lo, e.Hi); e.NoMatch {
			set = set.Intersect(host.NotAddrs(one))
		} else {
			set = set.Union(one)
		}
	}
	return host.WholeAddrs(set)
}

// Ports gives the ports that a bitmap:port takes.
func (s *Set) Ports() host.Ports {
	ranges := make([]host.Range[host.Port], 0, len(s.Elements))
	for _, e := range s.Elements {
		ranges = append(ranges, host.Range[host.Port]{Lo: host.Port(e.PortLo), Hi: host.Port(e.PortHi)})
	}
	return host.WholePorts(host.Of(ranges...))
}

// ready computes what Addrs gives.
func (s *Set) ready() {
	if dims := s.Dims(); len(dims) == 1 && (dims[0] == "ip" || dims[0] == "net") && s.Unread == "" {
		addrs := s.Addrs()
		s.addrs = &addrs
	}
}
