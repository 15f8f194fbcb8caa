package path_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// The cases in which walk and kernel once disagreed, as small as they could be
// made, and others that are easily got wrong. The kernel is asked each time.
func TestShrunkCases(t *testing.T) {
	l := newDiffLab(t)
	proxy := []socketSpec{{"tcp", "0.0.0.0", 3128, true, "", false}, {"tcp", "0.0.0.0", 80, false, "", false}, {"udp", "::", 80, false, "", false}}
	local := []string{"rule add pref 101 fwmark 1 lookup 101", "route add local default dev lo table 101"}
	toA := []string{"rule add pref 102 fwmark 0x2/0xf lookup 102", "route add default via 10.2.0.2 table 102"}
	pre := func(kind, priority string, rules ...string) []string {
		out := []string{"add table ip t", "add chain ip t c { type " + kind + " hook prerouting priority " + priority + "; }"}
		for _, r := range rules {
			out = append(out, "add rule ip t c "+r)
		}
		return out
	}
	for _, tt := range []struct {
		name      string
		nft       []string
		tables    map[string][]string
		routes    []string
		listeners []socketSpec
		to        string
		udp, own  bool
		want      string
	}{
		{name: "a translation of IPv4 in a table of both does not track IPv6", to: "[fd01::1]:81", listeners: proxy, want: "nobody refused",
			nft: []string{"add table inet t", "add chain inet t c { type nat hook prerouting priority 0; }", "add rule inet t c tcp dport 80 dnat ip to 10.3.0.2", "add rule inet t c tcp dport 81 drop"}},
		{name: "a translation begins at the tuple of the connection, not at what was rewritten since", to: "10.1.0.1:82", want: "forwarded 10.2.0.2:9000",
			nft: append(pre("nat", "-100", "tcp dport 9001 dnat to 10.2.0.2:9000-9003"), "add chain ip t w { type filter hook prerouting priority -190; }", `add rule ip t w iifname "c0" tcp dport 82 tcp dport set 9001`)},
		{name: "and one that changes nothing leaves what was rewritten", to: "10.2.0.2:82", want: "forwarded 10.2.0.2:9001",
			nft: append(pre("nat", "-100", "tcp dport 9001 dnat to 10.2.0.2"), "add chain ip t w { type filter hook prerouting priority -190; }", `add rule ip t w iifname "c0" tcp dport 82 tcp dport set 9001`)},
		{name: "without a connection no match about one holds", to: "[fd01::10]:81", want: "nobody refused",
			tables: map[string][]string{"legacy 6 mangle": {"-A PREROUTING -i c+ -p tcp -m tcp --dport 81 -m conntrack --ctproto 6 -j DROP"}, "legacy 6 raw": {"-A PREROUTING -i c+ -p tcp -j CT --notrack"}}},
		{name: "what a rule did before it looked into a map stays done", to: "10.1.0.10:80", listeners: proxy, want: "local 0.0.0.0:80",
			nft: append(pre("nat", "-100", "tcp dport 80 dnat to 10.2.0.2"), "add chain ip t w { type filter hook prerouting priority -300; }", `add rule ip t w iifname "c0" notrack ip daddr set ip daddr map { 10.9.0.5 : 10.2.0.2 }`)},
		{name: "a mark set before the test that fails", to: "10.1.0.1:80", listeners: proxy, want: "forwarded 10.2.0.2:80",
			nft: append(pre("nat", "-100", "meta mark 5 dnat to 10.2.0.2"), "add chain ip t w { type filter hook prerouting priority -150; }", `add rule ip t w meta mark set 5 tcp dport 81 drop`)},
		{name: "no reset in the name of a foreign address", nft: pre("filter", "-150", `iifname "c0" meta mark set 1`), routes: local, to: "10.9.0.5:81", want: "nobody dropped"},
		{name: "no answer either, unless transparent", nft: pre("filter", "-150", `iifname "c0" meta mark set 1`), routes: local, to: "10.9.0.5:80", listeners: proxy, want: "nobody dropped"},
		{name: "a transparent socket answers", nft: pre("filter", "-150", `iifname "c0" meta mark set 1`), routes: local, to: "10.9.0.5:3128", listeners: proxy, want: "local 0.0.0.0:3128"},
		{name: "a NAT chain without translations is never run", nft: pre("nat", "-100", "tcp dport 80 drop"), to: "10.1.0.1:80", listeners: proxy, want: "local 0.0.0.0:80"},
		{name: "and is run where connections are tracked", nft: pre("nat", "-100", "tcp dport 80 drop", "tcp dport 90 redirect to :80"), to: "10.1.0.1:80", listeners: proxy, want: "nobody dropped"},
		{name: "TPROXY before DNAT answers, and loses the connection", routes: local, listeners: proxy, to: "10.1.0.1:80", want: "local 0.0.0.0:3128",
			tables: map[string][]string{"legacy 4 mangle": {"-A PREROUTING -i c+ -p tcp -j TPROXY --on-port 3128 --tproxy-mark 0x1/0x1"}, "legacy 4 nat": {"-A PREROUTING -p tcp -j DNAT --to-destination 10.3.0.2:443"}}},
		{name: "TPROXY without a socket drops", routes: local, to: "10.1.0.1:80", want: "nobody dropped",
			tables: map[string][]string{"legacy 4 mangle": {"-A PREROUTING -i c+ -p tcp -j TPROXY --on-port 3128 --tproxy-mark 0x1/0x1"}}},
		{name: "nft tproxy without a socket goes on", nft: pre("filter", "-150", `iifname "c0" tcp dport 80 tproxy to :3129 meta mark set 1 accept`), routes: local, listeners: proxy, to: "10.1.0.1:80", want: "local 0.0.0.0:80"},
		{name: "no ICMP refusal in a foreign name", routes: local, to: "10.9.0.5:81", want: "nobody dropped", nft: pre("filter", "-150", `iifname "c0" meta mark set 1`),
			tables: map[string][]string{"legacy 4 filter": {"-A INPUT -p tcp -j REJECT"}}},
		{name: "a NAT chain at -199 sees the mark set at -150", to: "10.1.0.1:80", listeners: proxy, want: "forwarded 10.2.0.2:81",
			nft: append(pre("nat", "-199", "meta mark 7 tcp dport 80 dnat to 10.2.0.2:81"), "add chain ip t m { type filter hook prerouting priority -150; }", "add rule ip t m tcp dport 80 meta mark set 7")},
		{name: "a mark sends it elsewhere", nft: pre("filter", "0", `iifname "c0" tcp dport 80 meta mark set 2`), routes: toA, to: "10.9.0.5:80", want: "forwarded 10.9.0.5:80"},
		{name: "REDIRECT goes to the interface's first address", nft: pre("nat", "-100", "tcp dport 81 redirect to :80"), to: "10.1.0.10:81", listeners: []socketSpec{{"tcp", "10.1.0.1", 80, false, "", false}}, want: "local 10.1.0.1:80"},
		{name: "untracked packets are not translated", to: "10.1.0.1:80", listeners: proxy, want: "local 0.0.0.0:80",
			nft: append(pre("nat", "-100", "tcp dport 80 dnat to 10.2.0.2"), "add chain ip t r { type filter hook prerouting priority -300; }", `add rule ip t r iifname "c0" tcp dport 80 notrack`)},
		{name: "accept in one NAT chain does not stop the next", to: "10.1.0.1:80", want: "forwarded 10.2.0.2:80",
			nft: append(pre("nat", "-101", "tcp dport 80 accept"), "add chain ip t d { type nat hook prerouting priority -100; }", "add rule ip t d tcp dport 80 dnat to 10.2.0.2")},
		{name: "of one table the later chain runs first", to: "10.1.0.1:80", want: "forwarded 10.3.0.2:80",
			nft: append(pre("nat", "-100", "tcp dport 80 dnat to 10.2.0.2"), "add chain ip t d { type nat hook prerouting priority -100; }", "add rule ip t d tcp dport 80 dnat to 10.3.0.2")},
		{name: "loopback is no destination from outside", nft: pre("nat", "-100", "tcp dport 80 dnat to 127.0.0.1"), to: "10.1.0.1:80", listeners: proxy, want: "nobody no route"},
		{name: "the original destination after DNAT", to: "10.1.0.1:80", want: "nobody dropped",
			nft: append(pre("nat", "-100", "tcp dport 80 dnat to 10.2.0.2:81"), "add chain ip t f { type filter hook forward priority 0; }", "add rule ip t f ct original ip daddr 10.1.0.1 tcp dport 81 drop")},
		{name: "a datagram to a socket of both families", to: "10.1.0.1:80", udp: true, listeners: proxy, want: "local [::]:80"},
		{name: "invalid is the state before tracking", to: "10.1.0.1:80", listeners: proxy, want: "nobody dropped", nft: pre("filter", "-300", `iifname "c0" tcp dport 80 ct state invalid drop`)},
		{name: "a range of ports keeps a port inside", nft: pre("nat", "-100", "tcp dport 1-9999 dnat to 10.2.0.2:9000-9003"), to: "10.1.0.1:9002", want: "forwarded 10.2.0.2:9002"},
		{name: "and makes another the first", nft: pre("nat", "-100", "tcp dport 1-8999 dnat to 10.2.0.2:9000-9003"), to: "10.1.0.1:80", want: "forwarded 10.2.0.2:9000"},
		{name: "of this host to itself", own: true, to: "10.2.0.1:80", listeners: proxy, want: "local 0.0.0.0:80"},
		{name: "of this host, translated when it leaves", own: true, to: "10.3.0.2:80", want: "forwarded 10.2.0.2:80",
			nft: []string{"add table ip t", "add chain ip t o { type nat hook output priority -100; }", "add rule ip t o tcp dport 80 dnat to 10.2.0.2"}},
		{name: "of this host to itself comes by the interface that has the address", own: true, to: "10.1.0.10:80", listeners: []socketSpec{{"tcp", "::", 80, false, "c0", false}}, want: "local [::]:80"},
		{name: "and not by the loopback", own: true, to: "10.2.0.1:80", listeners: []socketSpec{{"tcp", "::", 80, false, "c0", false}}, want: "nobody refused"},
		{name: "a bound socket does not reach the other address", own: true, to: "10.2.0.1:80", listeners: []socketSpec{{"tcp", "::", 80, false, "a0", false}}, want: "nobody dropped"},
		{name: "REDIRECT of this host's packets is loopback", own: true, to: "10.2.0.2:81", listeners: []socketSpec{{"tcp", "127.0.0.1", 80, false, "", false}}, want: "local 127.0.0.1:80",
			nft: []string{"add table ip t", "add chain ip t o { type nat hook output priority -100; }", "add rule ip t o tcp dport 81 redirect to :80"}},
		{name: "prerouting does not translate what loops back", own: true, nft: pre("nat", "-100", "tcp dport 80 dnat to 10.2.0.2"), to: "10.1.0.10:80", listeners: proxy, want: "local 0.0.0.0:80"},
		{name: "so does the ingress of the loopback", own: true, to: "10.1.0.10:80", listeners: proxy, want: "nobody dropped",
			nft: []string{"add table netdev t", `add chain netdev t i { type filter hook ingress device "lo" priority 0; }`, "add rule netdev t i tcp dport 80 drop"}},
		{name: "the ingress of an interface drops before all", to: "10.1.0.1:80", listeners: proxy, want: "nobody dropped",
			nft: append(pre("nat", "-100", "tcp dport 80 dnat to 10.2.0.2"), "add table netdev n", `add chain netdev n i { type filter hook ingress device "c0" priority 0; }`, "add rule netdev n i tcp dport 80 drop")},
		{name: "a mark of the ingress chooses the route", to: "10.9.0.5:80", routes: toA, want: "forwarded 10.9.0.5:80",
			nft: []string{"add table netdev n", `add chain netdev n i { type filter hook ingress device "c0" priority 0; }`, "add rule netdev n i tcp dport 80 meta mark set 2"}},
		{name: "the egress of an interface sees what was translated", to: "10.1.0.1:80", want: "nobody dropped",
			nft: append(pre("nat", "-100", "tcp dport 80 dnat to 10.2.0.2:81"), "add table netdev n", `add chain netdev n e { type filter hook egress device "a0" priority 0; }`, "add rule netdev n e tcp dport 81 drop")},
		{name: "the input hook sees what loops back", own: true, to: "10.1.0.10:80", listeners: proxy, want: "nobody dropped",
			nft: []string{"add table ip t", "add chain ip t i { type filter hook input priority 0; }", `add rule ip t i iifname "lo" tcp dport 80 drop`}},
		{name: "a mark of a route chain counts at output", own: true, routes: toA, to: "10.3.0.2:80", want: "forwarded 10.3.0.2:80",
			nft: []string{"add table ip t", "add chain ip t o { type route hook output priority -150; }", "add rule ip t o tcp dport 80 meta mark set 2", "add chain ip t p { type filter hook output priority 0; }"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l.sport++
			to := netip.MustParseAddrPort(tt.to)
			p := &probe{Packet: path.Packet{Proto: host.TCP, From: netip.MustParseAddr("10.1.0.2"), SPort: l.sport, To: to.Addr(), Port: to.Port(), In: "c0"}, dev: "e0", number: uint32(l.sport)}
			if !p.To.Is4() {
				p.From = netip.MustParseAddr("fd01::2")
			}
			if tt.own {
				p.From, p.In, p.dev, p.Own = netip.MustParseAddr("10.1.0.1"), "", "", true
			}
			if tt.udp {
				p.Proto = host.UDP
			}
			s := &scenario{nft: tt.nft, tables: tt.tables, routes: tt.routes, listeners: tt.listeners}
			loaded := len(s.nft)
			answers, ok := l.try(t, s, []*probe{p}, patience)
			if !ok || len(s.nft) != loaded {
				t.Fatalf("the scenario was not loaded whole: %s", s)
			}
			v := verdictOf(answers[0], p)
			if v == "wrong" {
				v = l.again(t, s, p, &answers[0])
			}
			if got := short(answers[0]); got != tt.want || v != "right" {
				t.Errorf("%s: %s\nwant %s\n%s\n%s", v, got, tt.want, describe(p), strings.TrimSpace(words(answers[0])))
			}
		})
	}
}
