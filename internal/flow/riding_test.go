package flow

import (
	"net/netip"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

func mustTargets(t *testing.T, texts ...string) []host.Target {
	t.Helper()
	var out []host.Target
	for _, text := range texts {
		target, err := host.ParseTarget(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, target)
	}
	return out
}

func ends(text string) (netip.Addr, uint16) {
	ap := netip.MustParseAddrPort(text)
	return ap.Addr(), ap.Port()
}

// tcpFlow is a flow from client to asked that answers answers.
func tcpFlow(client, asked, answers string) Flow {
	var f Flow
	f.Orig.Proto, f.Reply.Proto = host.TCP, host.TCP
	f.Orig.Src, f.Orig.SrcPort = ends(client)
	f.Orig.Dst, f.Orig.DstPort = ends(asked)
	f.Reply.Src, f.Reply.SrcPort = ends(answers)
	f.Reply.Dst, f.Reply.DstPort = f.Orig.Src, f.Orig.SrcPort
	return f
}

func TestRiding(t *testing.T) {
	flow := tcpFlow("10.77.1.2:40000", "10.77.1.1:80", "10.77.2.2:8080")
	kept := tcpFlow("10.77.1.2:40000", "10.77.1.1:80", "10.77.2.2:80")
	v6 := tcpFlow("[2001:db8::2]:40000", "[2001:db8::1]:80", "[2001:db8:1::1]:8080")
	addrs := func(text string) host.Addrs {
		set, err := host.ParseAddrs(text)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	for _, c := range []struct {
		name  string
		match host.Match
		to    string
		kind  string
		flow  Flow
		want  bool
	}{
		{"the rule", host.Match{Family: host.IP, Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(80, 80)}, "10.77.2.2:8080", "dnat", flow, true},
		{"everything", host.Match{}, "10.77.2.2:8080", "dnat", flow, true},
		{"conditions in words", host.Match{Conditions: []string{"mark 0x1"}, In: host.Ifaces{Names: []string{"h0"}}}, "10.77.2.2:8080", "dnat", flow, true},
		{"another family", host.Match{Family: host.IP6}, "10.77.2.2:8080", "dnat", flow, false},
		{"another protocol", host.Match{Protos: host.ProtosOf(host.UDP)}, "10.77.2.2:8080", "dnat", flow, false},
		{"another port", host.Match{Ports: host.PortsOf(81, 90)}, "10.77.2.2:8080", "dnat", flow, false},
		{"another source port", host.Match{SPorts: host.PortsOf(0, 1023)}, "10.77.2.2:8080", "dnat", flow, false},
		{"another address", host.Match{Address: addrs("10.77.1.9")}, "10.77.2.2:8080", "dnat", flow, false},
		{"another source", host.Match{Source: addrs("!10.77.1.0/24")}, "10.77.2.2:8080", "dnat", flow, false},
		{"all restricted", host.Match{Address: addrs("10.77.1.1"), Source: addrs("10.77.1.0/24"), SPorts: host.PortsOf(40000, 40000)}, "10.77.2.2:8080", "dnat", flow, true},
		{"another destination", host.Match{}, "10.77.2.3:8080", "dnat", flow, false},
		{"another destination port", host.Match{}, "10.77.2.2:8081", "dnat", flow, false},
		{"a range", host.Match{}, "10.77.2.1-10.77.2.5:8000-8090", "dnat", flow, true},
		{"beyond a range", host.Match{}, "10.77.2.3-10.77.2.5:8000-8090", "dnat", flow, false},
		{"port not kept", host.Match{}, "10.77.2.2", "dnat", flow, false},
		{"port kept", host.Match{}, "10.77.2.2", "dnat", kept, true},
		{"prefix, another host part", host.Match{}, "10.77.2.0/24", "netmap", kept, false},
		{"prefix", host.Match{}, "10.77.2.0/24", "netmap", tcpFlow("10.77.1.2:4", "10.77.1.2:80", "10.77.2.2:80"), true},
		{"redirect", host.Match{}, ":8080", "redirect", flow, true},
		{"redirect to another port", host.Match{}, ":8081", "redirect", flow, false},
		{"redirect that keeps the port", host.Match{}, ":*", "redirect", kept, true},
		{"v6", host.Match{Family: host.IP6}, "[2001:db8:1::1]:8080", "dnat", v6, true},
		{"v6 and v4", host.Match{}, "10.77.2.2:8080", "dnat", v6, false},
		{"a kind without flows", host.Match{}, "10.77.2.2:8080", "tproxy", flow, false},
		{"a source", host.Match{}, "10.77.2.2:8080", "snat", flow, false},
		{"not translated", host.Match{}, ":*", "redirect", tcpFlow("10.77.1.2:4", "10.77.1.1:80", "10.77.1.1:80"), false},
		{"a device", host.Match{}, "dev:h0", "dnat", flow, false},
	} {
		if got := Riding(&c.match, mustTargets(t, c.to), c.kind)(c.flow); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if Riding(&host.Match{}, nil, "dnat")(flow) {
		t.Error("a rule without destinations has flows")
	}
}

func TestText(t *testing.T) {
	icmp := tcpFlow("10.77.1.2:1", "10.77.1.1:1", "10.77.2.2:1")
	icmp.Orig.Proto = host.ICMP
	for _, c := range []struct {
		f    Flow
		want string
	}{
		{tcpFlow("10.77.1.2:40000", "10.77.1.1:80", "10.77.2.2:8080"), "tcp 10.77.1.2:40000 -> 10.77.1.1:80 (answered by 10.77.2.2:8080)"},
		{tcpFlow("[::2]:40000", "[::1]:80", "[::3]:8080"), "tcp [::2]:40000 -> [::1]:80 (answered by [::3]:8080)"},
		{icmp, "icmp 10.77.1.2 -> 10.77.1.1 (answered by 10.77.2.2)"},
	} {
		if got := c.f.String(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}
