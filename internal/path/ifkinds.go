package path

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// ifkind is interfaces that no rule, route or translation tells apart.
type ifkind struct {
	names  []string
	before string // rules that packets pass before those of the interface
	// absent is true of the kind that stands for interfaces that are not there.
	absent bool
	// first4 and first6 are what REDIRECT makes of a destination (of IPv6 one that
	// is not link-local); near4 and near6 are neighbours there.
	first4, first6, near4, near6 netip.Addr
}

// like is the address that REDIRECT gives instead of another one.
func (i *ifkind) like(a netip.Addr) netip.Addr {
	if a.Is4() {
		return i.first4
	}
	return i.first6
}

func (i *ifkind) near(f host.Family) netip.Addr {
	if f == host.IP {
		return i.near4
	}
	return i.near6
}

// mostKinds is how many kinds of interfaces are told apart: the bits of Arrivals.
const mostKinds = 62

// sortIfaces parts the interfaces of the namespace into kinds. The last kind
// stands for interfaces that are not there and that no rule names.
func (e *Engine) sortIfaces() {
	patterns := slices.Sorted(maps.Keys(e.namedIfaces()))
	at := map[string]int{}
	e.whole = true
	if e.world.Space.Ifaces == nil {
		e.kinds, e.present = []ifkind{{names: []string{""}}}, 1
		return
	}
	for _, i := range e.world.Space.Ifaces {
		if i.Loopback {
			continue
		}
		kind := e.kindOf(i)
		mark := kind.signature(patterns)
		n, seen := at[mark]
		switch {
		case seen:
			e.kinds[n].names = append(e.kinds[n].names, i.Name)
		case len(e.kinds) == mostKinds:
			e.whole = false
		default:
			at[mark] = len(e.kinds)
			e.kinds = append(e.kinds, kind)
		}
	}
	slices.SortStableFunc(e.kinds, func(a, b ifkind) int { return b.rank() - a.rank() })
	e.present = 1<<len(e.kinds) - 1
	for _, name := range append(absent(patterns, e.world.Space.Ifaces), "another interface") {
		if len(e.kinds) <= mostKinds {
			e.kinds = append(e.kinds, ifkind{names: []string{name}, absent: true})
		}
	}
	e.missing = (1<<len(e.kinds) - 1) &^ e.present
}

// rank puts interfaces with addresses first: packets usually come by these.
func (i *ifkind) rank() int {
	n := 0
	if i.first4.IsValid() {
		n += 2
	}
	if i.first6.IsValid() {
		n++
	}
	return n
}

// absent gives names that rules ask for and that no interface has.
func absent(patterns []string, have []host.Iface) []string {
	var out []string
	for _, p := range patterns {
		if !slices.ContainsFunc(have, func(i host.Iface) bool { return fits(p, i.Name) }) {
			out = append(out, strings.Replace(p, "*", "0", 1))
		}
	}
	return out
}

func (e *Engine) kindOf(i host.Iface) ifkind {
	k := ifkind{names: []string{i.Name}, before: e.lower[i.Name]}
	if e.world.Routes != nil {
		k.first4 = e.world.Routes.First(i.Name, netip.IPv4Unspecified())
		k.first6 = e.world.Routes.First(i.Name, netip.IPv6Unspecified())
	}
	k.near4, k.near6 = e.neighbour(k.first4), e.neighbour(k.first6)
	return k
}

// neighbour is an address beside one of the namespace's own that is none of them.
func (e *Engine) neighbour(a netip.Addr) netip.Addr {
	for a.IsValid() {
		if a = a.Next(); a.IsValid() && !slices.Contains(e.own, a) {
			return a
		}
	}
	return a
}

func (i *ifkind) signature(patterns []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v %v", i.first4, i.first6, i.before)
	for _, p := range patterns {
		if fits(p, i.names[0]) {
			b.WriteString(" " + p)
		}
	}
	return b.String()
}

// namedIfaces are the names and patterns that anything asks for.
func (e *Engine) namedIfaces() map[string]bool {
	out := map[string]bool{}
	add := func(names []string) {
		for _, n := range names {
			out[n] = true
		}
	}
	for _, t := range e.world.Space.Tables {
		for _, c := range t.Chains {
			if c.Base != nil {
				add(c.Base.Devices)
			}
			for _, r := range c.Rules {
				for b := range r.Branches {
					namesIn(&r.Branches[b].Match, add)
				}
			}
		}
	}
	for i := range e.world.Space.Redirects {
		if m := e.world.Space.Redirects[i].Match; m != nil {
			namesIn(m, add)
		}
	}
	for i := range e.world.Space.Listeners {
		if name := e.world.Space.Listeners[i].Device; name != "" {
			out[name] = true
		}
	}
	add(e.asks.Ifaces)
	return out
}

func namesIn(m *host.Match, add func([]string)) {
	if !m.In.Any() {
		add(m.In.Names)
	}
	for i := range m.Tests {
		if m.Tests[i].Field == host.FieldIn {
			add(m.Tests[i].Ifaces.Names)
		}
	}
}

// Present are the interfaces that the namespace has, without the loopback;
// Missing those that it has not and that a rule asks for, and any other.
func (e *Engine) Present() Arrivals { return e.present }

// Missing are interfaces that the namespace has not.
func (e *Engine) Missing() Arrivals { return e.missing }

// Fitting gives the interfaces that fit a condition.
func (e *Engine) Fitting(i host.Ifaces) Arrivals {
	if i.Any() || e.world.Space.Ifaces == nil {
		return e.present | e.missing
	}
	return e.fitting(i)
}

// Whole says whether all interfaces are told apart, so that Present and Missing are all.
func (e *Engine) Whole() bool { return e.whole }

// Own are the addresses of the namespace but loopback ones.
func (e *Engine) Own(f host.Family) host.Addrs {
	out := host.Nothing[netip.Addr]()
	for _, a := range e.own {
		if a.Is4() == (f == host.IP) {
			out = append(out, host.Range[netip.Addr]{Lo: a, Hi: a})
		}
	}
	return host.Of(out...)
}

// Names lists interfaces by their names.
func (e *Engine) Names(a Arrivals) []string {
	var out []string
	for n := range e.kinds {
		if a.has(n) {
			out = append(out, e.kinds[n].names...)
		}
	}
	slices.Sort(out)
	return out
}

// Arrival is the kind of an interface; none where it is not known.
func (e *Engine) Arrival(name string) Arrivals {
	for n := range e.kinds {
		if slices.Contains(e.kinds[n].names, name) {
			return 1 << n
		}
	}
	return 0
}
