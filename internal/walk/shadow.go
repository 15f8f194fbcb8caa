package walk

import (
	"fmt"

	"github.com/natwarden/natwarden/internal/host"
)

// maxBlocks bounds how many earlier verdicts a rule is held against. Those
// kept are the wide ones (any port and address), which is what shadows in
// practice; finer shadows are left undetected, so that the redirect stays active.
const maxBlocks = 64

// A block is a branch after which no packet of its match goes on in the chain.
type block struct {
	rule  int
	match *host.Match
}

type blocks struct {
	chain string
	list  []block
	whole int // index of the first rule that lets nothing pass; len(rules) for none
	// changed is true where rules of the table change header fields: a packet that
	// an earlier verdict did not take may look like one that it takes.
	changed bool
}

func blocksOf(c *host.Chain, ends *terminators) blocks {
	b := blocks{chain: c.Name, whole: len(c.Rules)}
	for i, r := range c.Rules {
		for n := range r.Branches {
			branch := &r.Branches[n]
			if !ends.ends(branch) || !certain(&branch.Match) {
				continue
			}
			if ends.whole(&branch.Match) && i < b.whole {
				b.whole = i
			}
			if len(b.list) < maxBlocks && branch.Match.Ports.Any() && branch.Match.Address.Any() {
				b.list = append(b.list, block{i, &branch.Match})
			}
		}
		if b.whole == i {
			break
		}
	}
	return b
}

// certain says whether the match is stated wholly in sets: a condition in
// words may hold now and not later.
func certain(m *host.Match) bool {
	return len(m.Conditions) == 0 && m.Dead == "" && m.Waiting == ""
}

// before says what keeps packets of the match from the rule with that index;
// "" for nothing.
func (b *blocks) before(rule int, m *host.Match) string {
	if b.whole < rule {
		return b.words(b.whole)
	}
	for _, block := range b.list {
		if b.changed || block.rule >= rule {
			break
		}
		if block.match.Covers(m) {
			return b.words(block.rule)
		}
	}
	return ""
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
			if t.whole(&b.Match) && t.endsForGood(b) {
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
