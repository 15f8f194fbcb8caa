package path

import (
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// The standard priorities at which parts of the kernel itself run (enum
// nf_ip_hook_priorities, include/uapi/linux/netfilter_ipv4.h).
const (
	trackPriority    = -200
	fromHerePriority = -100 // NAT of destinations: prerouting, output
	toHerePriority   = 100  // NAT of sources: input, postrouting
)

// base is a base chain with its table.
type base struct {
	table *host.Table
	chain *host.Chain
	graph map[string]*node
}

func (b *base) priority() int { return b.chain.Base.Priority }

// stage is what runs at one priority of a hook: base chains whose order among
// each other is one of several, or connection tracking, or all NAT chains.
type stage struct {
	priority int
	tracking bool
	chains   []*base
	nat      []*stage // in their own order

	orders [][]*base // in which the chains may run; nil where they are too many
	words  []string  // of each order
}

// stages gives the hook's stages for packets of a family, in order.
func (e *Engine) stages(hook string, family host.Family) []*stage {
	var plain, nat []*base
	for _, b := range e.bases {
		if b.chain.Base.Hook != hook || !concerns(b.table, family) {
			continue
		}
		if b.chain.Base.Type == "nat" {
			nat = append(nat, b)
		} else {
			plain = append(plain, b)
		}
	}
	out := byPriority(plain)
	if hook == "prerouting" || hook == "output" {
		out = append(out, &stage{priority: trackPriority, tracking: true})
	}
	if len(nat) > 0 {
		out = append(out, &stage{priority: natPriority(hook), nat: byPriority(nat)})
	}
	slices.SortStableFunc(out, func(a, b *stage) int { return a.priority - b.priority })
	return out
}

func natPriority(hook string) int {
	if hook == "prerouting" || hook == "output" {
		return fromHerePriority
	}
	return toHerePriority
}

func byPriority(list []*base) []*stage {
	at := map[int]*stage{}
	var out []*stage
	for _, b := range list {
		s := at[b.priority()]
		if s == nil {
			s = &stage{priority: b.priority()}
			at[b.priority()] = s
			out = append(out, s)
		}
		s.chains = append(s.chains, b)
	}
	slices.SortFunc(out, func(a, b *stage) int { return a.priority - b.priority })
	for _, s := range out {
		s.order()
	}
	return out
}

// order lists the orders in which the chains of a stage may run.
func (x *stage) order() {
	if countOrders(x.chains) > maxOrders {
		return
	}
	x.orders = orders(x.chains)
	for _, order := range x.orders {
		x.words = append(x.words, orderWords(order))
	}
}

// concerns says whether the table sees packets of the family.
func concerns(t *host.Table, family host.Family) bool {
	switch t.Family {
	case host.Inet, host.Netdev:
		return true
	}
	return t.Family == family
}

// orders gives the orders in which the chains of one priority may run. Of one
// table the chain that was made last runs first; between tables the
// configuration does not say who was registered first.
func orders(chains []*base) [][]*base {
	if len(chains) < 2 {
		return [][]*base{chains}
	}
	var out [][]*base
	for i, first := range chains {
		if !mayBeFirst(chains, first) {
			continue
		}
		rest := slices.Delete(slices.Clone(chains), i, i+1)
		for _, order := range orders(rest) {
			out = append(out, append([]*base{first}, order...))
		}
	}
	return out
}

func mayBeFirst(chains []*base, b *base) bool {
	for _, o := range chains {
		if o.table == b.table && o.chain.Handle > b.chain.Handle {
			return false
		}
	}
	return true
}

// maxOrders bounds the orders of chains of one priority that are all tried.
const maxOrders = 120

// countOrders is how many orders(chains) gives, or more than maxOrders.
func countOrders(chains []*base) int {
	of := map[*host.Table]int{}
	n := 1
	for i, b := range chains {
		of[b.table]++
		if n = n * (i + 1) / of[b.table]; n > maxOrders {
			return n
		}
	}
	return n
}

func orderWords(order []*base) string {
	names := make([]string, 0, len(order))
	for _, b := range order {
		names = append(names, string(b.table.Family)+" "+b.table.Name+" "+b.chain.Name)
	}
	return "chains of equal priority run in the order " + strings.Join(names, ", ")
}

// idle says whether a base chain lets everything pass.
func idle(c *host.Chain) bool { return len(c.Rules) == 0 && c.Base.Policy != "drop" }

// onDevice says whether a chain of a device sees what passes the interface.
func onDevice(b *host.Base, name string) bool {
	return slices.ContainsFunc(b.Devices, func(d string) bool { return fits(d, name) })
}

// fits says whether a name fits a pattern, which may end in "*".
func fits(pattern, name string) bool {
	if prefix, wild := strings.CutSuffix(pattern, "*"); wild {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}
