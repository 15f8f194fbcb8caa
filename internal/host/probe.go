package host

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Probe is a question to the network or to the host itself, and the answer that
// is expected: a smoke test. Exactly one of TCP, HTTP, DNS and Command is set.
type Probe struct {
	ID      string
	TCP     string // HOST:PORT that must take a connection
	HTTP    *HTTPProbe
	DNS     *DNSProbe
	Command []string      // a program by its absolute path, and its arguments
	Timeout time.Duration // for one try
	Line    int           // of the policy
}

// HTTPProbe asks for a page.
type HTTPProbe struct {
	URL      string
	Status   int    // that is expected
	Body     string // that must stand in the body; "" is anything
	CA       string // path of the certificates to trust in place of the system's; ""
	Insecure bool   // any certificate will do
	Follow   bool   // redirects are followed
}

// DNSProbe asks one server.
type DNSProbe struct {
	Server  netip.AddrPort
	Name    string
	Type    string   // A, AAAA, CNAME, MX, NS, TXT
	Answers []string // each must be among the answers; none: any answer will do
}

// String writes the question in one line.
func (p *Probe) String() string {
	switch {
	case p.HTTP != nil:
		return fmt.Sprintf("http %s answers %d", p.HTTP.URL, p.HTTP.Status)
	case p.DNS != nil:
		return fmt.Sprintf("dns %s %s at %s", p.DNS.Type, p.DNS.Name, p.DNS.Server)
	case len(p.Command) > 0:
		return "command " + strings.Join(p.Command, " ")
	}
	return "tcp " + p.TCP
}

// Closed is a port that nobody may answer any more after a change.
type Closed struct {
	ID      string
	Proto   Proto
	Port    uint16
	Address netip.Addr // invalid: every address of the host
	From    netip.Addr // of the client; invalid: any
	Line    int        // of the policy
}

// String writes the expectation in one line: "tcp/8080 at 10.0.0.1".
func (c *Closed) String() string {
	text := fmt.Sprintf("%s/%d", c.Proto, c.Port)
	if c.Address.IsValid() {
		text += " at " + c.Address.String()
	}
	if c.From.IsValid() {
		text += " from " + c.From.String()
	}
	return text
}
