package portmap

import (
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// Listener gives the lines of a socket, for each family of packets that it
// takes: where it answers, and where rules keep packets from it. It is false
// where that cannot be followed.
func (m *Map) Listener(l *host.Listener, f host.Family) ([]Line, bool) {
	c, ok := m.socketClass(l, f)
	if !ok {
		return nil, false
	}
	if m.sockets == nil {
		m.sockets = m.explorer(2 * len(m.world.Space.Listeners))
	}
	x := m.sockets
	x.next()
	var parts []part
	rest := x.explore(c, path.Asked{}, func(cell *path.Cell) bool {
		parts = append(parts, x.socketParts(l, cell)...)
		return true
	})
	for _, c := range rest {
		parts = append(parts, part{c, answer{listener: l, rest: true, when: "where no rule takes it first: there are too many cases to tell"}})
	}
	var out []Line
	for _, p := range merged(parts) {
		line := m.line(nil, &p)
		if p.To.Equal(c.To) && len(c.To) > 0 && !bound(l) {
			line.Address = ""
		}
		out = append(out, line)
	}
	return out, true
}

func bound(l *host.Listener) bool {
	a, err := netip.ParseAddr(l.Address)
	return err == nil && !a.IsUnspecified()
}

// socketClass is the packets from outside that may find the socket.
func (m *Map) socketClass(l *host.Listener, f host.Family) (path.Class, bool) {
	c := path.Class{Proto: protoOf(l.Proto), Family: f, Ports: host.PortsOf(l.Port, l.Port), In: m.engine.Present(), To: scoped(m.engine.Own(f))}
	a, err := netip.ParseAddr(l.Address)
	if err != nil || a.IsLoopback() {
		return c, false
	}
	if !a.IsUnspecified() {
		c.To = host.Addrs{{Lo: a.Unmap(), Hi: a.Unmap()}}
	}
	return c, !c.Empty() && m.world.Routes != nil
}

// scoped leaves out link-local addresses, which are the interface's own affair.
func scoped(own host.Addrs) host.Addrs {
	return slices.DeleteFunc(slices.Clone(own), func(r host.Range[netip.Addr]) bool { return r.Lo.IsLinkLocalUnicast() })
}

func protoOf(name string) host.Proto {
	for _, p := range portProtos {
		if p.String() == name {
			return p
		}
	}
	return host.TCP // mptcp
}

// socketParts are the ways of a cell that no redirect takes.
func (x *explorer) socketParts(l *host.Listener, c *path.Cell) []part {
	var list []answer
	var when [][]string
	for i := range c.Ways {
		way := &c.Ways[i]
		if len(x.deciding(way.Taken)) > 0 {
			continue
		}
		a := answer{nobody: way.Kind == path.Nobody, listener: way.Listener}
		switch {
		case way.Kind == path.Nobody && way.Nobody == path.NoRoute, way.Kind == path.Forwarded, way.Kind == path.Local && way.Listener != l:
			continue // nobody sends it; or what answers has its own lines
		case way.Kind == path.Nobody:
			a.reason = way.Reason
		case way.Kind == path.Unknown && answers(c):
			continue // the condition of the other ways says it
		case way.Kind == path.Unknown:
			a.listener, a.when = l, way.Reason
		}
		list, when = addAnswer(list, when, a, way.Condition)
	}
	return withWords(c, list, when)
}

// answers says whether a socket answers on one of the ways.
func answers(c *path.Cell) bool {
	return slices.ContainsFunc(c.Ways, func(w path.Way) bool { return w.Kind == path.Local })
}
