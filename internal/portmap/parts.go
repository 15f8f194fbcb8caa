package portmap

import (
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// part is packets with one answer.
type part struct {
	path.Class
	answer
}

// answer is who answers, and under which condition beyond the packet itself.
type answer struct {
	nobody   bool
	reason   string // why nobody does
	listener *host.Listener
	taken    []*host.Effect // the redirects on the way; none of what a listener gets by itself
	when     string         // in words; "" for always
	rest     bool           // it was not looked at
}

func (a *answer) equal(b *answer) bool {
	return a.nobody == b.nobody && a.reason == b.reason && a.listener == b.listener && a.when == b.when && a.rest == b.rest && slices.Equal(a.taken, b.taken)
}

// partsOf gives the answers of a cell where redirects take its packets.
func (x *explorer) partsOf(c *path.Cell) []part {
	var list []answer
	var when [][]string
	for i := range c.Ways {
		way := &c.Ways[i]
		taken := x.deciding(way.Taken)
		if len(taken) == 0 || !c.Usual && way.Nobody == path.NoRoute {
			continue
		}
		list, when = addAnswer(list, when, answerOf(way, taken), way.Condition)
	}
	return withWords(c, list, when)
}

func answerOf(way *path.Way, taken []*host.Effect) answer {
	a := answer{taken: taken, nobody: way.Kind == path.Nobody, listener: way.Listener}
	if a.nobody {
		a.reason = way.Reason
	}
	return a
}

// addAnswer adds an answer, or only its condition where it is one already.
func addAnswer(list []answer, when [][]string, a answer, condition string) ([]answer, [][]string) {
	for i := range list {
		if list[i].equal(&a) {
			when[i] = append(when[i], condition)
			return list, when
		}
	}
	return append(list, a), append(when, []string{condition})
}

// withWords makes parts of the answers of a cell. An answer that all of its ways
// have needs no condition.
func withWords(c *path.Cell, list []answer, when [][]string) []part {
	var out []part
	for i := range list {
		if len(when[i]) < len(c.Ways) && list[i].when == "" {
			list[i].when = either(when[i], list[i].nobody)
		}
		out = append(out, part{c.Class, list[i]})
	}
	return out
}

// mostAlternatives bounds the conditions of one answer that are listed.
const mostAlternatives = 4

// either joins alternatives. Which of its destinations a balancer chooses is
// left out where all of them are listed anyway.
func either(conditions []string, whole bool) string {
	var out []string
	for _, c := range conditions {
		if !whole {
			c = withoutBalancer(c)
		}
		if c != "" && !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	if len(out) > mostAlternatives {
		out = append(out[:mostAlternatives], "in other cases")
	}
	return strings.Join(out, "; or ")
}

// withoutBalancer leaves out which of its destinations a balancer chooses: all
// of them are listed.
func withoutBalancer(condition string) string {
	words := strings.Split(condition, ", ")
	words = slices.DeleteFunc(words, func(w string) bool { return strings.HasPrefix(w, path.Balancer) })
	return strings.Join(words, ", ")
}
