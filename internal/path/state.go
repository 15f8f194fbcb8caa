package path

import (
	"net/netip"

	"github.com/natwarden/natwarden/internal/host"
)

// flow is what connection tracking knows of the packet.
type flow uint8

const (
	noFlow    flow = iota // not looked at yet
	newFlow               // first packet of a connection
	untracked             // never looked at
)

// mark is a mark, or that it is not known.
type mark struct {
	n       uint32
	unknown bool
}

// tuple is where a packet comes from and goes to. An invalid source is any, a
// source port of 0 as well.
type tuple struct {
	src, dst     netip.Addr
	sport, dport uint16

	// How they follow from what the packet came with, where whole cells are followed.
	fromHow, toHow, sportHow, portHow origin
}

// facts are the packet under way, without how it came to be so.
type facts struct {
	tuple
	orig       tuple // of the connection
	in, out    string
	inAny      bool // the interface of arrival is not known
	packet, ct mark
	flow       flow
	via        netip.Addr // the next hop where it is not the destination
	masked     bool       // the source was translated to what is not known
	toDone     bool       // the destination translation of the flow is decided
	fromDone   bool
	changed    bool  // the destination was translated
	socket     int   // of the listener that TPROXY gave it, plus one
	handedAs   tuple // when TPROXY did
	remarked   bool  // since the routing decision of a packet of this host
	nat        tuple // what the flow was translated to, of a cell
	natted     bool
	took       *took // what redirected it, where whole cells are followed
}

// state is a packet under way.
type state struct {
	facts
	guesses *guess
	steps   *step
}

// took is a redirect that acted on a packet, and those before it.
type took struct {
	effect *host.Effect
	prev   *took
}

// guess is a condition that could not be decided, and how it was taken.
type guess struct {
	words string
	depth int
	prev  *guess
}

type step struct {
	Step
	prev *step
}

func (s state) guessing(words string) state {
	depth := 1
	if s.guesses != nil {
		depth = s.guesses.depth + 1
	}
	s.guesses = &guess{words, depth, s.guesses}
	return s
}

// guessed says whether the words were taken before.
func (s *state) guessed(words string) bool {
	for g := s.guesses; g != nil; g = g.prev {
		if g.words == words {
			return true
		}
	}
	return false
}

func (s *state) note(x Step) {
	if x == (Step{}) {
		return
	}
	s.steps = &step{x, s.steps}
}

// common is what two ways have in common: beyond it they differ.
func common(a, b *guess) *guess {
	for a != b {
		switch {
		case a == nil || b == nil:
			return nil
		case a.depth > b.depth:
			a = a.prev
		case b.depth > a.depth:
			b = b.prev
		default:
			a, b = a.prev, b.prev
		}
	}
	return a
}

// joined merges ways on which the packet looks the same: what they were told
// apart by no longer matters.
func joined(list []state) []state {
	if len(list) < 2 {
		return list
	}
	if len(list) <= fewWays {
		return joinedFew(list)
	}
	at := make(map[facts]int, len(list))
	out := list[:0:0]
	for _, s := range list {
		i, seen := at[s.facts]
		if !seen {
			at[s.facts] = len(out)
			out = append(out, s)
			continue
		}
		out[i].guesses = common(out[i].guesses, s.guesses)
	}
	return out
}

// fewWays is up to how many ways are compared with each other without a map.
const fewWays = 8

func joinedFew(list []state) []state {
	n := 1
next:
	for i := 1; i < len(list); i++ {
		for j := range n {
			if list[j].facts == list[i].facts {
				list[j].guesses = common(list[j].guesses, list[i].guesses)
				continue next
			}
		}
		list[n] = list[i]
		n++
	}
	return list[:n]
}

// family is that of the packet.
func (p *Packet) family() host.Family {
	if p.To.Is4() {
		return host.IP
	}
	return host.IP6
}
