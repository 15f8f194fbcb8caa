package policy

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// parseTo reads a destination of the policy. It is stricter than the reader of
// rows: what a slip of the pen would widen is refused.
func parseTo(text string) (host.Target, error) {
	switch port, stated := portPart(text); {
	case stated && port == "":
		return host.Target{}, fmt.Errorf("%q ends before its port", text)
	case stated && strings.Trim(port, "0") == "":
		return host.Target{}, fmt.Errorf("%q: port 0 does not exist", text)
	}
	if err := wholePrefix(addrPart(text)); err != nil {
		return host.Target{}, err
	}
	return host.ParseTarget(text)
}

// portPart gives what stands after the colon of a port; several colons without
// brackets are an IPv6 address.
func portPart(text string) (port string, stated bool) {
	if _, port, stated := strings.Cut(text, "]:"); stated {
		return port, true
	}
	if strings.Count(text, ":") != 1 || strings.HasPrefix(text, "dev:") || strings.HasPrefix(text, "unix:") {
		return "", false
	}
	_, port, _ = strings.Cut(text, ":")
	return port, true
}

func addrPart(text string) string {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		addr, _, _ := strings.Cut(inner, "]")
		return addr
	}
	if strings.Count(text, ":") == 1 {
		addr, _, _ := strings.Cut(text, ":")
		return addr
	}
	return text
}

// insideTo says whether every destination lies inside the destinations of an
// entry. ports are those that the row takes: the destination ports where a
// redirect keeps them.
func insideTo(to, targets []host.Target, ports host.Ports) bool {
	for i := range targets {
		if !destinationInside(to, &targets[i], ports) {
			return false
		}
	}
	return len(targets) > 0
}

func destinationInside(to []host.Target, t *host.Target, ports host.Ports) bool {
	reached := ports
	if !keepsPort(t) { // 0 where it becomes 0
		reached = host.PortsOf(t.PortLo, max(t.PortLo, t.PortHi))
	}
	allowed := host.Nothing[host.Port]()
	for i := range to {
		p := &to[i]
		if !placeInside(p, t) || p.Base != 0 && p.Base != t.Base {
			continue
		}
		if p.PortLo == 0 { // any port; of ":*" and of what has no port the kept one
			return true
		}
		allowed = allowed.Union(host.PortsOf(p.PortLo, max(p.PortLo, p.PortHi)))
	}
	return allowed.Contains(reached)
}

// placeInside compares what a destination is beside its port.
func placeInside(p, t *host.Target) bool {
	switch {
	case p.Unix != "" || t.Unix != "":
		return p.Unix == t.Unix
	case p.Lo.IsValid():
		return within(p, t.Lo) && within(p, t.Hi)
	case p.Dev != "":
		return p.Dev == t.Dev
	case !t.Local():
		return false
	}
	return p.PortLo != 0 || keepsPort(t) // ":*" is this host with the port kept
}

func keepsPort(t *host.Target) bool { return t.PortLo == 0 && t.PortHi == 0 && !t.ToZero }

// within: addresses are ordered by family first, so that none of the other
// family lies between two of one.
func within(p *host.Target, a netip.Addr) bool {
	return a.IsValid() && p.Lo.Compare(a) <= 0 && a.Compare(p.Hi) <= 0
}
