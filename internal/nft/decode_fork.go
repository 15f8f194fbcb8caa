package nft

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// keyPart is one component of a concatenated key: its value, and where its
// bytes lie in the key. Components start at multiples of four bytes.
type keyPart struct {
	value value
	at    int
}

// key parts what a lookup compares into the values that were loaded for it.
func (m *machine) key(s *state, register uint32, size int) []keyPart {
	slot, ok := slotOf(register)
	if !ok {
		m.doubt("a register that is unknown")
		return nil
	}
	var parts []keyPart
	for at := 0; at < size; {
		v := m.getSlot(s, slot+at/4, 0)
		if v.size == 0 || v.size > size-at {
			v = m.getSlot(s, slot+at/4, size-at)
			v.size = max(1, min(v.size, size-at))
		}
		parts = append(parts, keyPart{v, at})
		at += (v.size + 3) &^ 3
	}
	return parts
}

// fork makes a branch for each element of the set or map.
func (m *machine) fork(i int, l look, parts []keyPart) {
	origin := m.states[i]
	for n := range l.set.elems {
		e := &l.set.elems[n]
		s := origin
		s.branch.Effects = slices.Clone(origin.branch.Effects)
		m.takeElement(&s, l, e, parts)
		if n == 0 {
			m.states[i] = s
		} else {
			m.states = append(m.states, s)
		}
	}
}

// takeElement makes the state the one in which the element was found.
func (m *machine) takeElement(s *state, l look, e *element, parts []keyPart) {
	if s.branch.Element == nil || l.data || l.verdict {
		s.branch.Element = &host.Element{Set: l.name, Anonymous: l.set.anonymous,
			Key: m.elementText(s, e, parts), Raw: slices.Concat(e.lo, e.rawEnd)}
	}
	if e.all {
		m.takeRest(s, l, parts)
	}
	for i := range parts {
		if e.all {
			break
		}
		p := &parts[i]
		t := e.partTest(p.at, p.value.size)
		if len(t.lo) < p.value.size {
			m.doubt("an element shorter than the key of its set")
			return
		}
		m.narrowElement(s, p, t)
	}
	switch {
	case l.data:
		m.put(s, l.dreg, constantOf(e.data))
	case l.verdict:
		m.takeVerdict(s, e)
	}
}

func (m *machine) narrowElement(s *state, p *keyPart, t test) {
	if v := &p.value; v.kind == loaded && v.place == fromMeta && t.op == opIn && namesAnInterface(v.key) {
		t = nameInterval(t)
	}
	m.narrow(s, &p.value, t)
}

func namesAnInterface(key uint16) bool {
	switch key {
	case metaIifname, metaOifname, metaBriIifname, metaBriOifname, metaSdifname:
		return true
	}
	return false
}

// nameInterval turns the interval that stands for "eth*" back into a beginning.
func nameInterval(t test) test {
	n := 0
	for n < len(t.lo) && n < len(t.hi) && t.lo[n] == t.hi[n] {
		n++
	}
	if n == 0 || n == len(t.lo) {
		return t
	}
	return test{op: opEq, lo: t.lo[:n]}
}

func (m *machine) takeVerdict(s *state, e *element) {
	if e.queue > 0 {
		s.branch.Effects = append(s.branch.Effects, queueEffect(e.queue-1))
	}
	s.finish(e.verdict, e.chain)
}

// finish is end, and knows NFT_BREAK: the rule does nothing more.
func (s *state) finish(v host.Verdict, chain string) {
	if v == verdictBreak {
		s.branch.Verdict, s.done = host.Continue, true
		return
	}
	s.end(v, chain)
}

// takeRest is the element "*": whatever no other element takes.
func (m *machine) takeRest(s *state, l look, parts []keyPart) {
	others := *l.set
	others.elems = slices.DeleteFunc(slices.Clone(l.set.elems), func(e element) bool { return e.all })
	others.answers = nil
	if len(others.elems) == 0 {
		return
	}
	rest := look{set: &others, name: l.name, not: true}
	if len(parts) != 1 || !m.narrowToSet(s, rest, &parts[0].value) {
		s.require(m.keyPartsWords(s, parts) + " in no other element of " + l.title())
	}
}

// dropContradictions takes away forked branches whose element contradicts the
// rest of the rule, as long as one remains.
func (m *machine) dropContradictions(before int) {
	if len(m.states) == before {
		return
	}
	dead := func(s state) bool { return s.branch.Match.Dead == contradiction }
	if !slices.ContainsFunc(m.states, func(s state) bool { return !dead(s) }) {
		m.states = m.states[:1]
		return
	}
	m.states = slices.DeleteFunc(m.states, dead)
}

// lookVast stands for a product of maps that is too large to list: for verdicts
// one branch for each place it can go to, for data one that cannot say where to.
func (m *machine) lookVast(i int, l look, parts []keyPart) {
	origin := m.states[i]
	words := m.lookWords(&origin, l, parts, "")
	origin.branch.Match.Require(words)
	if l.data {
		why := "map " + l.title() + " (too many destinations to list)"
		m.put(&origin, l.dreg, foreignOf(why, int(l.set.raw.DataLen)))
		m.states[i] = origin
		return
	}
	seen := map[string]bool{}
	for n := range l.set.elems {
		e := &l.set.elems[n]
		place := itoa(int(e.verdict)) + e.chain
		if seen[place] {
			continue
		}
		seen[place] = true
		s := origin
		s.branch.Effects = slices.Clone(origin.branch.Effects)
		m.takeVerdict(&s, e)
		if len(seen) == 1 {
			m.states[i] = s
		} else {
			m.states = append(m.states, s)
		}
	}
}
