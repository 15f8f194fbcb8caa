package path

import (
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// truth is the value of a test.
type truth uint8

const (
	no truth = iota
	maybe
	yes
)

func truthOf(holds bool) truth {
	if holds {
		return yes
	}
	return no
}

// asking is one match being held against a packet.
type asking struct {
	*walker
	s     *state
	m     *host.Match
	late  bool // sets of the match are about the original tuple, and the packet has another
	words []string
	// split is a side of the cell of which some packets fit and the one that is
	// followed does not; 0 for none.
	split side
}

// match says whether a branch takes the packet. Where that is open the words
// say on what it depends.
func (k *walker) match(m *host.Match, s *state) (truth, string) {
	if m.Dead != "" || m.Family != "" && m.Family != host.Both && m.Family != k.family {
		return no, ""
	}
	k.tests++
	a := asking{walker: k, s: s, m: m}
	if !a.sets(m) || !a.ifaces(m) || !a.tests(m) || !a.waits(m) {
		return no, ""
	}
	for _, c := range m.Conditions {
		if !a.condition(m, c) {
			return no, ""
		}
	}
	if k.cell != nil && !a.settle() {
		return no, ""
	}
	if len(a.words) > 0 {
		return maybe, strings.Join(a.words, " and ")
	}
	return yes, ""
}

// open notes that something is not decided.
func (a *asking) open(words string) bool {
	if words == "" {
		words = "what the rule asks for holds"
	}
	a.words = append(a.words, words)
	return true
}

// take joins a test's value; false ends the match.
func (a *asking) take(t truth, words string) bool {
	if t == maybe {
		return a.open(words)
	}
	return t == yes
}

// deduced is take for what stays the same on the packet's whole way: what was
// guessed of it before is not guessed again.
func (a *asking) deduced(words string) bool {
	switch {
	case a.s.guessed(words):
		return true
	case a.s.guessed(negated(words)):
		return false
	}
	return a.open(words)
}

func negated(words string) string { return "not (" + words + ")" }

func (a *asking) sets(m *host.Match) bool {
	s := a.s
	if a.late = asksOriginal(m) && !a.same(&s.tuple, &s.orig); a.late {
		a.pin()
	}
	if !has(m.Protos, a.packet.Proto) {
		return false
	}
	to := func(p uint16) bool { return has(m.Ports, host.Port(p)) }
	if !a.inSet(ofPorts, to(s.dport), to(s.orig.dport), func() string { return "to port " + host.PortsString(m.Ports) }) {
		return false
	}
	if !a.inSet(ofTo, has(m.Address, s.dst), has(m.Address, s.orig.dst), func() string { return "to " + host.AddrsString(m.Address) }) {
		return false
	}
	return a.source(m) && a.sourcePort(m)
}

// inSet joins membership in a set that is about the packet, or, of some
// matches, about the original tuple: where those differ it is open.
func (a *asking) inSet(of side, now, original bool, words func() string) bool {
	if a.late && now != original {
		return a.open(words())
	}
	return now || a.only(of)
}

// has says whether a point is in a set, whose ranges are in order.
func has[T host.Point[T]](set host.Set[T], p T) bool {
	if set.Any() {
		return true
	}
	i, j := 0, len(set)
	for i < j {
		if m := (i + j) / 2; set[m].Hi.Compare(p) < 0 {
			i = m + 1
		} else {
			j = m
		}
	}
	return i < len(set) && set[i].Lo.Compare(p) <= 0
}

func asksOriginal(m *host.Match) bool {
	for i := range m.Tests {
		if m.Tests[i].Field == host.FieldOriginal {
			return true
		}
	}
	return false
}

func (a *asking) source(m *host.Match) bool {
	s := a.s
	words := func() string { return "from " + host.AddrsString(m.Source) }
	switch {
	case m.Source.Any():
		return true
	case !s.src.IsValid() && s.masked:
		return a.open(words() + " after its source was translated")
	case !s.src.IsValid():
		return a.deduced(words())
	}
	return a.inSet(ofFrom, has(m.Source, s.src), s.orig.src.IsValid() && has(m.Source, s.orig.src), words)
}

func (a *asking) sourcePort(m *host.Match) bool {
	s := a.s
	words := func() string { return "from port " + host.PortsString(m.SPorts) }
	switch {
	case m.SPorts.Any():
		return true
	case s.sport == 0 && s.masked:
		return a.open(words() + " after its source was translated")
	case s.sport == 0:
		return a.deduced(words())
	}
	return a.inSet(ofSPorts, has(m.SPorts, host.Port(s.sport)), has(m.SPorts, host.Port(s.orig.sport)), words)
}

func (a *asking) ifaces(m *host.Match) bool {
	if !m.Out.Any() && !named(m.Out, a.s.out) {
		return false
	}
	switch {
	case m.In.Any():
		return true
	case a.s.inAny:
		return a.deduced("in " + m.In.String())
	}
	return named(m.In, a.s.in) || a.only(ofIn)
}

func named(i host.Ifaces, name string) bool {
	for _, n := range i.Names {
		if fits(n, name) {
			return !i.Not
		}
	}
	return i.Not
}

// waits decides what an empty set lets through: nothing, unless packets fill it.
func (a *asking) waits(m *host.Match) bool {
	if m.Waiting == "" {
		return true
	}
	if a.filled[m.Waiting] {
		return a.open("packets filled " + strings.TrimSuffix(m.Waiting, " is empty"))
	}
	a.event()
	return false
}

// condition decides what stands in words only. "-f" asks for a later fragment,
// which a first packet is not.
func (a *asking) condition(m *host.Match, c string) bool {
	switch {
	case a.anyOfFlow() && (c == "-f" || c == "! -f"):
		return a.open(c)
	case c == "-f":
		return false
	case c == "! -f":
		return true
	}
	for i := range m.Tests {
		if m.Tests[i].Words == c {
			return true // decided by the test
		}
	}
	return a.open(c)
}
