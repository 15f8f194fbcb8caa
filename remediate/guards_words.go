package remediate

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// mayCarry says whether a line may come through a redirect, by its extent: the
// redirect takes what is for the line's address and port, or leads to where the
// line is answered. What cannot be read counts.
func mayCarry(l *host.Line, r *host.Redirect, way host.Way) bool {
	if r.Proto != l.Proto && r.Proto != "any" {
		return false
	}
	switch r.Mechanism {
	case "route":
		return routed(l, r, way)
	case "neighbour": // this host's own addresses are answered for without
		return (!l.Placed || l.Netns != r.Netns) && takes(r, way.Asked)
	}
	if l.Dialed != (r.Direction == "outbound") {
		return false
	}
	if l.Dialed {
		return takes(r, way.Asked)
	}
	return takes(r, way.Asked) || takes(r, l.Here) || slices.ContainsFunc(r.To, func(to string) bool { return leadsTo(to, l.Here) })
}

// routed says whether packets of the line, in one direction or the other, may
// follow a route or a policy rule.
func routed(l *host.Line, r *host.Redirect, way host.Way) bool {
	if way.Certain && way.Unmarked && slices.ContainsFunc(r.Conditions, func(c string) bool { return strings.HasPrefix(c, "mark ") }) {
		return false
	}
	asked, client := way.Asked, l.There
	if l.Dialed {
		client = l.Here
	}
	return takes(r, asked) && mayHold(r.Source, client.Addr()) || takes(r, client) && mayHold(r.Source, asked.Addr())
}

// takes says whether a redirect takes what is for an address and port; an end
// that is not known is taken by all.
func takes(r *host.Redirect, at netip.AddrPort) bool {
	ports, err := host.ParsePorts(r.Ports)
	if err != nil || !at.IsValid() {
		return true
	}
	return ports.Has(host.Port(at.Port())) && mayHold(r.Address, at.Addr())
}

// mayHold says whether an address, prefix or range in words may hold addr.
func mayHold(words string, addr netip.Addr) bool {
	if words == "" || !addr.IsValid() {
		return true
	}
	if p, err := netip.ParsePrefix(words); err == nil {
		return p.Contains(addr)
	}
	if a, err := netip.ParseAddr(words); err == nil {
		return a == addr
	}
	return true
}

// leadsTo says whether a destination is an end of the line.
func leadsTo(to string, end netip.AddrPort) bool {
	if strings.HasPrefix(to, "dev:") || strings.HasPrefix(to, "unix:") {
		return false
	}
	if to == ":*" {
		return false // the port is kept: takes has looked at it
	}
	if a, err := netip.ParseAddrPort(to); err == nil {
		return a == end
	}
	if rest, here := strings.CutPrefix(to, ":"); here {
		ports, err := host.ParsePorts(strings.SplitN(rest, "/", 2)[0])
		return err != nil || ports.Has(host.Port(end.Port()))
	}
	return strings.Contains(to, end.Addr().String())
}
