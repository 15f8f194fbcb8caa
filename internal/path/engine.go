package path

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/natwarden/natwarden/internal/host"
)

// Engine follows packets through one namespace: what is the same for all of
// them is made once. It may be used by several goroutines.
type Engine struct {
	world  World
	bases  []*base
	filled map[string]bool // texts of empty ipsets that packets fill
	views  [2]*view        // of IPv4, of IPv6

	ports    map[uint16][]int  // listeners on a port
	listened host.Ports        // all ports of listeners
	bridged  bool              // a bridge has rules
	lower    map[string]string // by interface: rules that packets pass before its own
	ahead    []*host.Redirect  // what else than rules takes packets before them

	// What is known of whole classes of packets.
	kinds            []ifkind
	present, missing Arrivals
	whole            bool            // there are not more kinds of interfaces than are told apart
	reach            host.RouteReach // nil where it is not known how far answers about routes reach
	asks             host.RouteAsks
	own              []netip.Addr // addresses of the namespace but loopback ones
}

// NewEngine prepares to follow packets.
func NewEngine(w World) *Engine {
	e := &Engine{world: w, filled: map[string]bool{}, ports: map[uint16][]int{}}
	for _, t := range w.Space.Tables {
		for name := range t.Filled {
			e.filled[host.EmptyIPSet(name)] = true
		}
		if !t.Dormant {
			e.addBases(t)
		}
	}
	for i := range w.Space.Listeners {
		port := w.Space.Listeners[i].Port
		e.ports[port] = append(e.ports[port], i)
	}
	e.listened = listenedOn(w.Space)
	for i := range w.Space.Redirects {
		r := &w.Space.Redirects[i]
		takes := r.Mechanism == "tc" || r.Mechanism == "bpf" || r.Mechanism == "ipvs"
		if takes && !r.Info && (r.State == host.Active || r.State == host.Unknown) {
			e.ahead = append(e.ahead, r)
		}
	}
	e.bridged = slices.ContainsFunc(e.bases, func(b *base) bool { return b.table.Family == host.Bridge })
	e.lower = map[string]string{}
	for _, i := range w.Space.Ifaces {
		if words := e.before(i, 0); words != "" {
			e.lower[i.Name] = words
		}
	}
	e.views = [2]*view{e.newView(host.IP), e.newView(host.IP6)}
	return e
}

func (e *Engine) addBases(t *host.Table) {
	var graph map[string]*node
	for _, c := range t.Chains {
		if c.Base == nil || idle(c) {
			continue
		}
		if graph == nil {
			graph = nodesOf(t)
		}
		e.bases = append(e.bases, &base{t, c, graph})
	}
}

// node is a chain of a table.
type node struct {
	chain *host.Chain
	once  sync.Once
	index *index           // of the rules; nil of a short chain
	wide  map[int32]*index // of the branches of rules that have many
}

func nodesOf(t *host.Table) map[string]*node {
	graph, nodes := make(map[string]*node, len(t.Chains)), make([]node, len(t.Chains))
	for i, c := range t.Chains {
		nodes[i].chain = c
		graph[c.Name] = &nodes[i]
	}
	return graph
}

// view is a namespace as packets of one family see it.
type view struct {
	family   host.Family
	stages   map[string][]*stage // by hook
	tracking truth
	nat      bool // a chain of type nat may see them
	later    bool // a rule may take them elsewhere once they are routed
	reroutes bool // a chain at the output hook makes a changed mark count
}

func (e *Engine) newView(family host.Family) *view {
	v := &view{family: family, stages: map[string][]*stage{}}
	for _, hook := range []string{"ingress", "prerouting", "input", "forward", "output", "postrouting", "egress"} {
		v.stages[hook] = e.stages(hook, family)
	}
	for _, b := range e.bases {
		kind := b.chain.Base.Type
		v.nat = v.nat || kind == "nat" && concerns(b.table, family)
		v.reroutes = v.reroutes || b.chain.Base.Hook == "output" && (kind == "route" || b.table.Backend == "x_tables" && b.table.Name == "mangle")
	}
	v.tracking = e.tracks(family)
	v.later = e.takesLater(family)
	return v
}

// NewExplorer prepares to follow whole classes of packets as well.
func NewExplorer(w World) *Engine {
	e := NewEngine(w)
	if e.reach, _ = w.Routes.(host.RouteReach); e.reach != nil {
		e.asks = e.reach.Asked()
	}
	for _, text := range w.Space.Addrs {
		if a, err := netip.ParseAddr(text); err == nil && !a.IsLoopback() {
			e.own = append(e.own, a.Unmap())
		}
	}
	e.sortIfaces()
	return e
}

// takesLater says whether a rule may send packets elsewhere after they were routed.
func (e *Engine) takesLater(family host.Family) bool {
	for _, b := range e.bases {
		if !concerns(b.table, family) || !slices.Contains([]string{"input", "forward", "postrouting", "egress"}, b.chain.Base.Hook) {
			continue
		}
		if slices.ContainsFunc(b.table.Chains, sendsOn) {
			return true
		}
	}
	return false
}

// sendsOn says whether a chain has rules that take packets elsewhere without
// translating the flow.
func sendsOn(c *host.Chain) bool {
	return slices.ContainsFunc(c.Rules, func(r *host.Rule) bool {
		return slices.ContainsFunc(r.Branches, func(b host.Branch) bool {
			return slices.ContainsFunc(b.Effects, func(e host.Effect) bool {
				return !e.Source && (e.Unknown != "" || !slices.Contains([]string{"dnat", "redirect", "netmap", "tproxy", "snat", "masquerade"}, e.Kind))
			})
		})
	})
}

// Follow says what becomes of a packet.
func (e *Engine) Follow(p Packet) Answer {
	k := e.walker(p)
	k.follow()
	return k.answer()
}

func (e *Engine) walker(p Packet) *walker {
	return &walker{Engine: e, packet: p, view: e.viewOf(&p), crossings: new(int)}
}

func (e *Engine) viewOf(p *Packet) *view {
	if p.family() == host.IP6 {
		return e.views[1]
	}
	return e.views[0]
}
