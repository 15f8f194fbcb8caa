package path

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// ending is an outcome on one way.
type ending struct {
	Outcome
	guesses *guess
	steps   *step
	took    *took
	last    tuple // as the packet was then
}

func (k *walker) end(s state, o Outcome) {
	k.abroad(&s, &o)
	k.outcomes = append(k.outcomes, ending{o, s.guesses, s.steps, s.took, s.tuple})
}

func (k *walker) nobody(s state, why, reason string) {
	k.end(s, Outcome{Kind: Nobody, Nobody: why, Reason: reason})
}

func (k *walker) unknown(s state, reason string) {
	k.end(s, Outcome{Kind: Unknown, Reason: reason})
}

func (k *walker) giveUp(ways []state, reason string) {
	for _, s := range ways {
		k.unknown(s, reason)
	}
}

func (k *walker) answered(s state, l *host.Listener) {
	k.end(s, Outcome{Kind: Local, AnsweredBy: socketText(l), Listener: l, Reason: "a process of this host listens"})
}

func (k *walker) forwarded(s state) {
	if k.onward(s) {
		return
	}
	if k.cell != nil {
		k.end(s, Outcome{Kind: Forwarded, Out: s.out})
		return
	}
	k.end(s, Outcome{Kind: Forwarded, AnsweredBy: netip.AddrPortFrom(s.dst, s.dport).String(), Out: s.out, Reason: "it is sent on by " + s.out})
}

func socketText(l *host.Listener) string {
	if a, err := netip.ParseAddr(l.Address); err == nil {
		return netip.AddrPortFrom(a, l.Port).String()
	}
	return l.Address + ":" + strconv.Itoa(int(l.Port))
}

// elsewhere tells of what else than rules may take the packet before them.
func (k *walker) elsewhere(s *state) {
	for _, name := range k.world.Unread {
		k.unknown(s.guessing(name+" takes it"), name+" could not be read")
	}
	if words := k.beforehand(); words != "" && !k.packet.Own {
		k.unknown(s.guessing(words), "it arrives over "+k.packet.In+"; what stands between is not followed")
	}
	for _, r := range k.ahead {
		if (r.Direction == "outbound") != k.packet.Own {
			continue
		}
		words := r.Kind + " takes it before any rule"
		if r.Match != nil {
			if t, _ := k.match(r.Match, s); t == no {
				continue
			}
		}
		k.unknown(s.guessing(words), "what "+r.Mechanism+" "+r.Kind+" does with it is not known")
	}
}

// answer joins what the ways have in common.
func (k *walker) answer() Answer {
	groups := map[string]int{}
	var out []Outcome
	var conditions [][]string
	for _, e := range k.outcomes {
		key := e.Kind + " " + e.AnsweredBy + " " + e.Nobody + " " + e.Out + " " + e.Netns
		i, seen := groups[key]
		if !seen {
			i = len(out)
			groups[key], out, conditions = i, append(out, e.Outcome), append(conditions, nil)
		}
		if c := e.guesses.condition(); !slices.Contains(conditions[i], c) {
			conditions[i] = append(conditions[i], c)
		}
	}
	if len(out) == 1 {
		out[0].Certain = out[0].Kind != Unknown
	} else {
		for i := range out {
			out[i].Condition = cmp.Or(either(conditions[i]), "in other cases")
		}
	}
	return Answer{Outcomes: out, Steps: k.allSteps()}
}

// condition says what was guessed on a way.
func (g *guess) condition() string {
	var words []string
	for ; g != nil; g = g.prev {
		if !slices.Contains(words, g.words) {
			words = append(words, g.words)
		}
	}
	slices.Reverse(words)
	return strings.Join(words, ", ")
}

// maxEither bounds the alternatives that a condition lists.
const maxEither = 4

func either(list []string) string {
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	if len(list) > maxEither {
		list = append(list[:maxEither:maxEither], "in other cases")
	}
	return strings.Join(list, "; or ")
}

// allSteps gives the steps of every way, each once, in their order.
func (k *walker) allSteps() []Step {
	out := []Step{}
	for _, e := range k.outcomes {
		var mine []Step
		for x := e.steps; x != nil; x = x.prev {
			mine = append(mine, x.Step)
		}
		slices.Reverse(mine)
		for _, x := range mine {
			if !slices.Contains(out, x) {
				out = append(out, x)
			}
		}
	}
	return out
}
