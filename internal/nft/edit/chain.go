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
	deleted  int // how many deletions the batch holds
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

// proofs is how many deletions in one chain a proof tries. The rest differ from
// them only in the handle, which was read at the generation that guards the batch.
const proofs = 500

// delete adds the message that deletes a rule. Its anonymous sets and chains
// go with it, so that their names are free again.
func (b *batch) delete(number int, m *chainModel, i int) {
	s, t := m.slots[i], m.view.table
	names := m.names(s)
	if m.deleted++; b.proof && m.deleted > proofs && len(names) == 0 {
		return
	}
	attrs := nft.AppendText(nil, unix.NFTA_RULE_TABLE, t.Name)
	attrs = nft.AppendText(attrs, unix.NFTA_RULE_CHAIN, m.view.Name)
	if s.handle != 0 {
		attrs = nft.AppendU64(attrs, unix.NFTA_RULE_HANDLE, s.handle)
	} else {
		attrs = nft.AppendU32(attrs, unix.NFTA_RULE_ID, s.id)
	}
	b.add(number, unix.NFT_MSG_DELRULE, 0, t.Family, attrs)
	for _, name := range names {
		delete(b.used(t), name)
	}
}

// names are those of the anonymous sets and chains of a rule.
func (m *chainModel) names(s slot) []string {
	if s.rule == nil {
		return s.names
	}
	all, _ := m.view.table.collect(s.rule, cut{})
	return all.names()
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
		if m.slots[i].pending != nil {
			b.restore(m.view, &m.slots[i], b.spotFor(m, i, anchors[i]))
		}
	}
}

// spotFor names the place of a rule before its anchor. The kernel walks the
// chain to find a handle, and the batch to find a rule that the batch has made:
// after one of those is the shorter way where many rules come side by side.
func (b *batch) spotFor(m *chainModel, i, anchor int) spot {
	switch {
	case b.proof || anchor < 0:
		return spot{}
	case i > 0 && m.slots[i-1].id != 0 && int(b.seq) < anchor:
		return spot{after: &m.slots[i-1]}
	}
	return spot{before: &m.slots[anchor]}
}

// spot is a place in a chain: before or after a rule, or at the end.
type spot struct{ before, after *slot }

// attrs gives the attributes and flags that say it.
func (s spot) attrs() ([]byte, uint16) {
	switch {
	case s.before != nil && s.before.handle != 0:
		return nft.AppendU64(nil, unix.NFTA_RULE_POSITION, s.before.handle), unix.NLM_F_CREATE
	case s.before != nil:
		return nft.AppendU32(nil, rulePositionID, s.before.id), unix.NLM_F_CREATE
	case s.after != nil:
		return nft.AppendU32(nil, rulePositionID, s.after.id), unix.NLM_F_CREATE | unix.NLM_F_APPEND
	}
	return nil, unix.NLM_F_CREATE | unix.NLM_F_APPEND
}
