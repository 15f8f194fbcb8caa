package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// ListenerMatch is which listeners an entry allows: the product of its keys.
type ListenerMatch struct {
	proto       []string
	ports       portSet
	address     listenAddrs
	netns       []string
	process     processMatch
	transparent *bool
}

// listenAddrs are addresses that a socket may be bound to. A wildcard is an
// address of its own: a socket on all addresses is inside no prefix.
type listenAddrs struct {
	restricted bool
	any4, any6 bool
	set        addrSet
}

func (a *listenAddrs) add(text string) error {
	a.restricted = true
	switch text {
	case "*":
		a.any4, a.any6 = true, true
	case "0.0.0.0":
		a.any4 = true
	case "::":
		a.any6 = true
	case "any":
		return fmt.Errorf("%q is no address to listen on: want *, 0.0.0.0, ::, ADDR, PREFIX/LEN or LO-HI", text)
	default:
		return a.set.add(text)
	}
	return nil
}

func (a *listenAddrs) contains(bound netip.Addr) bool {
	switch {
	case !a.restricted:
		return true
	case !bound.IsValid():
		return false
	case bound.IsUnspecified():
		return bound.Is4() && a.any4 || bound.Is6() && a.any6
	}
	return a.set.restricted && a.set.contains(host.Addrs{{Lo: bound, Hi: bound}}, both)
}

func (a *listenAddrs) covers(o *listenAddrs) bool {
	if !a.restricted || !o.restricted {
		return !a.restricted
	}
	return (a.any4 || !o.any4) && (a.any6 || !o.any6) &&
		(!o.set.restricted || a.set.restricted && a.set.covers(&o.set))
}

// listenProtos are the protocols of sockets that listen.
func listenProtos() []string { return []string{"tcp", "udp", "udplite", "sctp", "dccp", "mptcp"} }

func parseListenProto(text string, m *ListenerMatch) error {
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(listenProtos(), name) {
			return fmt.Errorf("%q is no protocol to listen on: want %s", name, strings.Join(listenProtos(), ", "))
		}
		m.proto = append(m.proto, name)
	}
	return nil
}

// takesProto: MPTCP is TCP with options on the wire (RFC 8684), and what a
// socket of it answers a plain TCP client gets too; so tcp takes it as well. One that answers both is listed as tcp.
func (m *ListenerMatch) takesProto(proto string) bool {
	return fits(m.proto, proto) || proto == "mptcp" && slices.Contains(m.proto, "tcp")
}

func (m *ListenerMatch) contains(l *host.Listener, bound netip.Addr) bool {
	port := host.Port(l.Port)
	return m.ports.contains(host.Ports{{Lo: port, Hi: port}}) && (m.takesProto(l.Proto) || l.MPTCP && m.takesProto("mptcp")) &&
		m.address.contains(bound) && fits(m.netns, l.Netns) && m.byUser(l) &&
		(m.transparent == nil || *m.transparent == l.Transparent) && m.process.containsAll(l.Processes)
}

// byUser compares the owner of the socket: a number with the uid, else the
// name, so that a user who is called "0" is not root.
func (m *ListenerMatch) byUser(l *host.Listener) bool {
	return m.process.user == nil || slices.ContainsFunc(m.process.user, func(user string) bool {
		if uid, err := strconv.ParseUint(user, 10, 32); err == nil {
			return uint32(uid) == l.UID
		}
		return user == l.User
	})
}

// boundTo gives the address of a listener; the zero Addr where it cannot be
// read. An IPv4 address that is mapped into IPv6 takes IPv4 packets.
func boundTo(l *host.Listener) netip.Addr {
	a, err := netip.ParseAddr(l.Address)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}
