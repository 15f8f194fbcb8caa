package nft

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// assign notes what the branch sets. Branches that a rule forks into share
// what stood before, so that is never written to.
func (s *state) assign(a ...host.Assign) {
	have := s.branch.Assigns
	s.branch.Assigns = append(have[:len(have):len(have)], a...)
}

// original says that sets of the match are about the connection's original
// tuple: before a translation that is the packet itself, afterwards not.
func (s *state) original(v *value) {
	if v.kind == loaded && v.place == fromCT {
		s.branch.Match.Expect(host.Test{Field: host.FieldOriginal})
	}
}

// doNotrack is nft_notrack.
func (m *machine) doNotrack(*fields) {
	m.each(func(s *state) { s.assign(host.Assign{Field: host.FieldNoTrack}) })
}

// assignMark is "meta mark set" and "ct mark set".
func (m *machine) assignMark(field host.Field, register uint32) {
	m.each(func(s *state) {
		v := m.get(s, register, 4)
		a := host.Assign{Field: field, Mask: 0xffffffff}
		switch {
		case v.kind == constant && len(v.data) == 4:
			a.Value = uint32(hostNumber(v.data, false))
		case v.kind == number && v.mod == 1:
			a.Value = v.offset
		case v.kind == loaded && !v.swap && v.field4() != host.NoField:
			a.From, a.FromMask = v.field4(), v.bits()
			if v.xor != nil {
				a.Value = uint32(hostNumber(v.xor, false))
			}
		default:
			a.Unknown = "the mark comes from " + m.describe(s, &v)
		}
		s.assign(a)
	})
}

// field4 is what a value of at most four bytes is, where a walk can compute it.
func (v *value) field4() host.Field {
	switch {
	case v.kind == foreign:
		return v.field
	case v.kind != loaded:
		return host.NoField
	case v.place == fromMeta && v.key == metaMark:
		return host.FieldMark
	case v.place == fromMeta && v.key == metaPkttype:
		return host.FieldPktType
	case v.place == transportHeader && v.key == 13 && v.size == 1: // struct tcphdr
		return host.FieldTCPFlags
	case v.place != fromCT:
		return host.NoField
	}
	switch v.key {
	case ctMark:
		return host.FieldCTMark
	case ctState:
		return host.FieldCTState
	case ctStatus:
		return host.FieldCTStatus
	case ctDirection:
		return host.FieldCTDirection
	}
	return host.NoField
}

// bits is the mask of a value as a number.
func (v *value) bits() uint32 {
	if v.mask == nil {
		return 0xffffffff
	}
	return uint32(hostNumber(v.mask, v.swap))
}

// afterTranslation says whether packets reach the chain after their
// destination was translated, so that the original tuple is another.
func (m *machine) afterTranslation() bool {
	late := func(c *Chain) bool {
		if c.Hook == nil {
			return false
		}
		switch hookName(m.t.raw.Family, c.Hook.Num) {
		case "input", "forward", "postrouting":
			return true
		}
		return false
	}
	if m.chain.Hook != nil {
		return late(m.chain)
	}
	return slices.ContainsFunc(m.t.raw.Chains, late)
}

// expectOriginal computes a test of the original tuple, where it is one of
// addresses or ports.
func (m *machine) expectOriginal(s *state, v *value, t test, words string) bool {
	if v.kind != loaded || v.place != fromCT || v.dir != dirOriginal {
		return false
	}
	kinds := map[uint16]struct {
		field host.Field
		dim   dim
	}{ctSrcIP: {host.FieldOrigSource, dimSource}, ctDstIP: {host.FieldOrigDest, dimAddress},
		ctSrcIP6: {host.FieldOrigSource, dimSource}, ctDstIP6: {host.FieldOrigDest, dimAddress},
		ctProtoSrc: {host.FieldOrigSPort, dimSport}, ctProtoDst: {host.FieldOrigPort, dimPort}}
	k, known := kinds[v.key]
	size := map[uint16]int{ctSrcIP: 4, ctDstIP: 4, ctProtoSrc: 2, ctProtoDst: 2}[v.key]
	if size == 0 {
		size = 16
	}
	a := m.scratchAnswer(k.dim)
	if !known || !a.add(m, piece{k.dim, 0, 0, min(len(t.lo), size), size}, v, t) {
		return false
	}
	test := host.Test{Words: words, Field: k.field, NeedsFlow: true}
	if k.dim == dimSport || k.dim == dimPort {
		test.Ports = a.ports(false)
	} else {
		test.Addrs = a.addresses(false)
	}
	s.branch.Match.Expect(test)
	return true
}

// expect joins a test in words, and computed where that is possible.
func (m *machine) expect(s *state, v *value, t test, words string) {
	if m.expectOriginal(s, v, t, words) {
		return
	}
	m.expectSpans(s, v, []test{t}, t.op == opNeq || t.op == opOut, words)
}

// expectSet is membership in a set of one dimension that is no set of the model.
func (m *machine) expectSet(s *state, l look, v *value) bool {
	if v.field4() == host.NoField || len(l.set.elems) > maxRanges {
		return false
	}
	tests := make([]test, 0, len(l.set.elems))
	for i := range l.set.elems {
		if l.set.elems[i].all {
			return false
		}
		tests = append(tests, l.set.elems[i].test(v.size))
	}
	parts := []keyPart{{*v, 0}}
	m.expectSpans(s, v, tests, l.not, m.lookWords(s, l, parts, ""))
	return true
}

// expectSpans makes one test of several, of which one must hold (or none).
func (m *machine) expectSpans(s *state, v *value, tests []test, not bool, words string) {
	field := v.field4()
	out := host.Test{Words: words, Field: field, Mask: v.bits(), Not: not}
	if field == host.FieldCTState {
		out.Mask &= 0xffff // above are states that nf_tables does not have
	}
	out.NeedsFlow = v.place == fromCT && v.kind == loaded && v.key != ctState
	for _, t := range tests {
		span, ok := v.span(t)
		if !ok || field == host.NoField || m.assigned(s, field) {
			s.require(words)
			return
		}
		out.Spans = append(out.Spans, span)
	}
	s.branch.Match.Expect(out)
}

// assigned says whether the rule itself has set the field before.
func (m *machine) assigned(s *state, field host.Field) bool {
	for _, a := range s.branch.Assigns {
		if a.Field == field {
			return true
		}
	}
	return false
}

// span is the interval that a test asks for. Numbers in the machine's order are
// compared byte by byte, so that there only equality is an interval.
func (v *value) span(t test) (host.Span, bool) {
	big := v.swap || v.size == 1
	if len(t.lo) < v.size || v.size > 4 {
		return host.Span{}, false
	}
	lo := uint32(hostNumber(t.lo[:v.size], big))
	if v.xor != nil {
		if t.op != opEq && t.op != opNeq {
			return host.Span{}, false
		}
		lo ^= uint32(hostNumber(v.xor, big))
	}
	if t.op == opEq || t.op == opNeq {
		return host.Span{Lo: lo, Hi: lo}, true
	}
	if !big {
		return host.Span{}, false
	}
	return v.ordered(t, lo)
}

func (v *value) ordered(t test, x uint32) (host.Span, bool) {
	const top = 0xffffffff
	switch t.op {
	case opLt:
		return host.Span{Lo: 0, Hi: x - 1}, x > 0
	case opLte:
		return host.Span{Lo: 0, Hi: x}, true
	case opGt:
		return host.Span{Lo: x + 1, Hi: top}, x < top
	case opGte:
		return host.Span{Lo: x, Hi: top}, true
	}
	if len(t.hi) < v.size {
		return host.Span{}, false
	}
	return host.Span{Lo: x, Hi: uint32(hostNumber(t.hi[:v.size], true))}, true
}
