package audit

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/portmap"
)

// portRows joins redirects and listeners of one namespace: who answers on each
// port. What rules do is followed (package portmap); of what else redirects, and
// where routes or sockets were not read, the row itself is all that is known.
func portRows(netns string, rows []host.Redirect, listeners []host.Listener, answers *portmap.Map) []PortRow {
	out := make([]PortRow, 0, len(rows)+2*len(listeners))
	taken, others := takenPorts{}, takenPorts{} // by all rows; by those that are not followed
	for i := range rows {
		r := &rows[i]
		if !decides(r) {
			continue
		}
		taken.add(r)
		if !answers.Followed(i) {
			out = append(out, redirectRow(netns, r))
			others.add(r)
			continue
		}
		lines := portLines(netns, answers.Of(i))
		if len(lines) == 0 && len(r.Behind) == 0 { // protocols without ports, or a process at a queue decides
			row := redirectRow(netns, r)
			row.Condition = joined(row.Condition, "where a packet gets to it")
			lines = []PortRow{row}
		}
		out = append(out, lines...)
	}
	taken.seal()
	others.seal()
	for i := range listeners {
		rows, ok := followedListener(netns, &listeners[i], others, answers)
		if !ok {
			rows = listenerRows(netns, &listeners[i], taken)
		}
		out = append(out, rows...)
	}
	return out
}

func portLines(netns string, lines []portmap.Line) []PortRow {
	out := make([]PortRow, 0, len(lines))
	for _, l := range lines {
		out = append(out, PortRow{Proto: l.Proto, Family: l.Family, Address: l.Address, Ports: l.Ports, Condition: l.Condition,
			AnsweredBy: l.AnsweredBy, Redirects: l.Redirects, Netns: netns, Reason: l.Reason})
	}
	return out
}

// decides says whether a redirect decides who answers packets from outside.
func decides(r *host.Redirect) bool {
	return !r.Info && r.Direction == "inbound" && (r.State == host.Active || r.State == host.Unknown)
}

func redirectRow(netns string, r *host.Redirect) PortRow {
	by := slices.Clone(r.To)
	if len(by) == 0 {
		by = []string{"unknown"}
	}
	return PortRow{Proto: r.Proto, Family: r.Family, Address: r.Address, Ports: r.Ports, Condition: condition(r),
		AnsweredBy: by, Redirects: []string{r.ID}, Netns: netns}
}

func condition(r *host.Redirect) string {
	parts := slices.Clone(r.Conditions)
	if r.Source != "" {
		parts = append([]string{"from " + r.Source}, parts...)
	}
	return strings.Join(parts, ", ")
}

func joined(a, b string) string {
	if a == "" {
		return b
	}
	return a + ", " + b
}

// takenPorts are the ports that redirects take whole: whatever listens there
// is not what answers from outside.
type takenPorts map[takenKey][]host.Range[host.Port]

type takenKey struct {
	proto  host.Proto
	family host.Family
}

func (t takenPorts) add(r *host.Redirect) {
	m := r.Match
	if r.State != host.Active || m == nil || condition(r) != "" || !m.Address.Any() {
		return
	}
	for _, p := range []host.Proto{host.TCP, host.UDP, host.SCTP, host.UDPLite} {
		if !m.Protos.Has(p) {
			continue
		}
		for _, f := range []host.Family{host.IP, host.IP6} {
			if r.Family == f || r.Family == host.Both {
				t[takenKey{p, f}] = append(t[takenKey{p, f}], ranges(m.Ports)...)
			}
		}
	}
}

func ranges(p host.Ports) []host.Range[host.Port] {
	if p.Any() {
		return []host.Range[host.Port]{{Lo: 0, Hi: 65535}}
	}
	return p
}

// seal brings the ranges into the form in which they are looked up.
func (t takenPorts) seal() {
	for key, list := range t {
		t[key] = host.Of(list...)
	}
}

func (t takenPorts) has(p host.Proto, f host.Family, port uint16) bool {
	_, found := slices.BinarySearchFunc(t[takenKey{p, f}], host.Port(port), func(r host.Range[host.Port], p host.Port) int {
		switch {
		case r.Hi < p:
			return -1
		case r.Lo > p:
			return 1
		}
		return 0
	})
	return found
}

// followedListener gives the rows of a socket to which the packets are
// followed. It is false where they cannot be.
func followedListener(netns string, l *host.Listener, taken takenPorts, answers *portmap.Map) ([]PortRow, bool) {
	bound, err := netip.ParseAddr(l.Address)
	if err != nil {
		return nil, false
	}
	var out []PortRow
	for _, f := range familiesOf(l, bound) {
		if taken.has(number(l.Proto), f, l.Port) && !bound.IsLoopback() {
			continue
		}
		lines, ok := answers.Listener(l, f)
		if !ok {
			return nil, false
		}
		out = append(out, portLines(netns, lines)...)
	}
	return out, true
}

// listenerRows gives a row for each packet family that the socket takes and no
// redirect takes from it.
func listenerRows(netns string, l *host.Listener, taken takenPorts) []PortRow {
	bound, err := netip.ParseAddr(l.Address)
	if err != nil {
		return nil
	}
	var out []PortRow
	for _, f := range familiesOf(l, bound) {
		if taken.has(number(l.Proto), f, l.Port) && !bound.IsLoopback() {
			continue
		}
		row := PortRow{Proto: l.Proto, Family: f, Ports: host.PortsString(host.PortsOf(l.Port, l.Port)),
			AnsweredBy: []string{socketAddress(l)}, Redirects: []string{}, Netns: netns}
		if !bound.IsUnspecified() {
			row.Address = bound.Unmap().String()
		}
		out = append(out, row)
	}
	return out
}
