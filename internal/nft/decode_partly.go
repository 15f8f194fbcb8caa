package nft

import (
	"reflect"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// A rule is a list of expressions, of which any may end it (NFT_BREAK): what
// those before it did to the packet stays done. So where a rule sets a mark or
// writes a header and asks for something after that, packets that do not fit
// bear the mark all the same.

// acted gives copies of the states that still run and have done something.
func (m *machine) acted() []state {
	var out []state
	m.each(func(s *state) {
		if len(s.branch.Assigns) > 0 || s.rewrite != (rewrite{}) {
			kept := *s
			kept.branch.Effects = slices.Clone(s.branch.Effects)
			out = append(out, kept)
		}
	})
	return out
}

// keepPartly keeps what was done before an expression narrowed the rule.
func (m *machine) keepPartly(before []state) {
	for _, s := range before {
		same := func(now state) bool { return reflect.DeepEqual(now.branch.Match, s.branch.Match) }
		if !slices.ContainsFunc(m.states, same) {
			s.branch.Verdict = host.Continue
			m.partly = append(m.partly, s)
		}
	}
}

// branches settles the ways through the rule: those that take most of it first,
// for a packet goes the first way that fits.
func (m *machine) branches(room []host.Branch) []host.Branch {
	slices.Reverse(m.partly)
	m.states = append(m.states, m.partly...)
	for i := range m.states {
		m.settle(&m.states[i])
		room = append(room, m.states[i].branch)
	}
	return room
}
