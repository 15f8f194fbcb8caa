package nft

import (
	"bytes"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// op is how a value is compared. The first six are enum nft_cmp_ops.
type op uint8

const (
	opEq op = iota
	opNeq
	opLt
	opLte
	opGt
	opGte
	opIn  // from lo to hi
	opOut // not from lo to hi
)

// test is what a value is held against; hi is used by opIn and opOut.
type test struct {
	op     op
	lo, hi []byte
}

// holds says whether known bytes pass. Bytes compare as the kernel does: memcmp.
func (t test) holds(b []byte) bool {
	b = b[:min(len(b), len(t.lo))]
	c := bytes.Compare(b, t.lo)
	switch t.op {
	case opEq:
		return c == 0
	case opNeq:
		return c != 0
	case opLt:
		return c < 0
	case opLte:
		return c <= 0
	case opGt:
		return c > 0
	case opGte:
		return c >= 0
	}
	inside := c >= 0 && bytes.Compare(b, t.hi) <= 0
	return inside == (t.op == opIn)
}

// doCmp is nft_cmp.
func (m *machine) doCmp(f *fields) {
	t := test{op: op(f.u32(2)), lo: f.data(3)}
	if f.u32(2) > uint32(opGte) || len(t.lo) == 0 {
		m.doubt("a comparison that is unknown")
		return
	}
	m.each(func(s *state) {
		v := m.get(s, f.u32(1), len(t.lo))
		m.narrow(s, &v, t)
		m.joinOrders(s, &v, t, f.u32(1))
	})
	m.prev = order{f.u32(1), t}
}

// order is a comparison and the register that it looks at.
type order struct {
	register uint32
	test     test
}

// joinOrders turns the conditions ">= a" and "<= b", which is how nft asks for
// a range, into "a-b".
func (m *machine) joinOrders(s *state, v *value, t test, register uint32) {
	have := s.branch.Match.Conditions
	if t.op != opLte || m.prev.test.op != opGte || m.prev.register != register || len(have) < 2 {
		return
	}
	n := len(have) - 2
	if have[n] == m.testWords(s, v, m.prev.test) && have[n+1] == m.testWords(s, v, t) {
		s.branch.Match.Conditions = slices.Clone(have[:n])
		joined := test{op: opIn, lo: m.prev.test.lo, hi: t.lo}
		m.expect(s, v, joined, m.testWords(s, v, joined))
	}
}

// doRange is nft_range.
func (m *machine) doRange(f *fields) {
	m.native = m.native || f.u32(2) > 1
	t := test{op: opIn, lo: f.data(3), hi: f.data(4)}
	if f.u32(2) == 1 {
		t.op = opOut
	}
	if f.u32(2) > 1 || len(t.lo) == 0 || len(t.lo) != len(t.hi) {
		m.doubt("a range that is unknown")
		return
	}
	m.each(func(s *state) {
		v := m.get(s, f.u32(1), len(t.lo))
		m.narrow(s, &v, t)
	})
}

// narrow joins a test to what the state takes: as a set where the model has
// one, else in words.
func (m *machine) narrow(s *state, v *value, t test) {
	switch {
	case v.kind == constant:
		if !t.holds(v.data) {
			s.kill(contradiction)
		}
	case v.kind == number && v.mod <= 1:
		if !t.holds(v.numberBytes(v.offset)) { // it is the same number each time
			s.kill(contradiction)
		}
	case v.kind == loaded && v.place == fromMeta && v.key == metaTime:
		m.narrowTime(s, v, t)
	case v.kind == loaded && m.narrowSets(s, v, t):
	default:
		m.expect(s, v, t, m.testWords(s, v, t))
	}
	s.contradicted()
}

// narrowSets is false where the test, or some of it, cannot be said in sets.
func (m *machine) narrowSets(s *state, v *value, t test) bool {
	var room [4]piece
	pieces := m.pieces(s, v, room[:0])
	counted := 0
	for _, p := range pieces {
		if v.counts(p.from, p.n) {
			counted++
		}
	}
	if counted == 0 || counted > 1 && t.op != opEq {
		return false
	}
	all := !v.countsOutside(pieces)
	if !all && t.op != opEq {
		return false
	}
	for _, p := range pieces {
		if !v.counts(p.from, p.n) {
			continue
		}
		a := m.scratchAnswer(p.dim)
		if !a.add(m, p, v, t) {
			all = false
			continue
		}
		m.apply(s, a, false)
	}
	s.original(v)
	return all
}

// counts says whether any bit of n bytes takes part in a comparison.
func (v *value) counts(from, n int) bool {
	if v.mask == nil {
		return true
	}
	for i := from; i < from+n && i < len(v.mask); i++ {
		if v.mask[i] != 0 {
			return true
		}
	}
	return false
}

// countsOutside says whether bytes outside the pieces take part.
func (v *value) countsOutside(pieces []piece) bool {
	at := 0
	for _, p := range pieces {
		if p.from > at && v.counts(at, p.from-at) {
			return true
		}
		at = p.from + p.n
	}
	return at < v.size && v.counts(at, v.size-at)
}

// apply narrows the state to an answer, or to all but it.
func (m *machine) apply(s *state, a *answer, not bool) {
	match := &s.branch.Match
	switch a.dim {
	case dimPort:
		match.Ports = match.Ports.Intersect(a.ports(not))
	case dimSport:
		match.SPorts = match.SPorts.Intersect(a.ports(not))
	case dimProto:
		match.Protos = match.Protos.Intersect(a.protos(not))
	case dimNextHeader:
		m.applyNextHeader(s, a.protos(not))
	case dimSource:
		match.Source = match.Source.Intersect(a.addresses(not))
	case dimAddress:
		match.Address = match.Address.Intersect(a.addresses(not))
	case dimNfproto, dimEther:
		m.applyFamily(s, a, not)
	case dimIn, dimInIndex:
		m.applyIface(s, &match.In, host.Ifaces{Names: a.names, Not: not != a.not}, "iifname")
	case dimOut, dimOutIndex:
		m.applyIface(s, &match.Out, host.Ifaces{Names: a.names, Not: not != a.not}, "oifname")
	}
	s.contradicted()
}
