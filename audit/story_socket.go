package audit

import (
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// asksForSocket says whether the match is that a socket has the packet
// already (xt_socket, nft_socket).
func asksForSocket(m *host.Match) bool {
	return slices.ContainsFunc(m.Conditions, func(c string) bool {
		return strings.HasPrefix(c, "socket ") || strings.HasPrefix(c, "a local socket answers")
	})
}

// takesAny gives a listener that a rule which asks for a socket finds for
// packets to any address: a transparent one on the wildcard address, at a port
// that the rule takes. With its mark and the route that is an interception
// without TPROXY.
func (s *story) takesAny(m marker) *host.Listener {
	match := &m.branch.Match
	if !asksForSocket(match) || !asksForWildcard(match) {
		return nil
	}
	for i := range s.space.Listeners {
		l := &s.space.Listeners[i]
		if (l.Transparent || l.Partial) && wildcard(l.Address) && match.Ports.Has(host.Port(l.Port)) && match.Protos.Has(number(l.Proto)) {
			return l
		}
	}
	return nil
}

// asksForWildcard says whether sockets on the wildcard address count: always
// for nft_socket, where the rule does not exclude them, and for xt_socket with
// --nowildcard ("do not ignore sockets bound to the 'any' address").
func asksForWildcard(m *host.Match) bool {
	native := false
	for _, c := range m.Conditions {
		if strings.HasPrefix(c, "a local socket answers") && strings.Contains(c, "nowildcard") {
			return true
		}
		native = native || strings.HasPrefix(c, "socket ")
	}
	return native && !slices.Contains(m.Conditions, "socket wildcard 0")
}

func wildcard(address string) bool { return address == "0.0.0.0" || address == "::" || address == "*" }
