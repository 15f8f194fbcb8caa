package audit

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// joinProcesses names the process that listens where a redirect leads, for
// redirects to this host.
func joinProcesses(rows []host.Redirect, space *host.Space) {
	for i := range rows {
		r := &rows[i]
		if r.Process != nil || r.Info || len(r.Targets) != 1 {
			continue
		}
		l := listenerAt(space, r.Match, r.Targets[0])
		if l == nil || len(l.Processes) == 0 {
			continue
		}
		p := l.Processes[0]
		r.Process = &p
		r.Evidence = append(r.Evidence, listens(l))
	}
}

func listens(l *host.Listener) string {
	names := make([]string, 0, len(l.Processes))
	for _, p := range l.Processes {
		names = append(names, fmt.Sprintf("%s (pid %d)", p.Name, p.PID))
	}
	return fmt.Sprintf("%s listens on %s", orNobody(names), socketAddress(l))
}

func orNobody(names []string) string {
	switch len(names) {
	case 0:
		return "a socket without a process"
	case 1:
		return names[0]
	}
	return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
}

func socketAddress(l *host.Listener) string {
	a, err := netip.ParseAddr(l.Address)
	if err != nil {
		return fmt.Sprintf("%s:%d", l.Address, l.Port)
	}
	return netip.AddrPortFrom(a, l.Port).String()
}

// listenerAt finds the listener that answers for a target on this host; nil
// where the target is elsewhere, or several ports are meant.
func listenerAt(space *host.Space, m *host.Match, t host.Target) *host.Listener {
	if t.Dev != "" || t.Unix != "" || m == nil || !isOwn(space, t) {
		return nil
	}
	port, ok := onePort(m, t)
	if !ok {
		return nil
	}
	for _, l := range space.ListenersOn(port) {
		if m.Protos.Has(number(l.Proto)) && takes(l, m.Family, t.Lo) {
			return l
		}
	}
	return nil
}

// isOwn says whether the target is this host: no address, or one of its own.
func isOwn(space *host.Space, t host.Target) bool {
	return !t.Lo.IsValid() || t.Lo == t.Hi && (t.Lo.IsLoopback() || slices.Contains(space.Addrs, t.Lo.String()))
}

// onePort is the port at which a redirected packet arrives, where it is one.
func onePort(m *host.Match, t host.Target) (uint16, bool) {
	if t.PortLo != 0 {
		return t.PortLo, t.PortLo == t.PortHi || t.PortHi == 0
	}
	if len(m.Ports) == 1 && m.Ports[0].Lo == m.Ports[0].Hi {
		return uint16(m.Ports[0].Lo), true
	}
	return 0, false
}

func number(proto string) host.Proto {
	switch proto {
	case "udp":
		return host.UDP
	case "udplite":
		return host.UDPLite
	case "sctp":
		return host.SCTP
	}
	return host.TCP // tcp, mptcp
}

// takes says whether the socket takes packets of the family for the address;
// an invalid address is whichever the kernel chooses.
func takes(l *host.Listener, f host.Family, to netip.Addr) bool {
	bound, err := netip.ParseAddr(l.Address)
	if err != nil {
		return false
	}
	if !slices.Contains(familiesOf(l, bound), packetOf(f, to)) && f != host.Both && f != "" {
		return false
	}
	return bound.IsUnspecified() || !to.IsValid() || bound.Unmap() == to
}

func packetOf(f host.Family, to netip.Addr) host.Family {
	if f == host.IP || f == host.IP6 || !to.IsValid() {
		return f
	}
	if to.Is4() {
		return host.IP
	}
	return host.IP6
}

// familiesOf are the packet families that a socket takes.
func familiesOf(l *host.Listener, bound netip.Addr) []host.Family {
	switch {
	case bound.Is4() || bound.Is4In6():
		return []host.Family{host.IP}
	case bound.IsUnspecified() && l.DualStack:
		return []host.Family{host.IP, host.IP6}
	}
	return []host.Family{host.IP6}
}
