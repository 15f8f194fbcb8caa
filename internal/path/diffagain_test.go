package path_test

import (
	"fmt"
	"sync"

	"github.com/natwarden/natwarden/internal/path"
)

// classes counts, for each kind of pair, how many there were and how many of
// them were sent again. A pair that disagrees is sent again, since a packet may
// be late; where that happens to one kind of pair again and again, chance is not
// the reason.
type classes struct {
	mu    sync.Mutex
	pairs map[string][2]int
}

// count takes a pair and what was said of its first packet.
func (c *classes) count(a path.Answer, p *probe, v string) {
	key := p.Proto.String() + " over IPv6, "
	if p.To.Is4() {
		key = p.Proto.String() + " over IPv4, "
	}
	for _, o := range a.Outcomes {
		key += " " + o.Kind + o.Nobody
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pairs == nil {
		c.pairs = map[string][2]int{}
	}
	n := c.pairs[key]
	n[0]++
	if v == "wrong" || v == "unclear" {
		n[1]++
	}
	c.pairs[key] = n
}

func (c *classes) again() int {
	n := 0
	for _, x := range c.pairs {
		n += x[1]
	}
	return n
}

// often lists the kinds of which more than one in a hundred was sent again, and
// more than two.
func (c *classes) often() []string {
	var out []string
	for _, key := range sortedKeys(c.pairs) {
		if x := c.pairs[key]; x[1] > 2 && x[1]*100 > x[0] {
			out = append(out, fmt.Sprintf("%s: %d of %d", key, x[1], x[0]))
		}
	}
	return out
}
