package walk

import (
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// An extent is what one branch of a rule takes on one or more of its ways:
// one box of protocol, ports, address and source.
type extent struct {
	match host.Match
	ways  []way
	after string // shadowed on all of its ways; the reason
}

// outbound says whether only packets of this host itself come this way.
func (w way) outbound() bool { return w.base.Hook == "output" || w.base.Hook == "egress" }

// extents gives the boxes of a branch over all ways to its chain. Boxes inside
// another one are not repeated: inbound ways come first, so that what a rule
// does to packets from outside is what its row says.
func (n *node) extents(rule int, b *host.Branch) []extent {
	if n.many {
		return []extent{n.asItStands(rule, b)}
	}
	var out []extent
	for _, w := range inboundFirst(n.ways) {
		e, ok := n.extent(w, rule, b)
		if ok {
			out = addExtent(out, e)
		}
	}
	return out
}

func (n *node) extent(w way, rule int, b *host.Branch) (extent, bool) {
	m := w.match
	m.Narrow(&b.Match)
	if m.Impossible() && !awaits(&m) {
		if !n.rewrites || b.Match.Impossible() {
			return extent{}, false
		}
		m = b.Match
	}
	after := w.after
	if after == "" {
		after = n.block.before(rule, &m)
	}
	return extent{match: m, ways: []way{w}, after: after}, true
}

// hooks are those from which a box is reached.
func hooks(e *extent) []string {
	var out []string
	for _, w := range e.ways {
		if !slices.Contains(out, w.base.Hook) {
			out = append(out, w.base.Hook)
		}
	}
	return out
}

// devices are the interfaces at which the base chains of all ways stand; nil
// where one of them stands at none in particular.
func devices(e *extent) []string {
	var out []string
	for _, w := range e.ways {
		if len(w.base.Devices) == 0 {
			return nil
		}
		for _, d := range w.base.Devices {
			if !slices.Contains(out, d) {
				out = append(out, d)
			}
		}
	}
	return out
}

// awaits turns a contradiction with the present entries of an ipset into what
// waits for others; false where there is none.
func awaits(m *host.Match) bool {
	if len(m.Lists) == 0 || m.Family == "none" {
		return false
	}
	if m.Waiting == "" {
		m.Waiting = unfit(m.Lists)
	}
	m.Widen()
	return true
}

func unfit(lists []string) string { return "no entry of ipset " + strings.Join(lists, ", ") + " fits" }

// asItStands takes the rule's own match for a chain with too many ways: that
// is the widest that it can be.
func (n *node) asItStands(rule int, b *host.Branch) extent {
	return extent{match: b.Match, ways: inboundFirst(n.ways), after: n.block.before(rule, &b.Match)}
}

func inboundFirst(ways []way) []way {
	out := slices.Clone(ways)
	slices.SortStableFunc(out, func(a, b way) int { return order(a) - order(b) })
	return out
}

func order(w way) int {
	if w.outbound() {
		return 1
	}
	return 0
}

// addExtent adds a box, or its way to the box that covers it already. A box
// that is reached covers a shadowed one, never the other way round.
func addExtent(list []extent, e extent) []extent {
	for i := range list {
		have := &list[i]
		if (have.after == "" || e.after != "") && (have.match.Covers(&e.match) || same(&have.match, &e.match)) {
			have.ways = append(have.ways, e.ways...)
			return list
		}
	}
	return append(list, e)
}

// same compares boxes that Covers does not: those that wait or are dead.
func same(a, b *host.Match) bool {
	return a.Family == b.Family && a.Dead == b.Dead && a.Waiting == b.Waiting &&
		a.Protos.Equal(b.Protos) && a.Ports.Equal(b.Ports) && a.SPorts.Equal(b.SPorts) &&
		a.Address.Equal(b.Address) && a.Source.Equal(b.Source) &&
		slices.Equal(a.Conditions, b.Conditions) && slices.Equal(a.In.Names, b.In.Names) && slices.Equal(a.Out.Names, b.Out.Names)
}
