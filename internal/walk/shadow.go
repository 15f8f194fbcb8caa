package walk

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// maxBlocks bounds how many earlier wide verdicts (any port and address) a rule
// is held against, and how many of those about its own port or address. What
// lies beyond is left undetected, so that the redirect stays active.
const maxBlocks = 64

// A block is a branch after which no packet of its match goes on in the chain.
type block struct {
	rule  int
	match *host.Match
}

// spot is the single port, the single address, or both, that a block is about.
type spot struct {
	port int // -1: any
	addr netip.Addr
}

type blocks struct {
	chain  string
	list   []block
	narrow map[spot][]block
	whole  int // index of the first rule that lets nothing pass; len(rules) for none
	// changed is true where rules of the table change header fields: a packet that
	// an earlier verdict did not take may look like one that it takes.
	changed bool
}

func blocksOf(c *host.Chain, ends *terminators) blocks {
	b := blocks{chain: c.Name, whole: len(c.Rules)}
	for i, r := range c.Rules {
		for n := range r.Branches {
			branch := &r.Branches[n]
			if !ends.ends(branch) || !certain(&branch.Match) || redirects(branch) {
				continue
			}
			if ends.whole(&branch.Match) && i < b.whole {
				b.whole = i
			}
			b.keep(block{i, &branch.Match})
		}
		if b.whole == i {
			break
		}
	}
	return b
}

func (b *blocks) keep(one block) {
	where, ok := spotOf(one.match)
	switch {
	case !ok:
	case where == spot{port: -1}:
		if len(b.list) < maxBlocks {
			b.list = append(b.list, one)
		}
	case len(b.narrow[where]) < maxBlocks:
		if b.narrow == nil {
			b.narrow = map[spot][]block{}
		}
		b.narrow[where] = append(b.narrow[where], one)
	}
}

// spotOf is false where the match names several ports or addresses.
func spotOf(m *host.Match) (spot, bool) {
	where := spot{port: -1}
	if !m.Ports.Any() {
		if len(m.Ports) != 1 || m.Ports[0].Lo != m.Ports[0].Hi {
			return where, false
		}
		where.port = int(m.Ports[0].Lo)
	}
	if !m.Address.Any() {
		if len(m.Address) != 1 || m.Address[0].Lo != m.Address[0].Hi {
			return where, false
		}
		where.addr = m.Address[0].Lo
	}
	return where, true
}

// certain says whether the match is stated wholly in sets: a condition in
// words may hold now and not later, and only a tracked packet has the original
// tuple of a connection.
func certain(m *host.Match) bool {
	return len(m.Conditions) == 0 && m.Dead == "" && m.Waiting == "" &&
		!slices.ContainsFunc(m.Tests, func(t host.Test) bool { return t.Field == host.FieldOriginal })
}

// redirects says whether the branch may be taken away as a redirect: what it
// keeps packets from acts as soon as it is gone.
func redirects(b *host.Branch) bool {
	return slices.ContainsFunc(b.Effects, func(e host.Effect) bool { return !e.Source || e.Unknown != "" })
}

// before says what keeps packets of the match from the rule with that index;
// "" for nothing.
func (b *blocks) before(rule int, m *host.Match) string {
	if b.whole < rule {
		return b.words(b.whole)
	}
	if b.changed {
		return ""
	}
	if found := covering(b.list, rule, m); found >= 0 {
		return b.words(found)
	}
	where, ok := spotOf(m)
	if !ok || b.narrow == nil {
		return ""
	}
	for _, at := range []spot{where, {port: where.port}, {port: -1, addr: where.addr}} {
		if found := covering(b.narrow[at], rule, m); found >= 0 {
			return b.words(found)
		}
	}
	return ""
}

// covering gives the index of the first rule of the list, before the given one,
// that takes every packet of the match; -1 for none.
func covering(list []block, rule int, m *host.Match) int {
	for _, block := range list {
		if block.rule >= rule {
			break
		}
		if block.match.Covers(m) {
			return block.rule
		}
	}
	return -1
}

func (b *blocks) words(rule int) string {
	return fmt.Sprintf("shadowed: rule %d of chain %s ends the way of every packet that it could take", rule+1, b.chain)
}

// terminators knows which chains never give a packet back.
type terminators struct {
	graph *graph
	known map[string]bool
}

// ends says whether a packet that takes the branch never reaches the rest of
// the chain.
func (t *terminators) ends(b *host.Branch) bool {
	switch b.Verdict {
	case host.Accept, host.Drop, host.Return, host.Goto, host.Stolen:
		return true
	case host.Jump:
		return t.chainEnds(b.Chain)
	}
	return false // Continue, Queue (it may be re-injected), Uncertain
}

// chainEnds says whether every packet that enters the chain ends there: by a
// whole accept or drop, or by a jump or goto to a chain that does so.
func (t *terminators) chainEnds(name string) bool {
	if ends, ok := t.known[name]; ok {
		return ends
	}
	t.known[name] = false // a loop ends nothing; the kernel refuses it anyway
	n := t.graph.chains[name]
	ends := n != nil && t.rulesEnd(n.chain)
	t.known[name] = ends
	return ends
}

func (t *terminators) rulesEnd(c *host.Chain) bool {
	for _, r := range c.Rules {
		for i := range r.Branches {
			b := &r.Branches[i]
			if t.mayReturn(b) {
				return false
			}
			if t.whole(&b.Match) && t.endsForGood(b) && !redirects(b) {
				return true
			}
		}
	}
	return false
}

// whole says whether every packet of the table fits. The family of a table of
// one family is no restriction there.
func (t *terminators) whole(m *host.Match) bool {
	if m.Family == "" || m.Family != t.graph.table.Family {
		return m.IsWhole()
	}
	all := *m
	all.Family = ""
	return all.IsWhole()
}

// mayReturn says whether the branch can give the packet back to the caller
// before a later rule ends it.
func (t *terminators) mayReturn(b *host.Branch) bool {
	switch b.Verdict {
	case host.Return, host.Uncertain:
		return true
	case host.Goto:
		return !t.chainEnds(b.Chain)
	}
	return false
}

func (t *terminators) endsForGood(b *host.Branch) bool {
	switch b.Verdict {
	case host.Accept, host.Drop, host.Stolen:
		return true
	case host.Jump, host.Goto:
		return t.chainEnds(b.Chain)
	}
	return false
}
