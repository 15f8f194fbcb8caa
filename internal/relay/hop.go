package relay

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// What a configuration may make natwarden keep: anybody can write one. What is
// beyond counts as leading anywhere.
const (
	mostDestinations = 20_000
	mostVariables    = 1_000
)

// A hop is one way through a relay: what it listens on and where it leads.
type hop struct {
	proto  string // tcp, udp; "" any
	listen listen
	to     []destination
	kind   string // proxy forwarder tunnel
	how    string // the evidence, in words
	file   string // the configuration that says so
	unit   string // the unit to stop for it, where it is another than the process's own
	open   bool   // it leads wherever its client asks
	fed    bool   // it takes only what a redirect hands to it: that redirect is the finding
	serves bool   // it answers itself on this port: no relay
	unsure bool   // it opens connections when some come; that it passes on is not seen
	rest   bool   // it speaks of the listeners that no other hop of the process is for
}

// listen is what a hop listens on. The zero value is any socket of the process.
type listen struct {
	addr   netip.Addr // invalid or unspecified: any
	lo, hi uint16     // ports; 0, 0: any
	unix   string     // a unix socket; "@name" in the abstract namespace
}

// port is the first port, 0 where it is any.
func (l listen) port() uint16 { return l.lo }

// takes says whether the socket may be that of the listener.
func (l listen) takes(s *host.Listener) bool {
	if l.unix != "" || l.lo != 0 && (s.Port < l.lo || s.Port > l.hi) {
		return false
	}
	bound, err := netip.ParseAddr(s.Address)
	if err != nil || !l.addr.IsValid() || l.addr.IsUnspecified() || bound.IsUnspecified() {
		return true
	}
	return bound.Unmap().WithZone("") == l.addr
}

// parseListen reads a listening address: "*:80", ":80", "80", "[::]:443",
// "0.0.0.0:80-90", ":::80", "unix:/path". A service's name gives any port.
func parseListen(text string) listen {
	text = strings.Trim(text, `"'`)
	if path, ok := cutUnix(text); ok {
		return listen{unix: path}
	}
	addr, ports := "", text
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		addr, ports = text[:i], text[i+1:]
	}
	var l listen
	l.lo, l.hi = portRange(ports)
	if l.lo == 0 { // an address alone
		addr = text
	}
	if a, err := netip.ParseAddr(strings.Trim(addr, "[]")); err == nil {
		l.addr = a.Unmap().WithZone("")
	}
	return l
}

// portRange reads "80" and "80-90"; 0, 0 for what is neither.
func portRange(text string) (lo, hi uint16) {
	first, last, ranged := strings.Cut(text, "-")
	a, err := strconv.ParseUint(first, 10, 16)
	if err != nil {
		return 0, 0
	}
	b := a
	if ranged {
		if b, err = strconv.ParseUint(last, 10, 16); err != nil || b < a {
			return 0, 0
		}
	}
	return uint16(a), uint16(b)
}

// onPort is one port on any address.
func onPort(port uint16) listen { return listen{lo: port, hi: port} }

// A destination is an address, or a name that natwarden does not resolve:
// asking a name server would be an act, and its answer is no proof.
type destination struct {
	target host.Target
	name   string
}

// String writes the destination as a row of the report does.
func (d destination) String() string {
	if d.name != "" {
		return d.name
	}
	return d.target.String()
}

// outside says whether the destination is another machine.
func (d destination) outside(own func(netip.Addr) bool) bool {
	if d.name != "" {
		return true
	}
	a := d.target.Lo
	return a.IsValid() && !a.IsLoopback() && !a.IsUnspecified() && !own(a)
}

// to is a destination at an address.
func to(a netip.AddrPort) destination {
	return destination{target: host.AddrTarget(a.Addr().Unmap(), a.Port())}
}

// parseDestination reads "host:port", "[v6]:port", "host", "unix:PATH",
// "/path" and URLs. defaultPort 0 leaves the port out.
func parseDestination(text string, defaultPort uint16) destination {
	text = strings.Trim(text, `"'`)
	if scheme, rest, isURL := strings.Cut(text, "://"); isURL {
		return parseURL(scheme, rest, defaultPort)
	}
	if path, ok := cutUnix(text); ok {
		return destination{target: host.Target{Unix: strings.TrimSuffix(path, ":")}}
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return to(ap)
	}
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return to(netip.AddrPortFrom(a, defaultPort))
	}
	name, port, found := cutPort(text)
	if !found {
		name, port = text, defaultPort
	}
	return joined(name, port)
}

// parseURL reads what follows the scheme: "user@host:port/path".
func parseURL(scheme, rest string, defaultPort uint16) destination {
	if path, ok := cutUnix(rest); ok {
		path, _, _ = strings.Cut(path, "|")
		return destination{target: host.Target{Unix: strings.TrimSuffix(path, ":")}}
	}
	if p, ok := schemePorts()[strings.ToLower(scheme)]; ok && defaultPort == 0 {
		defaultPort = p
	}
	rest, _, _ = strings.Cut(rest, "/")
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	return parseDestination(rest, defaultPort)
}

func schemePorts() map[string]uint16 {
	return map[string]uint16{"http": 80, "ws": 80, "grpc": 80, "h2c": 80, "https": 443, "wss": 443, "grpcs": 443, "h2": 443, "ajp": 8009, "fcgi": 8000, "ftp": 21}
}

// cutUnix gives the path of a unix socket: "unix:/x", "unix@/x", "abns@x", "/x", "@x".
func cutUnix(text string) (string, bool) {
	for _, prefix := range []string{"unix:", "unix@", "unix//"} {
		if path, ok := strings.CutPrefix(text, prefix); ok {
			return path, true
		}
	}
	if name, ok := strings.CutPrefix(text, "abns@"); ok {
		return "@" + name, true
	}
	return text, strings.HasPrefix(text, "/")
}

// hostAndPort is a destination whose parts stand apart; an address may be
// IPv6 without brackets.
func hostAndPort(name string, port uint16) destination {
	if a, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return to(netip.AddrPortFrom(a, port))
	}
	return joined(name, port)
}

// joined is a name with a port. localhost is this host, whatever a hosts file
// of the process says otherwise.
func joined(name string, port uint16) destination {
	if name == "localhost" || name == "" || name == "*" {
		return to(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	}
	if port == 0 {
		return destination{name: name}
	}
	return destination{name: name + ":" + strconv.Itoa(int(port))}
}

// cutPort splits "host:port" at its last colon.
func cutPort(text string) (string, uint16, bool) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return text, 0, false
	}
	n, err := strconv.ParseUint(text[i+1:], 10, 16)
	if err != nil {
		return text, 0, false
	}
	return text[:i], uint16(n), true
}

// parsePort reads a port's number; 0 for what is none.
func parsePort(text string) uint16 {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
