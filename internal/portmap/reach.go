package portmap

import (
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// judge says of rows that no packet was seen to reach why that is so. Only what
// is proven is said: where anything was not looked at, the row stays active.
func (m *Map) judge() {
	var x *explorer
	proofs := 0
	for i := range m.rows {
		r, f := &m.rows[i], &m.found[i]
		if r.State != host.Active || f.reached || r.Effect != nil && m.acted[r.Effect] || !m.provable(r, f) {
			continue
		}
		if x == nil {
			x = m.explorer(min(len(m.rows), mostProofs))
			x.protos, x.events = m.everyProto(), m.hasLists()
		}
		if proofs++; proofs > mostProofs {
			return
		}
		x.next()
		x.prove(r, f)
	}
}

// mostProofs bounds the rows of a namespace of which a proof is tried.
const mostProofs = 2000

// provable says whether the classes that are looked at are all the packets
// that the rule may see: what it sees is what came, or was not translated yet.
func (m *Map) provable(r *host.Redirect, f *found) bool {
	if !followed(r) || m.loose || len(f.rest) > 0 || !m.engine.Whole() || m.engine.Present() == 0 || len(m.world.Space.Ifaces) == 0 || m.world.Space.Marker() != "" {
		return false
	}
	for _, hook := range r.Rule.Hooks {
		if hook != "prerouting" && hook != "ingress" {
			return false
		}
	}
	return len(r.Rule.Hooks) > 0 && translates(r.Effect)
}

// proof is what was seen of a row's packets on further looks.
type proof struct {
	reached, whole, events bool
	first                  []*host.Effect
	ends                   string
}

// prove looks once more, at any packet of a flow, of any protocol, and on
// interfaces that are not there yet.
func (x *explorer) prove(r *host.Redirect, f *found) {
	here := x.look(r, x.Present())
	if here.reached || !here.whole {
		return
	}
	away := x.look(r, x.Missing())
	switch {
	case len(here.first)+len(f.first) > 0:
		x.behind(r, append(slices.Clone(f.first), here.first...), !away.reached && away.whole && !here.events && !f.events && !x.events)
	case away.reached || !away.whole:
		r.State, r.Why = host.Latent, []string{"no packet by an interface that is there reaches it: " + here.ends}
	case here.events || f.events || x.events:
		r.State, r.Why = host.Latent, []string{"no packet reaches it as things stand: " + here.ends}
	default:
		r.State, r.Why = host.Inactive, []string{"no packet reaches it: " + here.ends}
	}
}

// behind says of a row that others take all of its packets. It stays active: it
// acts as soon as they are gone, and whether they go is not known here.
func (x *explorer) behind(r *host.Redirect, first []*host.Effect, always bool) {
	rows := x.rowsOf(first, r)
	if len(rows) == 0 {
		return
	}
	r.Why = append(r.Why, "another redirect takes its packets first, and it acts as soon as that one is gone: see "+rows[0])
	if always {
		r.Behind = rows
	}
}

// look follows what the row may take of any packet of a flow.
func (x *explorer) look(r *host.Redirect, in path.Arrivals) proof {
	p := proof{whole: r.Match.Ports.Any() && r.Match.SPorts.Any() || !slices.ContainsFunc(x.protos, func(p host.Proto) bool { return r.Match.Protos.Has(p) && !p.HasPorts() })}
	for _, c := range x.boxes(r, in, x.protos) {
		if !p.whole {
			return p
		}
		rest := x.explore(c, path.Asked{Brief: true, Loose: true}, func(cell *path.Cell) bool {
			p.add(x, r, cell)
			return !p.reached && p.whole
		})
		p.whole = p.whole && len(rest) == 0
		if p.reached {
			return p
		}
	}
	return p
}

func (p *proof) add(x *explorer, r *host.Redirect, c *path.Cell) {
	p.events = p.events || c.Events
	p.reached = p.reached || slices.Contains(c.Acted, r.Effect)
	for i := range c.Ways {
		// A process at a queue, or what is not understood, may let the packet go on.
		p.whole = p.whole && (c.Ways[i].Kind != path.Unknown || c.Ways[i].Passed() || slices.ContainsFunc(c.Ways[i].Taken, translates))
		if taken := x.deciding(c.Ways[i].Taken); len(taken) > 0 {
			p.first = append(p.first, taken[0])
		} else if p.ends == "" || c.Ways[i].Kind == path.Nobody {
			p.ends = c.Ways[i].Reason
		}
	}
}

// translates says whether a redirect translates the flow: no other one does then.
func translates(e *host.Effect) bool {
	return slices.Contains([]string{"dnat", "redirect", "netmap"}, e.Kind)
}

// rowsOf are the rows that effects make, besides one.
func (x *explorer) rowsOf(effects []*host.Effect, but *host.Redirect) []string {
	var out []string
	for _, e := range effects {
		for _, i := range x.by[e] {
			if id := x.rows[i].ID; id != but.ID && !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out
}
