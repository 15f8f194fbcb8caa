package edit

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// belongings are the anonymous sets and chains that go and come with a rule.
// Inner chains stand before the chains whose rules jump to them.
type belongings struct {
	sets   []*nft.Set
	chains []*nft.Chain
}

// cut says what a rule is to lose: rules of its anonymous chains, by handle,
// and elements of its anonymous sets, by set name and key.
type cut struct {
	rules map[uint64]bool
	keys  map[string][][]byte
}

// deepest bounds how far anonymous chains nest; the kernel allows 16 jumps.
const deepest = 16

// collect gives what belongs to a rule after a cut. It is false where nothing
// of the rule would be left: a set without elements, a chain without rules.
func (t *tableView) collect(r *nft.Rule, c cut) (belongings, bool) {
	var b belongings
	left := t.collectInto(&b, r, c, 0)
	return b, left
}

func (t *tableView) collectInto(b *belongings, r *nft.Rule, c cut, depth int) bool {
	left := true
	for _, use := range uses(r.Exprs) {
		switch {
		case use.set != "":
			left = t.collectSet(b, use.set, c) && left
		case depth < deepest:
			left = t.collectChain(b, use.chain, c, depth) && left
		}
	}
	return left
}

func (t *tableView) collectSet(b *belongings, name string, c cut) bool {
	s := t.sets[name]
	if s == nil || s.Flags&unix.NFT_SET_ANONYMOUS == 0 {
		return true
	}
	keys := c.keys[name]
	if len(keys) == 0 {
		b.sets = append(b.sets, s)
		return true
	}
	less := *s
	for _, key := range keys {
		less.Elements = without(s, less.Elements, key).elements
	}
	b.sets = append(b.sets, &less)
	return slices.ContainsFunc(less.Elements, func(e []byte) bool { return !ending(e) })
}

func (t *tableView) collectChain(b *belongings, name string, c cut, depth int) bool {
	inner := t.chains[name]
	if inner == nil || !inner.anonymous() {
		return true
	}
	less := *inner.Chain
	less.Rules = nil
	for _, r := range inner.Rules {
		if !c.rules[r.Handle] && t.collectInto(b, r, c, depth+1) {
			less.Rules = append(less.Rules, r)
		}
	}
	b.chains = append(b.chains, &less)
	return len(less.Rules) > 0 || len(inner.Rules) == 0
}

// parts are the belongings as a step carries them.
func (b belongings) parts() []change.Part {
	var out []change.Part
	for _, s := range b.sets {
		out = append(out, change.Part{Kind: partSet, Name: s.Name, Raw: s.Attrs, Elements: s.Elements})
	}
	for _, c := range b.chains {
		p := change.Part{Kind: partChain, Name: c.Name, Raw: c.Attrs}
		for _, r := range c.Rules {
			p.Elements = append(p.Elements, r.Attrs)
		}
		out = append(out, p)
	}
	return out
}

// fingerprint is that of a rule of chain c with these belongings.
func (b belongings) fingerprint(c *chainView, r *nft.Rule) string {
	t := &nft.Table{Family: c.table.Family, Name: c.table.Name, Sets: b.sets, Chains: b.chains}
	return nft.NewPrinter(t).Rule(c.Chain, r)
}

// The kinds of change.Part.
const (
	partSet   = "set"
	partChain = "chain"
	partEnd   = "end"   // of an element: the end of its interval
	partClose = "close" // of an element: what ends the interval before it while it is away
)

// use is a set or chain that an expression names.
type use struct {
	set, chain string
	inverted   bool // a lookup of what is not in the set
}

// uses gives the sets and chains that a rule names.
func uses(exprs []byte) []use {
	var out []use
	list, _ := nft.Expressions(exprs) // the kernel's own, or read strictly
	for _, e := range list {
		switch e.Name {
		case "lookup":
			flags := nft.U32(nft.Find(e.Data, unix.NFTA_LOOKUP_FLAGS))
			out = appendSet(out, nft.Find(e.Data, unix.NFTA_LOOKUP_SET), flags&1 != 0) // NFT_LOOKUP_F_INV
		case "dynset":
			out = appendSet(out, nft.Find(e.Data, unix.NFTA_DYNSET_SET_NAME), false)
		case "objref":
			out = appendSet(out, nft.Find(e.Data, unix.NFTA_OBJREF_SET_NAME), false)
		case "immediate":
			name := nft.FindPath(e.Data, unix.NFTA_IMMEDIATE_DATA, unix.NFTA_DATA_VERDICT, unix.NFTA_VERDICT_CHAIN)
			if len(name) > 0 {
				out = append(out, use{chain: nft.Text(name)})
			}
		}
	}
	return out
}

func appendSet(out []use, name []byte, inverted bool) []use {
	if len(name) == 0 || slices.ContainsFunc(out, func(u use) bool { return u.set == nft.Text(name) }) {
		return out
	}
	return append(out, use{set: nft.Text(name), inverted: inverted})
}
