package edit

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/nft"
)

// Steps makes the steps that end what refs name.
func (e editor) Steps(ctx context.Context, refs []host.Ref, ids []string) ([]change.Step, []change.Refusal, error) {
	v, err := e.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	p := &planner{view: v, ipsets: newIPSets(ctx), rules: map[*nft.Rule]*ruleWish{}, elements: map[string]*elementWish{}}
	for i, ref := range refs {
		id := ""
		if i < len(ids) {
			id = ids[i]
		}
		if err := p.wish(ref, id); err != nil {
			return nil, nil, err
		}
	}
	steps, err := p.steps()
	return steps, p.refusals, err
}

// planner gathers what is wished for each rule and element before it makes steps.
type planner struct {
	view     *view
	ipsets   *ipsets
	rules    map[*nft.Rule]*ruleWish
	elements map[string]*elementWish
	order    []*elementWish
	refusals []change.Refusal
}

// ruleWish is a rule to be deleted, or to lose what cut names.
type ruleWish struct {
	ref    host.Ref
	ids    []string
	chain  *chainView
	at     int // its place in the chain, from 0
	delete bool
	cut    cut
}

// elementWish is an element of a named set to be deleted.
type elementWish struct {
	ref   host.Ref
	ids   []string
	table *tableView
}

func (p *planner) wish(ref host.Ref, id string) error {
	c := p.view.chain(ref.Family, ref.Table, ref.Chain)
	if c == nil {
		return stale(fmt.Sprintf("chain %s %s %s is gone", ref.Family, ref.Table, ref.Chain))
	}
	at, err := c.locate(ref)
	if err != nil {
		return err
	}
	if why := untouchable(c.table, c.Rules[at], ref); why != "" {
		p.refusals = append(p.refusals, change.Refusal{Ref: ref, Why: why})
		return nil
	}
	if ref.Set != "" && !ref.Anonymous {
		return p.wishElement(c.table, ref, id)
	}
	return p.wishRule(c, at, ref, id)
}

// locate finds the rule that was read: by its handle, or, where somebody loaded
// the chain anew and so gave other handles, by its content, as long as it is the
// only one of its kind in its chain.
func (c *chainView) locate(ref host.Ref) (at int, err error) {
	prints := c.fingerprints()
	at = c.find(ref.Handle)
	if at >= 0 && prints[at] == ref.Fingerprint {
		return at, nil
	}
	same := slices.Index(prints, ref.Fingerprint)
	switch {
	case same >= 0 && slices.Index(prints[same+1:], ref.Fingerprint) < 0:
		return same, nil
	case at < 0:
		return -1, stale(fmt.Sprintf("the rule with handle %d of %s is gone", ref.Handle, c.name()))
	}
	return -1, stale(ruleName(c, at) + " is another than was read")
}

func stale(what string) error { return fmt.Errorf("%s: %w", what, change.ErrGone) }

// tableOwned is NFT_TABLE_F_OWNER: only the process that made the table may change it.
const tableOwned = 2

// untouchable says why the kernel would not let a rule go or come back.
func untouchable(t *tableView, r *nft.Rule, ref host.Ref) string {
	if t.Flags&tableOwned != 0 {
		return fmt.Sprintf("table %s %s belongs to a running process (netlink port %d, \"flags owner\"): only that process can change it; stop or reconfigure it", familyName(t.Family), t.Name, t.Owner)
	}
	if ref.Set != "" && !ref.Anonymous {
		return "" // the rule stays
	}
	for _, u := range uses(r.Exprs) {
		if u.inverted && u.set == ref.Set && ref.Set != "" {
			return "the rule acts on what is not in its set: it would act on more without the element"
		}
	}
	return ""
}

func (p *planner) wishElement(t *tableView, ref host.Ref, id string) error {
	if t.sets[ref.Set] == nil {
		return stale(fmt.Sprintf("set %s %s %s is gone", ref.Family, ref.Table, ref.Set))
	}
	key := fmt.Sprintf("%s\x00%s\x00%s\x00%x", ref.Family, ref.Table, ref.Set, ref.Key)
	w := p.elements[key]
	if w == nil {
		w = &elementWish{ref: ref, table: t}
		p.elements[key] = w
		p.order = append(p.order, w)
	}
	w.ids = append(w.ids, id)
	return nil
}

// wishRule notes what a ref wants of the rule that it names. What stands in an
// anonymous chain can only change with the rule that the chain belongs to.
func (p *planner) wishRule(c *chainView, at int, ref host.Ref, id string) error {
	inner := c.Rules[at]
	top, topAt := c, at
	for n := 0; top.anonymous(); n++ {
		if top, topAt = owner(top); top == nil || n > deepest {
			return stale(fmt.Sprintf("no rule jumps to the anonymous chain of %s", ruleName(c, at)))
		}
	}
	w := p.rules[top.Rules[topAt]]
	if w == nil {
		w = &ruleWish{ref: ref, chain: top, at: topAt, cut: cut{rules: map[uint64]bool{}, keys: map[string][][]byte{}}}
		p.rules[top.Rules[topAt]] = w
	}
	w.ids = append(w.ids, id)
	switch {
	case ref.Set != "":
		w.cut.keys[ref.Set] = append(w.cut.keys[ref.Set], ref.Key)
	case top == c:
		w.delete = true
	default:
		w.cut.rules[inner.Handle] = true
	}
	return nil
}

// owner finds the rule that an anonymous chain belongs to; nil for none.
func owner(c *chainView) (*chainView, int) {
	for _, raw := range c.table.Chains {
		for i, r := range raw.Rules {
			for _, u := range uses(r.Exprs) {
				if u.chain == c.Name {
					return c.table.chains[raw.Name], i
				}
			}
		}
	}
	return nil, 0
}

// steps makes the steps: rules in the order of the dump, then elements.
func (p *planner) steps() ([]change.Step, error) {
	var out []change.Step
	for _, w := range p.ordered() {
		s, err := p.ruleStep(w)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	for _, w := range p.order {
		s, err := p.elementStep(w)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (p *planner) ordered() []*ruleWish {
	tables, chains := map[*tableView]int{}, map[*nft.Chain]int{}
	for i, t := range p.view.order {
		tables[t] = i
		for j, c := range t.Chains {
			chains[c] = j
		}
	}
	out := make([]*ruleWish, 0, len(p.rules))
	for _, w := range p.rules {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b *ruleWish) int {
		return cmp.Or(cmp.Compare(tables[a.chain.table], tables[b.chain.table]),
			cmp.Compare(chains[a.chain.Chain], chains[b.chain.Chain]), cmp.Compare(a.at, b.at))
	})
	return out
}

func (p *planner) ruleStep(w *ruleWish) (change.Step, error) {
	r := w.chain.Rules[w.at]
	before, _ := w.chain.table.collect(r, cut{})
	s := change.Step{IDs: w.ids, Action: change.Delete, Place: w.chain.place(w.at), Reversible: true}
	var err error
	if s.Before, err = p.ruleObject(w, r, before); err != nil || w.delete {
		return s, err
	}
	if after, left := w.chain.table.collect(r, w.cut); left {
		s.Action = change.Edit
		s.After, err = p.ruleObject(w, r, after)
		if err == nil && s.After.Fingerprint == s.Before.Fingerprint {
			err = stale(ruleName(w.chain, w.at) + ": its set does not hold the element that was read")
		}
	}
	return s, err
}
