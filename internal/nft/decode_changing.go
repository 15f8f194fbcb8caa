package nft

import (
	"bytes"
	"slices"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

func (l look) title() string {
	if l.set.anonymous {
		return "{ … }"
	}
	return "@" + l.name
}

// lookChanging looks into a set that is empty or that packets fill: who is in
// it can only be said in words.
func (m *machine) lookChanging(l look) {
	filled := m.t.dynamic[l.name]
	n := len(m.states)
	for i := range n {
		s := &m.states[i]
		if s.done {
			continue
		}
		parts := m.key(s, l.sreg, int(l.set.raw.KeyLen))
		switch {
		case filled:
			m.lookFilled(i, l, parts)
		case l.not: // nothing is in an empty set
		default:
			m.lookEmpty(s, l)
		}
	}
}

// lookEmpty is a set without elements that only an editor can give some.
func (m *machine) lookEmpty(s *state, l look) {
	what := "set "
	if l.set.raw.Flags&setMap != 0 {
		what = "map "
	}
	if l.set.raw.Flags&setConstant != 0 {
		s.kill("constant " + what + l.title() + " is empty")
	} else if s.branch.Match.Waiting == "" {
		s.branch.Match.Waiting = what + l.title() + " is empty"
	}
	if l.data {
		m.put(s, l.dreg, value{kind: choice, words: "map " + l.title() + " (empty)", size: int(l.set.raw.DataLen)})
	}
}

// lookFilled is a set that packets fill. Of a map the elements of this moment
// are branches, and there is one more for those to come.
func (m *machine) lookFilled(i int, l look, parts []keyPart) {
	s := &m.states[i]
	words := m.lookWords(s, l, parts, " (filled by packets)")
	if !l.data && !l.verdict {
		s.require(words)
		return
	}
	origin := *s
	if len(l.set.elems) > 0 && !m.tooMany(l) {
		m.fork(i, l, parts)
		origin.branch.Effects = slices.Clone(origin.branch.Effects)
		m.states = append(m.states, origin)
		s = &m.states[len(m.states)-1]
	}
	s.require(words)
	if l.data {
		m.put(s, l.dreg, foreignOf("map "+l.title()+", which packets fill", int(l.set.raw.DataLen)))
		return
	}
	s.branch.Effects = append(s.branch.Effects, host.Effect{Unknown: "packets choose the verdict by map " + l.title()})
	s.end(host.Uncertain, "")
}

// lookBalanced looks a number up that is drawn or hashed for each flow: any of
// the elements that it can reach may be taken.
func (m *machine) lookBalanced(s *state, l look, v *value) {
	c := value{kind: choice, words: v.words, size: int(l.set.raw.DataLen)}
	var reached, possible uint64
	possible = uint64(v.mod)
	for i := range l.set.elems {
		e := &l.set.elems[i]
		lo, hi := uint64(v.offset), uint64(v.offset)+uint64(v.mod)-1
		if !e.all {
			lo = max(lo, hostNumber(e.lo, v.swap))
			hi = min(hi, hostNumber(e.hi, v.swap))
		}
		if lo > hi {
			continue
		}
		reached += hi - lo + 1
		if !slices.ContainsFunc(c.alts, func(b []byte) bool { return string(b) == string(e.data) }) {
			c.alts = append(c.alts, e.data)
		}
	}
	if len(c.alts) == 0 {
		s.kill(v.words + " never gives a key of " + l.title())
	}
	if reached < possible {
		s.require(v.words + " gives a key of " + l.title())
	}
	m.put(s, l.dreg, c)
}

// doDynset is nft_dynset: packets change the set. Where it refuses (a full set,
// an expression on the element) the rule ends.
func (m *machine) doDynset(f *fields) {
	if f.u32(3) > dynsetDelete {
		m.doubt("a set operation that is unknown")
		return
	}
	if f.u32(3) != dynsetDelete || f.u32(9)&1 != 0 || limits(f[7]) || limits(f[10]) {
		m.each(func(s *state) { s.require("as @" + f.text(1) + " allows") })
	}
}

// limits says whether expressions of an element can end a rule.
func limits(exprs []byte) bool {
	return bytes.Contains(exprs, []byte("limit\x00")) || bytes.Contains(exprs, []byte("quota\x00"))
}

// narrowTime holds an absolute window against the clock.
func (m *machine) narrowTime(s *state, v *value, t test) {
	lo, hi, ok := timeWindow(v, t)
	now := m.t.env.Now.UnixNano()
	words := m.testWords(s, v, t)
	switch {
	case !ok || m.t.env.Now.IsZero():
		s.require(words)
	case now > hi:
		s.kill("the time of " + quoted(words) + " is over")
	case now < lo && s.branch.Match.Waiting == "":
		s.branch.Match.Waiting = "its time has not come: " + words
	default:
		s.require(words)
	}
}

// timeWindow gives the first and last nanosecond since 1970 that pass.
func timeWindow(v *value, t test) (lo, hi int64, ok bool) {
	if !v.plain() || len(t.lo) < 8 {
		return 0, 0, false
	}
	const end = int64(^uint64(0) >> 1)
	x := int64(hostNumber(t.lo, v.swap))
	switch t.op {
	case opEq:
		return x, x + int64(time.Second) - 1, true
	case opLt:
		return 0, x - 1, true
	case opLte:
		return 0, x, true
	case opGt:
		return x + 1, end, true
	case opGte:
		return x, end, true
	case opIn:
		return x, int64(hostNumber(t.hi, v.swap)), len(t.hi) >= 8
	}
	return 0, 0, false
}
