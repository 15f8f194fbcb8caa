package relay

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// A hop is one way through a relay: what it listens on and where it leads.
type hop struct {
	proto string // tcp, udp; "" any
	port  uint16 // of the listener; 0: any port of the process
	to    []destination
	kind  string // proxy forwarder tunnel
	how   string // the evidence, in words
	file  string // the configuration that says so
	open  bool   // it leads wherever its client asks
	fed   bool   // it takes only what a redirect hands to it: that redirect is the finding
}

// A destination is an address, or a name that natwarden does not resolve:
// asking a name server would be an act, and its answer is no proof.
type destination struct {
	target host.Target
	name   string
}

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

// parseDestination reads "host:port", "[v6]:port", "host", "unix:PATH",
// "/path" and URLs. defaultPort 0 leaves the port out.
func parseDestination(text string, defaultPort uint16) destination {
	text = strings.Trim(text, `"'`)
	if _, rest, isURL := strings.Cut(text, "://"); isURL {
		text, _, _ = strings.Cut(rest, "/")
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok || strings.HasPrefix(text, "/") {
		return destination{target: host.Target{Unix: strings.TrimSuffix(path, ":")}}
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return destination{target: host.AddrTarget(ap.Addr().Unmap(), ap.Port())}
	}
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return destination{target: host.AddrTarget(a.Unmap(), defaultPort)}
	}
	name, port, found := cutPort(text)
	if !found {
		port = defaultPort
	}
	if name == "localhost" || name == "" {
		return destination{target: host.AddrTarget(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)}
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

// listenPort gives the port of a listening address: "*:80", ":80", "80",
// "[::]:443", "0.0.0.0:80".
func listenPort(text string) uint16 {
	text, _, _ = strings.Cut(text, ",") // haproxy: several at once are read one by one by the caller
	if n, err := strconv.ParseUint(text, 10, 16); err == nil {
		return uint16(n)
	}
	_, port, _ := cutPort(text)
	return port
}
