package ipvs

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// row makes the row of one service: a balanced destination is one row with
// several targets. from is who makes services in its namespace.
func row(s *service, from []string) host.Redirect {
	r := host.Redirect{Mechanism: "ipvs", Kind: "service", Direction: "inbound", Family: familyOf(s.family),
		Conditions: []string{}, To: []string{}, Evidence: []string{"IPVS service " + s.name() + ", scheduler " + s.scheduler},
		Match: &host.Match{Family: familyOf(s.family)}, Content: s.name()}
	s.restrict(r.Match)
	if s.flags&flagPersistent != 0 {
		r.Evidence = append(r.Evidence, "persistent: a client stays with its destination")
	}
	r.State, r.Why = s.state()
	for _, d := range s.dests {
		t := d.target()
		r.Targets, r.To = append(r.Targets, t), append(r.To, t.String())
		r.Evidence = append(r.Evidence, fmt.Sprintf("destination %s, %s, weight %d", netip.AddrPortFrom(d.addr, d.port), how(d.method), d.weight))
	}
	r.Proto, r.Ports, r.Address = host.ProtosString(r.Match.Protos), host.PortsString(r.Match.Ports), host.AddrsString(r.Match.Address)
	r.Conditions = append(r.Conditions, r.Match.Conditions...)
	r.Advice = advice(s.option(), from)
	o := s.object()
	r.Ref = &host.Ref{Backend: Backend, Family: r.Family, Table: KindService, Fingerprint: o.Fingerprint, Text: o.Text}
	return r
}

func familyOf(family uint16) host.Family {
	if family == unix.AF_INET6 {
		return host.IP6
	}
	return host.IP
}

// restrict states what the service takes. One of a mark takes whatever
// protocol IPVS balances.
func (s *service) restrict(m *host.Match) {
	if s.mark != 0 {
		m.Protos = host.ProtosOf(host.TCP, host.UDP, host.SCTP)
		m.Expect(host.Test{Words: fmt.Sprintf("mark %#x", s.mark), Field: host.FieldMark, Mask: ^uint32(0), Spans: []host.Span{{Lo: s.mark, Hi: s.mark}}})
		return
	}
	m.Protos = host.ProtosOf(host.Proto(s.protocol))
	m.Address = host.AddrRange(s.addr, s.addr)
	if s.port != 0 {
		m.Ports = host.PortsOf(s.port, s.port)
	}
}

// state says whether a new connection goes anywhere.
func (s *service) state() (string, []string) {
	if len(s.dests) == 0 {
		return host.Inactive, []string{"the service has no destination"}
	}
	for _, d := range s.dests {
		if d.weight != 0 {
			return host.Active, []string{"IPVS takes packets for it before any socket does"}
		}
	}
	return host.Inactive, []string{"every destination has weight 0: none gets new connections"}
}

// target is where a packet goes. Only masquerading changes the address and
// port; else the machine at the address answers as the service itself.
func (d dest) target() host.Target {
	if d.method&methodMask == 0 {
		return host.AddrTarget(d.addr, d.port)
	}
	return host.AddrTarget(d.addr, 0)
}

func how(method uint32) string {
	switch method & methodMask {
	case 0:
		return "by masquerading"
	case 1:
		return "this host itself"
	case 2:
		return "through a tunnel, address and port kept"
	case 3:
		return "by direct routing, address and port kept"
	case 4:
		return "past the balancer"
	}
	return methodName(method)
}
