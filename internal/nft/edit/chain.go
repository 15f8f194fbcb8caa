package edit

import (
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// slot is a rule in the model of a chain.
type slot struct {
	print   string
	handle  uint64    // in the kernel already
	id      uint32    // or made by this batch (NFTA_RULE_ID)
	rule    *nft.Rule // in the kernel already
	names   []string  // of anonymous sets and chains that this batch made for it
	pending *pending  // or still to be made
}

// pending is a rule that is to come.
type pending struct {
	step   *step
	object *change.Object
}

// chainModel is a chain as it stands after the messages so far.
type chainModel struct {
	view     *chainView
	slots    []slot
	adds     []*pending
	dead     map[int]bool
	byHandle map[uint64]int
	byPrint  map[string][]int
}

func newChainModel(c *chainView) *chainModel {
	m := &chainModel{view: c, slots: make([]slot, len(c.Rules))}
	for i, print := range c.fingerprints() {
		m.slots[i] = slot{print: print, handle: c.Rules[i].Handle, rule: c.Rules[i]}
	}
	return m
}

// begin makes the model ready to be searched in this phase.
func (m *chainModel) begin() {
	m.dead, m.adds = map[int]bool{}, nil
	m.byHandle, m.byPrint = make(map[uint64]int, len(m.slots)), nil
	for i, s := range m.slots {
		if s.handle != 0 {
			m.byHandle[s.handle] = i
		}
	}
}

// find gives the place of an object: by its handle where that is still the
// same rule, else by its content, nearest to where it stood. -1: it is gone.
func (m *chainModel) find(o *change.Object, at change.Place) int {
	if i, ok := m.byHandle[o.Handle]; ok && m.slots[i].print == o.Fingerprint && !m.taken(i) {
		return i
	}
	if m.byPrint == nil {
		m.byPrint = map[string][]int{}
		for i, s := range m.slots {
			m.byPrint[s.print] = append(m.byPrint[s.print], i)
		}
	}
	best := -1
	for _, i := range m.byPrint[o.Fingerprint] {
		if !m.taken(i) && (best < 0 || distance(i, at.Index-1) < distance(best, at.Index-1)) {
			best = i
		}
	}
	return best
}

func (m *chainModel) taken(i int) bool { return m.dead[i] || m.slots[i].pending != nil }

func distance(a, b int) int { return max(a-b, b-a) }

// phase is a list of steps that are applied together.
type phase struct {
	*batch
	touched []*chainModel
	begun   map[*chainModel]bool
}

func (p *phase) model(c *chainView) *chainModel {
	m := p.chains[c]
	if m == nil {
		m = newChainModel(c)
		p.chains[c] = m
	}
	if !p.begun[m] {
		if p.begun == nil {
			p.begun = map[*chainModel]bool{}
		}
		p.begun[m] = true
		p.touched = append(p.touched, m)
		m.begin()
	}
	return m
}

// rule takes out what the step takes out, and notes what is to come.
func (p *phase) rule(s *step) {
	o := s.Object()
	c := p.view.chain(o.Family, o.Table, o.Chain)
	if c == nil {
		p.leave(s.number, "chain %s %s %s is gone", o.Family, o.Table, o.Chain)
		return
	}
	m := p.model(c)
	if s.Before == nil {
		m.adds = append(m.adds, &pending{s, s.After})
		return
	}
	i := m.find(s.Before, s.Place)
	if i < 0 {
		p.leave(s.number, "%s is gone already, or was changed", objectName(s.Before))
		return
	}
	p.delete(s.number, m, i)
	if s.After == nil {
		m.dead[i] = true
		return
	}
	m.slots[i] = slot{print: s.After.Fingerprint, pending: &pending{s, s.After}}
}

// delete adds the message that deletes a rule. Its anonymous sets and chains
// go with it, so that their names are free again.
func (b *batch) delete(number int, m *chainModel, i int) {
	s, t := m.slots[i], m.view.table
	attrs := nft.AppendText(nil, unix.NFTA_RULE_TABLE, t.Name)
	attrs = nft.AppendText(attrs, unix.NFTA_RULE_CHAIN, m.view.Name)
	if s.handle != 0 {
		attrs = nft.AppendU64(attrs, unix.NFTA_RULE_HANDLE, s.handle)
	} else {
		attrs = nft.AppendU32(attrs, unix.NFTA_RULE_ID, s.id)
	}
	b.add(number, unix.NFT_MSG_DELRULE, 0, t.Family, attrs)
	names := s.names
	if s.rule != nil {
		all, _ := t.collect(s.rule, cut{})
		names = all.names()
	}
	for _, name := range names {
		delete(b.used(t), name)
	}
}

func (b belongings) names() []string {
	var out []string
	for _, s := range b.sets {
		out = append(out, s.Name)
	}
	for _, c := range b.chains {
		out = append(out, c.Name)
	}
	return out
}

// finish makes what is to come, chain by chain.
func (p *phase) finish() {
	for _, m := range p.touched {
		p.notes = append(p.notes, m.settle()...)
		p.make(m)
	}
}

// settle puts the rules that are to come at their places among the others.
func (m *chainModel) settle() (notes []string) {
	left := make([]slot, 0, len(m.slots)+len(m.adds))
	for i, s := range m.slots {
		if !m.dead[i] {
			left = append(left, s)
		}
	}
	m.slots, notes = merge(left, m.adds)
	return notes
}

// make adds the messages for the pending rules of a chain. Each goes before the
// next rule that is there already, so that rules side by side come in order;
// where none follows, at the end.
func (b *batch) make(m *chainModel) {
	anchors := make([]int, len(m.slots)) // for each slot the next one that is there
	next := -1
	for i := len(m.slots) - 1; i >= 0; i-- {
		anchors[i] = next
		if m.slots[i].pending == nil {
			next = i
		}
	}
	for i := range m.slots {
		if m.slots[i].pending == nil {
			continue
		}
		var before *slot
		if anchors[i] >= 0 {
			before = &m.slots[anchors[i]]
		}
		b.restore(m.view, &m.slots[i], before)
	}
}
