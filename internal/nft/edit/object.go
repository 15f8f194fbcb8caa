package edit

import (
	"bytes"
	"fmt"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// The kinds of change.Object.
const (
	kindRule    = "rule"
	kindElement = "element"
)

func (p *planner) ruleObject(w *ruleWish, r *nft.Rule, b belongings) (*change.Object, error) {
	o := &change.Object{
		Kind:        kindRule,
		Netns:       w.ref.Netns,
		Backend:     Backend,
		Family:      familyName(w.chain.table.Family),
		Table:       w.chain.table.Name,
		Chain:       w.chain.Name,
		Handle:      r.Handle,
		Fingerprint: b.fingerprint(w.chain, r),
		Raw:         bytes.Clone(r.Attrs), // not the whole arena that it stands in
		Parts:       b.parts(),
	}
	names, err := p.ipsets.namesIn(r, b)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ruleName(w.chain, w.at), err)
	}
	o.Names = names
	return o, nil
}

// elementStep takes the element out of the planner's view of the set too, so
// that the next element of the same set is seen beside what is left.
func (p *planner) elementStep(w *elementWish) (change.Step, error) {
	s := w.table.sets[w.ref.Set]
	r := without(s, s.Elements, w.ref.Key)
	if !r.found {
		return change.Step{}, stale(fmt.Sprintf("an element of set %s %s %s is gone", w.ref.Family, w.ref.Table, w.ref.Set))
	}
	less := *s
	less.Elements = r.elements
	w.table.sets[w.ref.Set] = &less
	return change.Step{
		IDs: w.ids, Action: change.Delete, Reversible: true,
		Place: change.Place{Index: r.at + 1},
		Before: &change.Object{
			Kind:        kindElement,
			Netns:       w.ref.Netns,
			Backend:     Backend,
			Family:      w.ref.Family,
			Table:       w.ref.Table,
			Set:         w.ref.Set,
			Fingerprint: w.table.printer.Element(w.ref.Set, r.start),
			Raw:         bytes.Clone(r.start),
			Parts:       r.parts(w.ref.Set),
		},
	}, nil
}

// parts are the other elements that an interval needs in its set.
func (r removal) parts(set string) []change.Part {
	var out []change.Part
	if r.end != nil {
		out = append(out, change.Part{Kind: partEnd, Name: set, Raw: bytes.Clone(r.end)})
	}
	if r.close != nil {
		out = append(out, change.Part{Kind: partClose, Name: set, Raw: r.close})
	}
	return out
}
