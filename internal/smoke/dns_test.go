package smoke

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/natwarden/natwarden/internal/host"
)

// nameServer answers questions of two protocols as a test says.
type nameServer struct {
	t      *testing.T
	answer func(q dnsmessage.Message, tcp bool) []dnsmessage.Message
}

func (n nameServer) start() netip.AddrPort {
	n.t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { tcp.Close(); udp.Close() })
	go n.serveUDP(udp)
	go n.serveTCP(tcp)
	return netip.MustParseAddrPort(tcp.Addr().String())
}

func (n nameServer) pack(data []byte, tcp bool) (out [][]byte) {
	var q dnsmessage.Message
	if q.Unpack(data) != nil {
		return nil
	}
	q.Response = true
	for _, m := range n.answer(q, tcp) {
		if data, err := m.Pack(); err == nil {
			out = append(out, data)
		}
	}
	return out
}

func (n nameServer) serveUDP(udp net.PacketConn) {
	for {
		data := make([]byte, 4096)
		size, from, err := udp.ReadFrom(data)
		if err != nil {
			return
		}
		for _, m := range n.pack(data[:size], false) {
			_, _ = udp.WriteTo(m, from)
		}
	}
}

func (n nameServer) serveTCP(tcp net.Listener) {
	for {
		c, err := tcp.Accept()
		if err != nil {
			return
		}
		data := make([]byte, 4096)
		if size, err := c.Read(data); err == nil && size > 2 {
			for _, m := range n.pack(data[2:size], true) {
				_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...))
			}
		}
		c.Close()
	}
}

func with(q dnsmessage.Message, bodies ...dnsmessage.ResourceBody) []dnsmessage.Message {
	for _, b := range bodies {
		q.Answers = append(q.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 1}, Body: b})
	}
	return []dnsmessage.Message{q}
}

var alias = &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("Web.Example.org.")}

func address(last byte) *dnsmessage.AResource {
	return &dnsmessage.AResource{A: [4]byte{10, 0, 0, last}}
}

func TestDNS(t *testing.T) {
	t.Parallel()
	zone := func(q dnsmessage.Message, tcp bool) []dnsmessage.Message {
		name, _, _ := strings.Cut(strings.ToLower(q.Questions[0].Name.String()), ".")
		switch name {
		case "www":
			return with(q, alias, address(1), address(2))
		case "six":
			return with(q, &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr("2001:db8::1").As16()})
		case "mail":
			return with(q, &dnsmessage.MXResource{Pref: 10, MX: dnsmessage.MustNewName("MX.example.org.")})
		case "text":
			return with(q, &dnsmessage.TXTResource{TXT: []string{"v=spf1 ", "-all"}})
		case "ns":
			return with(q, &dnsmessage.NSResource{NS: dnsmessage.MustNewName("ns1.example.org.")})
		case "empty":
			return with(q)
		case "none":
			q.RCode = dnsmessage.RCodeNameError
			return with(q)
		case "big":
			q.Truncated = !tcp
			if q.Truncated {
				return with(q)
			}
			return with(q, address(7))
		case "forged":
			forged, other := q, q
			forged.ID++
			other.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("x."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}
			query := q
			query.Response = false
			return append(append(append(with(forged, address(66)), with(other, address(66))...), with(query, address(66))...), with(q, address(1))...)
		}
		return nil
	}
	server := nameServer{t, zone}.start()
	for _, c := range []struct {
		name, kind string
		answers    []string
		want       string
	}{
		{"www", "A", nil, ""},
		{"WWW", "A", []string{"10.0.0.2"}, ""},
		{"www", "A", []string{"10.0.0.1", "10.0.0.2"}, ""},
		{"www", "A", []string{"10.0.0.1", "10.0.0.3"}, `the answer is ["10.0.0.1" "10.0.0.2"], without "10.0.0.3"`},
		{"www", "CNAME", []string{"web.example.ORG."}, ""},
		{"six", "AAAA", []string{"2001:DB8:0::1"}, ""},
		{"six", "A", nil, "knows no A of it"},
		{"mail", "MX", []string{"10  mx.example.org"}, ""},
		{"mail", "MX", []string{"20 mx.example.org"}, "without"},
		{"text", "TXT", []string{"v=spf1 -all"}, ""},
		{"text", "TXT", []string{"V=spf1 -all"}, "without"},
		{"ns", "NS", []string{"ns1.example.org"}, ""},
		{"empty", "A", nil, "knows no A of it"},
		{"none", "A", nil, "the server answered NameError"},
		{"big", "A", []string{"10.0.0.7"}, ""},
		{"forged", "A", []string{"10.0.0.66"}, `the answer is ["10.0.0.1"]`},
		{"silent", "A", nil, "no answer within 2s"},
	} {
		d := &host.DNSProbe{Server: server, Name: c.name + ".example.org", Type: c.kind, Answers: c.answers}
		check(t, c.name+" "+c.kind, why(t, host.Probe{DNS: d, Timeout: 2 * time.Second}), c.want)
	}
	d := &host.DNSProbe{Server: netip.MustParseAddrPort(refusing(t)), Name: "www.example.org", Type: "A"}
	check(t, "nobody there", why(t, host.Probe{DNS: d, Timeout: time.Second}), "connection refused")
}

// /etc/hosts knows localhost; the server does not.
func TestDNSAsksNobodyElse(t *testing.T) {
	t.Parallel()
	server := nameServer{t, func(q dnsmessage.Message, _ bool) []dnsmessage.Message {
		q.RCode = dnsmessage.RCodeNameError
		return with(q)
	}}.start()
	check(t, "localhost", why(t, host.Probe{DNS: &host.DNSProbe{Server: server, Name: "localhost", Type: "A"}}), "NameError")
}

func FuzzDNSAnswer(f *testing.F) {
	q := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName("www.example.org."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}}}
	for _, m := range with(q, alias, address(1), &dnsmessage.TXTResource{TXT: []string{"x"}}, &dnsmessage.MXResource{Pref: 1, MX: dnsmessage.MustNewName("m.")}) {
		data, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m dnsmessage.Message
		if m.Unpack(data) != nil || !answers(&m, m.ID, q.Questions[0]) {
			return
		}
		for _, kind := range []string{"A", "AAAA", "CNAME", "MX", "NS", "TXT"} {
			if judgeDNS(&host.DNSProbe{Type: kind}, &m) == nil && len(m.Answers) == 0 {
				t.Errorf("%s: an answer out of nothing", kind)
			}
		}
	})
}
