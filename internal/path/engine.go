package path

import (
	"github.com/natwarden/natwarden/internal/host"
)

// Engine follows packets through one namespace: what is the same for all of
// them is made once. It may be used by several goroutines.
type Engine struct {
	world  World
	bases  []*base
	filled map[string]bool // texts of empty ipsets that packets fill
	views  [2]*view        // of IPv4, of IPv6

	ports map[uint16][]int // listeners on a port
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
	return v
}

// Follow says what becomes of a packet.
func (e *Engine) Follow(p Packet) Answer {
	k := e.walker(p)
	k.follow()
	return k.answer()
}

func (e *Engine) walker(p Packet) *walker {
	k := &walker{Engine: e, packet: p, view: e.views[0], crossings: new(int)}
	if p.family() == host.IP6 {
		k.view = e.views[1]
	}
	return k
}
