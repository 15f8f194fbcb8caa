package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/natwarden/natwarden/internal/host"
)

// dnsPort is where servers are asked unless the policy says otherwise (RFC 1035).
const dnsPort = 53

func dnsObject() object[host.DNSProbe] {
	types := []string{"A", "AAAA", "CNAME", "MX", "NS", "TXT"}
	return object[host.DNSProbe]{what: "dns", keys: []key[host.DNSProbe]{
		single("server", `the address of the server that is asked, with a port where it is not 53: 10.0.0.53, "[2001:db8::53]:5353"`, parseServer).must(),
		single("name", "the name that is asked for: www.example.org", func(text string, d *host.DNSProbe) error {
			if !nameOfHost.MatchString(text) {
				return fmt.Errorf("%q is no name", text)
			}
			d.Name = strings.TrimSuffix(text, ".")
			return nil
		}).must(),
		word("type", "what is asked: "+strings.Join(types, ", ")+"; absent: A", types, func(d *host.DNSProbe) *string { return &d.Type }),
		texts("answer", `what must be among the answers, one or a list: 10.0.0.1, mail.example.org; of MX "10 mail.example.org"`, func(d *host.DNSProbe) *[]string { return &d.Answers }),
	}}
}

// parseServer takes an address, or one with a port. A name would need a server
// to be found.
func parseServer(text string, d *host.DNSProbe) error {
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && a.Zone() == "" {
		d.Server = netip.AddrPortFrom(a.Unmap(), dnsPort)
		return nil
	}
	ap, err := netip.ParseAddrPort(text)
	if err != nil || ap.Port() == 0 || ap.Addr().Zone() != "" {
		return fmt.Errorf("%q is no server: want an address, 10.0.0.53 or [2001:db8::53]:5353", text)
	}
	d.Server = ap
	return nil
}

func closedObject() object[host.Closed] {
	address := func(field func(*host.Closed) *netip.Addr) func(string, *host.Closed) error {
		return func(text string, c *host.Closed) error {
			a, err := netip.ParseAddr(text)
			if err != nil || a.Zone() != "" || a.IsUnspecified() {
				return fmt.Errorf("%q is no address of one host: want 10.0.0.1 or 2001:db8::1", text)
			}
			*field(c) = a.Unmap()
			return nil
		}
	}
	return object[host.Closed]{what: "an entry of closed", done: finishClosed, keys: []key[host.Closed]{
		idKey(func(c *host.Closed) *string { return &c.ID }),
		single("port", "the port that nobody may answer any more: tcp/8080", parseProtoPort).must(),
		single("address", "that packets are for; absent: every address of the host", address(func(c *host.Closed) *netip.Addr { return &c.Address })),
		single("from", "from which they come; absent: any", address(func(c *host.Closed) *netip.Addr { return &c.From })),
	}}
}

func parseProtoPort(text string, c *host.Closed) error {
	name, port, _ := strings.Cut(text, "/")
	protos := []host.Proto{host.TCP, host.UDP, host.SCTP, host.UDPLite}
	i := slices.IndexFunc(protos, func(p host.Proto) bool { return p.String() == name })
	number, err := strconv.ParseUint(port, 10, 16)
	if i < 0 || err != nil || number == 0 {
		return fmt.Errorf("%q is no port: want tcp/8080, udp/53, sctp/36412 or udplite/9", text)
	}
	c.Proto, c.Port = protos[i], uint16(number)
	return nil
}

// finishClosed looks at what the keys say together.
func finishClosed(r *reader, n *yaml.Node, c *host.Closed) {
	c.Line = n.Line
	if c.Address.IsValid() && c.From.IsValid() && c.Address.Is4() != c.From.Is4() {
		r.add(valueOf(n, "from"), "from and address are of different families", "both IPv4, or both IPv6")
	}
}

// probes finds ids that are used twice among smoke tests and closed ports: a
// result names them by nothing else.
func (r *reader) probes(root *yaml.Node, f *file) {
	ids := map[string]int{}
	unique := func(id string, n *yaml.Node) {
		if first, taken := ids[id]; taken && id != "" {
			r.add(n, fmt.Sprintf("duplicate id %q", id), fmt.Sprintf("the one in line %d has it already", first))
		}
		ids[id] = n.Line
	}
	for i, n := range itemsOf(valueOf(root, "smoke"), len(f.smoke)) {
		unique(f.smoke[i].ID, n)
	}
	for i, n := range itemsOf(valueOf(root, "closed"), len(f.closed)) {
		unique(f.closed[i].ID, n)
	}
}
