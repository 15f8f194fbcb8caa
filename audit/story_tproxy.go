package audit

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// deliver joins a TPROXY rule with what brings its packets to the socket: the
// mark, the policy rule that asks for it, the local route of that rule's table,
// the transparent listener (Documentation/networking/tproxy.rst). Without such
// a route it acts on packets for the host's own addresses only.
func (s *story) deliver(r *host.Redirect) {
	if s.space.Deliveries == nil || r.State == host.Inactive || r.Match == nil {
		return
	}
	var chain []string
	for i := range s.space.Deliveries {
		d := &s.space.Deliveries[i]
		if !sameFamily(r.Family, d.Family) || d.Address.Intersect(r.Match.Address).Empty() {
			continue
		}
		chain = append(chain, s.ways(r, d)...)
	}
	for _, line := range append(chain, s.transparent(r)...) {
		r.Evidence = appendOnce(r.Evidence, line)
	}
	switch {
	case len(chain) > 0:
	case s.takesOwn(r.Match):
		r.Why = append(r.Why, "no policy rule and local route deliver other packets: it acts on those for this host's own addresses only")
	default:
		r.State = host.Inactive
		r.Why = []string{"no policy rule and local route deliver its packets to this host"}
	}
}

func sameFamily(a, b host.Family) bool { return a == b || a == host.Both || a == "" || b == host.Both }

// ways are the lines of evidence for a delivery of the rule's packets.
func (s *story) ways(r *host.Redirect, d *host.Delivery) []string {
	if d.Always {
		return []string{"route " + d.Route}
	}
	var out []string
	for _, rule := range d.Rules {
		setters := s.setters(host.FieldMark, rule)
		if rule.Marked && len(setters) == 0 {
			continue
		}
		if rule.Marked {
			out = append(out, markLine(r, rule, setters))
		}
		out = append(out, "ip rule "+rule.Words, "route "+d.Route)
	}
	return out
}

// markLine says who sets the mark: the rule itself, where it does.
func markLine(r *host.Redirect, rule host.Selector, setters []marker) string {
	mark := fmt.Sprintf("mark %#x", rule.Mark)
	if slices.ContainsFunc(setters, func(m marker) bool { return m.is(r) }) {
		return "the rule sets " + mark
	}
	return mark + " is set by " + setters[0].String()
}

// is says whether the row is of the marker's rule.
func (m marker) is(r *host.Redirect) bool {
	return r.Ref != nil && r.Ref.Backend == m.table.Backend && r.Ref.Family == m.table.Family && r.Ref.Table == m.table.Name &&
		r.Ref.Chain == m.chain.Name && r.Ref.Index == m.rule.Index && r.Ref.Handle == m.rule.Handle
}

// transparent names the sockets that take what the rule hands over.
func (s *story) transparent(r *host.Redirect) []string {
	var out []string
	for _, t := range r.Targets {
		for i := range s.space.Listeners {
			l := &s.space.Listeners[i]
			if l.Transparent && (t.PortLo == l.Port || t.PortLo == 0 && r.Match.Ports.Has(host.Port(l.Port))) {
				out = append(out, "a transparent socket takes them: "+socketAddress(l))
			}
		}
	}
	return out
}

// takesOwn says whether packets for one of the host's own addresses fit.
func (s *story) takesOwn(m *host.Match) bool {
	if m.Address.Any() || s.space.Addrs == nil {
		return true
	}
	return slices.ContainsFunc(s.space.Addrs, func(text string) bool {
		a, err := netip.ParseAddr(text)
		return err == nil && m.Address.Has(a)
	})
}

// localRoutes judges local routes that only a mark leads to: those that serve
// a TPROXY rule are a part of it, and those whose mark nothing sets are what
// some rule left behind.
func (s *story) localRoutes() {
	for i := range s.rows {
		r := &s.rows[i]
		if r.Kind != "local-route" || r.Ref == nil || r.State != host.Active {
			continue
		}
		if d := s.delivery(r.Ref.Fingerprint); d != nil && onlyMarked(d) {
			s.localRoute(r, d)
		}
	}
}

func (s *story) delivery(fingerprint string) *host.Delivery {
	for i := range s.space.Deliveries {
		if d := &s.space.Deliveries[i]; d.Fingerprint == fingerprint {
			return d
		}
	}
	return nil
}

func onlyMarked(d *host.Delivery) bool {
	return !d.Always && len(d.Rules) > 0 && !slices.ContainsFunc(d.Rules, func(x host.Selector) bool { return !x.Marked })
}

func (s *story) localRoute(r *host.Redirect, d *host.Delivery) {
	var setters []marker
	for _, rule := range d.Rules {
		setters = append(setters, s.setters(host.FieldMark, rule)...)
	}
	if program := s.program(); program != "" {
		r.Why = append(r.Why, program+" may set the mark")
		return
	}
	if len(setters) == 0 {
		r.Info, r.State = true, host.Inactive
		r.Why = []string{fmt.Sprintf("no rule sets mark %#x, for which the policy rule leads here (%s)", d.Rules[0].Mark, d.Rules[0].Words)}
		return
	}
	parts, state := []string{}, host.Inactive
	for _, m := range setters {
		if l := s.takesAny(m); l != nil {
			r.Evidence = appendOnce(r.Evidence, fmt.Sprintf("the mark is set by %s for the transparent socket %s, which so takes connections to any address", m, socketAddress(l)))
			return
		}
		t := s.interception(m)
		if t == nil && asksForSocket(&m.branch.Match) {
			state, parts = host.Active, appendOnce(parts, "the mark that leads here is only given to packets that a socket has already, by "+m.String())
			continue
		}
		if t == nil {
			r.Evidence = appendOnce(r.Evidence, "the mark is set by "+m.String())
			return
		}
		if t.State != host.Inactive {
			state = host.Active
		}
		parts = appendOnce(parts, "part of the TPROXY interception "+t.ID)
	}
	r.Info, r.State, r.Why = true, state, parts
}

// program names what may mark packets besides the rules: a tc action, or a
// program whose code does not tell.
func (s *story) program() string {
	if s.unheard != "" {
		return "what " + s.unheard + " holds, which was not looked at,"
	}
	if m := s.space.Marker(); m != "" {
		return m
	}
	for i := range s.rows {
		if r := &s.rows[i]; (r.Mechanism == "tc" || r.Mechanism == "bpf") && r.State == host.Unknown {
			return "a program (" + r.Kind + ", see " + r.ID + ")"
		}
	}
	return ""
}

// interception is the TPROXY row that a marker works for: its own rule, one
// that takes every packet that it marks, or any where it marks only packets
// that a socket of the interception has already.
func (s *story) interception(m marker) *host.Redirect {
	taken := m.branch.Match
	if taken.Family == "" && (m.table.Family == host.IP || m.table.Family == host.IP6) {
		taken.Family = m.table.Family
	}
	for _, i := range s.tproxies {
		r := &s.rows[i]
		if m.is(r) || asksForSocket(&taken) || r.Match.Covers(&taken) {
			return r
		}
	}
	return nil
}
