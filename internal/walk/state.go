package walk

import (
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// state says whether a redirect acts, and why.
func (s *spaceView) state(g *graph, e *extent, effect *host.Effect) (string, []string) {
	switch {
	case g.table.Dormant:
		return host.Inactive, []string{"table " + g.table.Name + " is dormant: none of its chains runs"}
	case e.match.Dead != "":
		return host.Inactive, []string{e.match.Dead}
	case e.after != "":
		return host.Inactive, []string{e.after}
	}
	if why := s.tproxyIdle(&e.match, effect); why != "" {
		return host.Inactive, []string{why}
	}
	if why := s.waiting(e); why != "" {
		return host.Latent, []string{why}
	}
	if effect.Unknown != "" {
		return host.Unknown, []string{effect.Unknown}
	}
	return host.Active, []string{activeWords(e)}
}

func activeWords(e *extent) string {
	hook := e.ways[0].base.Hook
	if len(e.match.Conditions) > 0 {
		return "reached from hook " + hook + "; acts where its conditions hold"
	}
	return "reached from hook " + hook
}

// waiting names the event that makes the redirect act.
func (s *spaceView) waiting(e *extent) string {
	if e.match.Waiting != "" && !s.filledFor(&e.match) {
		return e.match.Waiting
	}
	if why := s.absent(e.match.In); why != "" {
		return why
	}
	if why := s.absent(e.match.Out); why != "" {
		return why
	}
	for _, w := range e.ways {
		if len(w.base.Devices) == 0 {
			return ""
		}
		if s.absent(host.Ifaces{Names: w.base.Devices}) == "" {
			return ""
		}
	}
	return s.absent(host.Ifaces{Names: e.ways[0].base.Devices})
}

// filledFor says whether packets fill a set that the match waits for: an entry
// is a knock away, so it acts.
func (s *spaceView) filledFor(m *host.Match) bool {
	return s.filled[m.Waiting] || m.Waiting == unfit(m.Lists) && slices.ContainsFunc(m.Lists, func(list string) bool { return s.filled[host.EmptyIPSet(list)] })
}

// absent says that none of the interfaces exists; "" where one does, or where
// interfaces were not read.
func (s *spaceView) absent(i host.Ifaces) string {
	if i.Any() || i.Not || s.space.Ifaces == nil {
		return ""
	}
	for _, name := range i.Names {
		if s.hasIface(name) {
			return ""
		}
	}
	return fmt.Sprintf("interface %s is absent", strings.Join(i.Names, ", "))
}

func (s *spaceView) hasIface(pattern string) bool {
	prefix, wild := strings.CutSuffix(pattern, "*")
	if !wild {
		return s.ifaces[pattern]
	}
	for _, i := range s.space.Ifaces {
		if strings.HasPrefix(i.Name, prefix) {
			return true
		}
	}
	return false
}

// tproxyIdle says that TPROXY hands packets to nobody: it assigns them to a
// transparent socket, and none listens on the port. Said only where sockets were
// read, and of those that the kernel told enough about.
func (s *spaceView) tproxyIdle(m *host.Match, e *host.Effect) string {
	if e.Kind != "tproxy" || !s.SocketsRead {
		return ""
	}
	for _, to := range e.To {
		if s.transparentOn(m, to.PortLo) {
			return ""
		}
	}
	return "no transparent socket takes what TPROXY hands over"
}

func (s *spaceView) transparentOn(m *host.Match, port uint16) bool {
	for i := range s.space.Listeners {
		l := &s.space.Listeners[i]
		if !l.Transparent && !l.Partial {
			continue
		}
		if port == 0 && m.Ports.Has(host.Port(l.Port)) || port == l.Port {
			return true
		}
	}
	return false
}
