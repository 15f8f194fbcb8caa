package suspect

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/natwarden/natwarden/internal/host"
)

// socketRow is the row of a listener as a redirect of its own.
func socketRow(kind string, l *host.Listener) host.Redirect {
	m := &host.Match{Family: familyOf(l), Protos: protoOf(l.Proto), Ports: host.PortsOf(l.Port, l.Port)}
	r := host.Redirect{Mechanism: "socket", Kind: kind, State: host.Active, Direction: "inbound", Family: m.Family, Proto: l.Proto,
		Ports: strconv.Itoa(int(l.Port)), Conditions: []string{}, To: []string{":*"}, Targets: []host.Target{{}}, Match: m}
	if a, err := netip.ParseAddr(l.Address); err == nil && !a.IsUnspecified() {
		r.Address, m.Address = a.Unmap().String(), host.AddrRange(a.Unmap(), a.Unmap())
		r.Info = a.IsLoopback()
	}
	if l.Device != "" {
		m.In.Names = []string{l.Device}
		r.Conditions = []string{"in " + l.Device}
	}
	return r
}

func protoOf(name string) host.Protos {
	p, err := host.ParseProtos(name)
	if err != nil {
		return nil // any: it may be wider than what is judged, never narrower
	}
	return p
}

func familyOf(l *host.Listener) host.Family {
	a, err := netip.ParseAddr(l.Address)
	switch {
	case err != nil || a.IsUnspecified() && l.DualStack:
		return host.Both
	case a.Unmap().Is4():
		return host.IP
	}
	return host.IP6
}

// transparents gives a row for each transparent socket: it can answer for any
// address that is brought to it. By itself it is no finding.
func transparents(s *host.Space) []host.Redirect {
	var out []host.Redirect
	for i := range s.Listeners {
		l := &s.Listeners[i]
		if !l.Transparent {
			continue
		}
		r := socketRow("transparent", l)
		r.Info = true
		r.Why = []string{"it takes connections to any address that a rule and a route bring to it"}
		r.Evidence = []string{"IP_TRANSPARENT is set on the listening socket"}
		if len(l.Processes) > 0 {
			p := l.Processes[0]
			r.Process = &p
		}
		out = append(out, r)
	}
	numbered(out)
	return out
}

// numbered tells rows apart that are equal in all that their ids are made of.
func numbered(rows []host.Redirect) {
	seen := map[string]int{}
	for i := range rows {
		key := fmt.Sprint(rows[i].Kind, rows[i].Proto, rows[i].Ports, rows[i].Address, rows[i].Conditions, rows[i].Content)
		if seen[key]++; seen[key] > 1 {
			rows[i].Content += fmt.Sprint("\x00", seen[key])
		}
	}
}
