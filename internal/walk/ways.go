package walk

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// maxWays bounds the ways that are kept for one chain; a chain with more is
// reached "in many ways", and its rules are then taken as they stand.
const maxWays = 64

// maxDepth bounds jumps. nf_tables refuses to nest deeper than
// NFT_JUMP_STACK_SIZE (16) when it loads a chain; x_tables sets no such bound,
// so that what lies deeper counts as reached in many ways.
const maxDepth = 32

// A way is one path of jumps and gotos from a hook to a chain.
type way struct {
	base  *host.Base
	path  []string
	match host.Match // what the jumps on it let through
	after string     // what keeps every packet from it, in words; "" for nothing
}

// graph is a table as its chains hang together.
type graph struct {
	table  *host.Table
	chains map[string]*node
}

type node struct {
	chain *host.Chain
	ways  []way
	many  bool  // there are more ways than are kept
	jumps []hop // jumps and gotos out of the chain, in order
	block blocks
	// rewrites is true where a rule of the table changes header fields of packets
	// that go on: what a jump let through may then look different further down.
	rewrites bool
}

type hop struct {
	rule   int
	branch *host.Branch
}

func newGraph(t *host.Table) *graph {
	g := &graph{table: t, chains: make(map[string]*node, len(t.Chains))}
	changes := rewrites(t)
	for _, c := range t.Chains {
		g.chains[c.Name] = &node{chain: c, jumps: jumpsOf(c), rewrites: changes}
	}
	ends := terminators{graph: g, known: map[string]bool{}}
	for _, n := range g.chains {
		n.block = blocksOf(n.chain, &ends)
		n.block.changed = changes
	}
	for _, c := range t.Chains {
		if c.Base != nil {
			g.enter(g.chains[c.Name], way{base: c.Base, path: []string{c.Name}})
		}
	}
	return g
}

func rewrites(t *host.Table) bool {
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			for _, b := range r.Branches {
				for _, e := range b.Effects {
					if e.Kind == "rewrite" {
						return true
					}
				}
			}
		}
	}
	return false
}

func jumpsOf(c *host.Chain) []hop {
	var out []hop
	for i, r := range c.Rules {
		for b := range r.Branches {
			branch := &r.Branches[b]
			if branch.Verdict == host.Jump || branch.Verdict == host.Goto {
				out = append(out, hop{i, branch})
			}
		}
	}
	return out
}

// enter follows a way into a chain and on through its jumps.
func (g *graph) enter(n *node, w way) {
	if len(n.ways) >= maxWays || len(w.path) > maxDepth {
		g.reachAnyhow(n, w)
		return
	}
	n.ways = append(n.ways, w)
	for _, hop := range n.jumps {
		next := g.chains[hop.branch.Chain]
		if next == nil || slices.Contains(w.path, hop.branch.Chain) {
			continue
		}
		if onward, ok := w.through(n, hop); ok {
			g.enter(next, onward)
		}
	}
}

// reachAnyhow notes that a chain, and every one that it leads to, is reached in
// more ways than are kept. One way from each hook is kept as its witness.
func (g *graph) reachAnyhow(n *node, w way) {
	fromHere := func(have way) bool { return have.base == w.base }
	known := slices.ContainsFunc(n.ways, fromHere)
	if n.many && known {
		return
	}
	n.many = true
	if !known {
		n.ways = append(n.ways, way{base: w.base, path: w.path})
	}
	for _, hop := range n.jumps {
		if next := g.chains[hop.branch.Chain]; next != nil {
			g.reachAnyhow(next, way{base: w.base, path: append(slices.Clone(w.path), hop.branch.Chain)})
		}
	}
}

// through extends a way by a jump; false where no packet can take it.
func (w way) through(n *node, h hop) (way, bool) {
	next := way{base: w.base, after: w.after}
	next.path = append(slices.Clone(w.path), h.branch.Chain)
	next.match = w.match
	next.match.Narrow(&h.branch.Match)
	if next.match.Impossible() && !awaits(&next.match) {
		if !n.rewrites {
			return way{}, false
		}
		next.match = h.branch.Match
	}
	if next.after == "" {
		next.after = n.block.before(h.rule, &next.match)
	}
	return next, true
}
