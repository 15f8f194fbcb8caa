package nft

import (
	"github.com/natwarden/natwarden/internal/host"
)

// maxBranches bounds the branches of a rule that looks into several maps;
// one map alone may have maxElements. After maxTotal branches of all rules
// together maps are no longer taken apart, so that no ruleset exhausts memory.
const (
	maxBranches = 4096
	maxElements = 65536
	maxTotal    = 1 << 20
)

// look is one lookup: what is looked for, where, and what becomes of it.
type look struct {
	set     *knownSet
	name    string
	sreg    uint32
	dreg    uint32
	data    bool // a value goes to dreg
	verdict bool // the element's verdict counts
	not     bool
}

// doLookup is nft_lookup.
func (m *machine) doLookup(f *fields) {
	l := look{name: f.text(1), sreg: f.u32(2), dreg: f.u32(3), not: f.u32(5)&1 != 0}
	l.set = m.t.sets[l.name]
	if l.set == nil {
		m.unsure("set "+l.name, "set "+quoted(l.name)+" could not be read")
		return
	}
	l.verdict = f.has(3) && l.dreg == verdictRegister
	l.data = f.has(3) && !l.verdict
	m.native = m.native || m.t.family != host.Bridge
	elems := l.set.elements()
	if l.set.torn {
		m.doubt("elements of set " + l.name)
	}
	if f.u32(5)&^1 != 0 || l.not && f.has(3) {
		m.doubt("a lookup that is unknown")
		return
	}
	switch {
	case len(elems) == 0 || m.t.dynamic[l.name]:
		m.lookChanging(l)
	default:
		m.lookEach(l)
	}
}

// lookEach looks up in every state that runs; a lookup may fork it.
func (m *machine) lookEach(l look) {
	n := len(m.states)
	for i := range n {
		if !m.states[i].done {
			m.lookKnown(i, l)
		}
	}
	m.dropContradictions(n)
}

// lookKnown looks into a set whose elements stand fast.
func (m *machine) lookKnown(i int, l look) {
	s := &m.states[i]
	parts := m.key(s, l.sreg, int(l.set.raw.KeyLen))
	random := len(parts) == 1 && parts[0].value.kind == number
	switch {
	case !l.data && !l.verdict:
		m.lookSet(i, l, parts)
	case random && l.data:
		m.lookBalanced(s, l, &parts[0].value)
	case m.tooMany(l):
		m.lookVast(i, l, parts)
	default:
		m.fork(i, l, parts)
	}
}

func (m *machine) tooMany(l look) bool {
	n := len(l.set.elems)
	if m.t.branches > maxTotal && n > 16 {
		return true
	}
	return n > maxElements || len(m.states) > 1 && len(m.states)*n > maxBranches
}

// lookSet is membership: one branch where the set is one dimension, else one
// for each element.
func (m *machine) lookSet(i int, l look, parts []keyPart) {
	s := &m.states[i]
	if len(parts) == 1 && (m.narrowToSet(s, l, &parts[0].value) || m.expectSet(s, l, &parts[0].value)) {
		return
	}
	if l.not || !m.anyModelled(s, parts) || m.tooMany(l) || len(l.set.elems) > maxBranches {
		s.require(m.lookWords(s, l, parts, ""))
		return
	}
	m.fork(i, l, parts)
}

func (m *machine) anyModelled(s *state, parts []keyPart) bool {
	var room [4]piece
	for i := range parts {
		v := &parts[i].value
		if v.kind == constant || v.kind == loaded && len(m.pieces(s, v, room[:0])) > 0 {
			return true
		}
	}
	return false
}

// answerKey tells the ways apart in which one set can be asked.
type answerKey struct {
	dim  dim
	swap bool
}

// narrowToSet joins a set of one dimension to what the state takes.
func (m *machine) narrowToSet(s *state, l look, v *value) bool {
	if v.kind == constant {
		if inSet(l.set.elems, v.data) == l.not {
			s.kill(contradiction)
		}
		return true
	}
	var room [4]piece
	if v.kind != loaded {
		return false
	}
	pieces := m.pieces(s, v, room[:0])
	if len(pieces) != 1 || v.countsOutside(pieces) {
		return false
	}
	a := m.setAnswer(l.set, pieces[0], v)
	if a == nil {
		return false
	}
	m.apply(s, a, l.not)
	s.original(v)
	return true
}

// setAnswer is the union of a set's elements. Sets that many rules share are
// worked out once.
func (m *machine) setAnswer(k *knownSet, p piece, v *value) *answer {
	key := answerKey{p.dim, v.swap}
	simple := v.plain() && p.whole()
	if a, ok := k.answers[key]; ok && simple {
		return a
	}
	a := &answer{dim: p.dim}
	for _, e := range k.elems {
		if e.all {
			a = nil
			break
		}
		if !a.add(m, p, v, e.test(v.size)) {
			a = nil
			break
		}
	}
	if simple {
		if k.answers == nil {
			k.answers = map[answerKey]*answer{}
		}
		k.answers[key] = a
	}
	return a
}

// test asks for the n first bytes of the element's key.
func (e *element) test(n int) test { return e.partTest(0, n) }

// partTest asks for n bytes of a concatenated key.
func (e *element) partTest(at, n int) test {
	lo, hi := e.lo[min(at, len(e.lo)):min(at+n, len(e.lo))], e.hi[min(at, len(e.hi)):min(at+n, len(e.hi))]
	if string(lo) == string(hi) {
		return test{op: opEq, lo: lo}
	}
	return test{op: opIn, lo: lo, hi: hi}
}

func inSet(elems []element, key []byte) bool {
	for i := range elems {
		e := &elems[i]
		if e.all || len(e.lo) > 0 && e.test(len(e.lo)).holds(key) {
			return true
		}
	}
	return false
}
