package path

import (
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

const (
	// longList is from how many rules, or branches of one rule, on an index is made.
	longList = 24
	// mostPoints is how many ports of a match an index lists one by one.
	mostPoints = 64
	// mostRanges is how many ranges of addresses of a match an index lists.
	mostRanges = 16
)

// index finds, in a long list of matches, those that may take packets for one
// port, or for one address. Each of its two halves knows every match.
type index struct {
	byPort  map[host.Port][]int32
	anyPort []int32
	byTo    map[netip.Prefix][]int32
	lengths []int // of the prefixes in byTo
	anyTo   []int32
}

// newIndex takes matches in order; nil is one that is always a candidate.
func newIndex(matches []*host.Match) *index {
	x := &index{byPort: map[host.Port][]int32{}, byTo: map[netip.Prefix][]int32{}}
	for i, m := range matches {
		x.addPorts(int32(i), m)
		x.addTo(int32(i), m)
	}
	return x
}

func (x *index) addPorts(i int32, m *host.Match) {
	if m == nil || m.Ports.Any() || asksOriginal(m) || points(m.Ports) > mostPoints {
		x.anyPort = append(x.anyPort, i)
		return
	}
	for _, r := range m.Ports {
		for p := int(r.Lo); p <= int(r.Hi); p++ {
			x.byPort[host.Port(p)] = append(x.byPort[host.Port(p)], i)
		}
	}
}

func points(p host.Ports) int {
	n := 0
	for _, r := range p {
		n += int(r.Hi) - int(r.Lo) + 1
	}
	return n
}

func (x *index) addTo(i int32, m *host.Match) {
	if m == nil || m.Address.Any() || asksOriginal(m) || len(m.Address) > mostRanges {
		x.anyTo = append(x.anyTo, i)
		return
	}
	var prefixes [mostRanges]netip.Prefix
	for n, r := range m.Address {
		p, ok := prefixOf(r)
		if !ok {
			x.anyTo = append(x.anyTo, i)
			return
		}
		prefixes[n] = p
	}
	for _, p := range prefixes[:len(m.Address)] {
		if !slices.Contains(x.lengths, p.Bits()) {
			x.lengths = append(x.lengths, p.Bits())
		}
		x.byTo[p] = append(x.byTo[p], i)
	}
}

func prefixOf(r host.Range[netip.Addr]) (netip.Prefix, bool) {
	if r.Lo == r.Hi {
		return netip.PrefixFrom(r.Lo, r.Lo.BitLen()), true
	}
	for bits := r.Lo.BitLen() - 1; bits >= 0; bits-- {
		p := netip.PrefixFrom(r.Lo, bits)
		if p.Masked().Addr() != r.Lo {
			return p, false
		}
		if host.LastAddr(p) == r.Hi {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// candidates are the matches that may take a packet, as lists in order. It is
// false where all of them may.
type candidates struct {
	lists [][]int32
	all   bool
}

// find adds what may take packets of which the port, the address, or both are known.
func (x *index) find(into *candidates, port host.Port, portKnown bool, to netip.Addr, toKnown bool) {
	if !portKnown && !toKnown {
		into.all = true
		return
	}
	one := x.byPort[port]
	if portKnown && (!toKnown || len(one)+len(x.anyPort) <= longList) {
		into.lists = append(into.lists, one, x.anyPort)
		return
	}
	first, n := len(into.lists), len(x.anyTo)
	into.lists = append(into.lists, x.anyTo)
	for _, bits := range x.lengths {
		if bits <= to.BitLen() {
			p, _ := to.Prefix(bits)
			list := x.byTo[p]
			into.lists, n = append(into.lists, list), n+len(list)
		}
	}
	if portKnown && len(one)+len(x.anyPort) < n {
		into.lists = append(into.lists[:first], one, x.anyPort)
	}
}

// next is the first candidate from a place on; end for none.
func (c *candidates) next(from, end int32) int32 {
	if c.all {
		return min(from, end)
	}
	for _, list := range c.lists {
		if i, _ := slices.BinarySearch(list, from); i < len(list) {
			end = min(end, list[i])
		}
	}
	return end
}

// rulesIndex is the index of a long chain; nil of a short one.
func (n *node) rulesIndex() *index {
	n.once.Do(func() {
		for i, r := range n.chain.Rules {
			if len(r.Branches) > longList {
				n.addWide(int32(i), r)
			}
		}
		if len(n.chain.Rules) > longList {
			n.index = newIndex(ruleMatches(n.chain.Rules))
		}
	})
	return n.index
}

func (n *node) addWide(i int32, r *host.Rule) {
	matches := make([]*host.Match, len(r.Branches))
	for b := range r.Branches {
		matches[b] = &r.Branches[b].Match
	}
	if n.wide == nil {
		n.wide = map[int32]*index{}
	}
	n.wide[i] = newIndex(matches)
}

func ruleMatches(rules []*host.Rule) []*host.Match {
	matches := make([]*host.Match, len(rules))
	for i, r := range rules {
		if len(r.Branches) == 1 {
			matches[i] = &r.Branches[0].Match
		}
	}
	return matches
}

// find adds the candidates of an index for a packet under way.
func (k *walker) find(x *index, into *candidates, s *state) {
	x.find(into, host.Port(s.dport), s.portHow == settled || k.cell.ports.one(), s.dst, s.toHow == settled || s.toHow != ofIface && k.cell.to.one())
}
