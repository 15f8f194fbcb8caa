package path_test

import (
	"fmt"
	"net/netip"
	"strings"
)

// What hosts have less often: each part is drawn with a weight of its own.

// rare adds whole tables of the less usual kinds.
func (g *gen) rare() {
	if g.one(5) {
		g.stateless()
	}
	if g.one(6) {
		g.ingress()
	}
	if g.one(4) {
		g.output()
	}
	if g.s.open && g.one(3) {
		g.bridge()
	}
}

// bridge has rules about the frames that come to the bridge.
func (g *gen) bridge() {
	g.family, g.table = "bridge", fmt.Sprintf("f%d", len(g.s.nft))
	g.add("add table bridge %s", g.table)
	g.add("add chain bridge %s b { type filter hook %s priority %s; }", g.table, g.pick("prerouting", "input"), g.pick("-300", "0", "300"))
	for range 1 + g.IntN(3) {
		g.v6 = g.one(3)
		g.rule("b", "%s %s %s", g.destination(), g.protoPort(), g.pick("drop", "drop", "accept", "meta mark set 0x2"))
	}
}

// stateless rewrites headers without connection tracking, as nft's notrack and
// "ip daddr set" do together.
func (g *gen) stateless() {
	g.s.stateless = true
	g.family = g.pick("ip", "ip", "inet", "ip6")
	g.table = fmt.Sprintf("w%d", len(g.s.nft))
	g.add("add table %s %s", g.family, g.table)
	hook, priority := "prerouting", g.pick("-300", "-300", "-190", "-50", "10")
	if g.one(4) {
		hook, priority = g.pick("forward", "input"), "5"
	}
	g.add("add chain %s %s w { type filter hook %s priority %s; }", g.family, g.table, hook, priority)
	for range 1 + g.IntN(3) {
		matches := g.matches(hook)
		if priority == "-300" && g.one(2) {
			matches += " notrack"
		}
		if hook != "prerouting" { // the way is chosen already
			g.rule("w", "%s meta l4proto { tcp, udp } th dport set %d", matches, g.port())
			continue
		}
		g.rule("w", "%s %s", matches, g.rewriting())
	}
}

// rewriting sets the destination of a packet.
func (g *gen) rewriting() string {
	if g.v6 {
		return "meta l4proto { tcp, udp } " + g.pick("ip6 daddr set fd02::2", "ip6 daddr set fd03::2", "ip6 daddr set fd01::1", fmt.Sprintf("th dport set %d", g.port()),
			"ip6 daddr set fd02::2 th dport set 9000")
	}
	return "meta l4proto { tcp, udp } " + g.pick("ip daddr set 10.2.0.2", "ip daddr set 10.3.0.2", "ip daddr set 10.1.0.1", fmt.Sprintf("th dport set %d", g.port()),
		"ip daddr set 10.2.0.2 th dport set 9000", "ip daddr set ip daddr map { 10.9.0.5 : 10.2.0.2, 10.1.0.1 : 10.3.0.2 }")
}

// ingress hangs rules at an interface, before everything else.
func (g *gen) ingress() {
	g.family, g.table = "netdev", fmt.Sprintf("n%d", len(g.s.nft))
	g.add("add table netdev %s", g.table)
	g.add(`add chain netdev %s i { type filter hook ingress %s priority %s; }`, g.table, g.pick(`device "c0"`, `device "c1"`, `devices = { "c0", "c1" }`), g.pick("0", "-10", "-500"))
	for range 1 + g.IntN(3) {
		g.v6 = g.one(3)
		parts := []string{g.protoPort()}
		if g.one(2) {
			parts = append(parts, g.destination())
		}
		verdicts := []string{"drop", "drop", "accept", "meta mark set 0x2", "meta mark set 0x1", "counter", `dup to "b0"`}
		if g.s.open {
			verdicts = append(verdicts, `fwd to "a0"`, `fwd ip to 10.2.0.2 device "a0"`)
		}
		parts = append(parts, g.pick(verdicts...))
		g.rule("i", "%s", strings.Join(parts, " "))
	}
}

// output is what the host's own packets meet. What goes to the client passes:
// those are answers.
func (g *gen) output() {
	g.family = g.pick("ip", "inet", "ip6")
	g.table = fmt.Sprintf("o%d", len(g.s.nft))
	g.add("add table %s %s", g.family, g.table)
	kind, priority := g.pick("nat", "nat", "filter", "route"), "0"
	switch kind {
	case "nat":
		priority = g.pick("-100", "-101", "0")
	case "route":
		priority = "-150"
	}
	g.add("add chain %s %s o { type %s hook output priority %s; }", g.family, g.table, kind, priority)
	g.rule("o", `oifname { "c0", "c1", "br0" } accept`)
	g.rule("o", "ct state established,related accept")
	g.rule("o", `meta l4proto { icmp, ipv6-icmp } accept`)
	for range 1 + g.IntN(3) {
		g.v6 = g.v6Rule()
		matches := g.protoPort()
		if g.one(3) {
			matches = g.destination() + " " + matches
		}
		switch kind {
		case "nat":
			g.natRule("o", matches)
		case "route":
			g.rule("o", "%s meta mark set %s", matches, g.pick("0x1", "0x2", "0x3"))
		default:
			g.rule("o", "%s %s", matches, g.pick("accept", "drop", "reject"))
		}
	}
}

// moreMatches are matches that rule sets have now and then.
func (g *gen) moreMatches(hook string) []string {
	list := []string{`iifname . tcp dport { "c0" . 80, "c1" . 443, "c0" . 2000 }`, "tcp dport & 0xfff0 != 0x50", "meta protocol ip", "ct original protocol tcp", "ct protocol tcp", "meta nfproto ipv4",
		"fib saddr type unicast", "fib daddr type { local, unicast }", "meta mark & 0x3 != 0", "ct mark & 0xf == 7", "th dport { 80, 443, 2000-2005 }",
		"meta l4proto . th dport { tcp . 80, udp . 53, tcp . 2000-2010 }", "ct state vmap { new : continue, established : accept }", "meta mark vmap { 0x1 : continue, 0x2 : accept }"}
	if g.s.open {
		list = append(list, "meta iiftype ether", "tcp dport & 0xff == 0x50")
		if hook == "prerouting" || hook == "" {
			list = append(list, "fib daddr . iif type local", "fib daddr . iif type != local", "fib saddr . iif oif != 0")
		}
		if g.family == "ip" {
			list = append(list, "ip daddr & 0.0.0.255 == 0.0.0.1", "ip saddr & 0.0.0.1 == 0", "ip frag-off & 0x1fff == 0")
		}
		if g.family == "ip6" {
			list = append(list, "ip6 saddr & ::1 == ::", "exthdr hbh missing")
		}
	}
	if g.family == "inet" {
		return []string{g.pick(append(list, "meta nfproto ipv6", "meta nfproto != ipv6")...)}
	}
	if g.v6 {
		return []string{g.pick(append(list, "ip6 daddr & ffff:ffff:ffff:ffff:: == fd09::", "ip6 saddr . ip6 daddr { fd01::2 . fd01::1, fd01::3 . fd09::5 }", "ip6 nexthdr tcp")...)}
	}
	return []string{g.pick(append(list, "ip daddr & 255.255.255.0 == 10.9.0.0", "ip saddr . ip daddr { 10.1.0.2 . 10.1.0.1, 10.1.0.3 . 10.9.0.5 }",
		"ip saddr . ip daddr . tcp dport { 10.1.0.0/24 . 10.1.0.1-10.1.0.9 . 1-8999 }", "ip protocol tcp", "ip protocol != udp")...)}
}

// vmapRule is a verdict map, with intervals and several dimensions.
func (g *gen) vmapRule(chain string) {
	target := "continue"
	if len(g.chains) > 0 {
		if name := g.chainFor("filter"); name != "" && g.one(2) {
			target = "jump " + name
		}
	}
	if g.v6 || g.family == "ip6" {
		g.rule(chain, "ip6 daddr . tcp dport vmap { fd01::/64 . %d-%d : accept, fd09::5 . 80 : drop }", 1+g.IntN(100), 500+g.IntN(9000))
		return
	}
	g.rule(chain, "%s", g.pick(
		fmt.Sprintf("ip daddr . tcp dport vmap { 10.1.0.0/24 . %d-%d : accept, 10.9.0.5 . 80 : drop, 10.2.0.2 . 1-9999 : %s }", 1+g.IntN(100), 500+g.IntN(9000), target),
		fmt.Sprintf("ip saddr vmap { 10.1.0.2 : %s, 10.4.0.0/16 : accept, 10.1.0.3 : drop }", target),
		fmt.Sprintf("meta l4proto . th dport vmap { tcp . %d : drop, udp . %d : accept, tcp . 443 : %s }", g.port(), g.port(), target),
		fmt.Sprintf(`iifname vmap { "c0" : %s, "c1" : accept, "lo" : accept }`, target)))
}

// moreNat are translations that rule sets have now and then.
func (g *gen) moreNat(chain, matches, in string) {
	lo, net, mine := "10.2.0.2", "10.2.0.0/24", "10.9.0.0/24"
	if g.v6 {
		lo, net, mine = "fd02::2", "fd02::/64", "fd09::/64"
	}
	at := func(ports string) string {
		if g.v6 {
			return "[" + lo + "]:" + ports
		}
		return lo + ":" + ports
	}
	family := "ip"
	if g.v6 {
		family = "ip6"
	}
	switch g.IntN(8) {
	case 0:
		g.rule(chain, "%s dnat%s to %s persistent", matches, in, at("9000-9003"))
	case 1:
		g.rule(chain, "%s dnat%s prefix to %s daddr map { %s : %s }", matches, in, family, mine, net)
	case 2:
		g.rule(chain, "%s meta l4proto { tcp, udp } redirect to :9000-9003", matches)
	case 3:
		g.rule(chain, "%s meta l4proto { tcp, udp } redirect", matches)
	case 4:
		g.rule(chain, "%s redirect to :tcp dport map { 80 : 8080, 443 : 9000 }", matches)
	case 5:
		g.rule(chain, "dnat%s to %s daddr . tcp dport map { %s . 80 : %s . 9000, %s . 443 : %s . 81 }", in, family, own(g.v6), lo, own(g.v6), lo)
	case 6:
		g.rule(chain, "dnat%s to %s saddr map { %s : %s, %s : %s }", in, family, clientAddr(g.v6), lo, strings.Replace(clientAddr(g.v6), "2", "3", 1), own(g.v6))
	case 7:
		if g.s.open {
			g.rule(chain, "%s dnat%s to %s random", matches, in, at("9000-9003"))
			return
		}
		g.rule(chain, "%s dnat%s to tcp dport map { 80 : %s . 9000, 2000-2005 : %s . 81 }", matches, in, lo, lo)
	}
}

func own(v6 bool) string {
	if v6 {
		return "fd01::1"
	}
	return "10.1.0.1"
}

func clientAddr(v6 bool) string {
	if v6 {
		return "fd01::2"
	}
	return "10.1.0.2"
}

// moreXT are matches of x_tables that rule sets have now and then.
func (g *gen) moreXT(iface bool) string {
	list := []string{"-m mark --mark 0x1/0x3", "-m connmark --mark 0x4/0x4", "-m addrtype --src-type UNICAST", "-m comment --comment because", "-m conntrack --ctdir ORIGINAL",
		"-m conntrack ! --ctorigdstport 80", "-m conntrack --ctproto 6"}
	if g.s.open {
		list = append(list, "-m physdev --physdev-in c2", "-m socket --transparent", "-m u32 --u32 6&0xFF=6", "-m conntrack --ctstatus NONE")
		if iface {
			list = append(list, "-m addrtype --dst-type LOCAL --limit-iface-in")
		}
		if !g.v6 {
			list = append(list, "-d 10.1.0.0/255.255.0.255")
		} else {
			list = append(list, "-d fd01::/ffff::1")
		}
	}
	if g.v6 {
		list = append(list, "! -s fd01::3/128")
	} else {
		list = append(list, "! -f", "-m iprange ! --dst-range 10.1.0.1-10.1.0.9", "-m conntrack --ctorigdst 10.1.0.0/24", "-m conntrack ! --ctorigsrc 10.1.0.3", "-s 10.1.0.2,10.4.0.2")
	}
	return g.pick(list...)
}

// moreXTNat are translations of x_tables that rule sets have now and then.
func (g *gen) moreXTNat() string {
	if g.v6 {
		return g.pick("-j DNAT --to-destination [fd02::2]:9000-9003", "-j REDIRECT --to-ports 9000-9003", "-j DNAT --to-destination fd02::2 --persistent", "-j REDIRECT")
	}
	return g.pick("-j DNAT --to-destination 10.2.0.2:9000-9003", "-j REDIRECT --to-ports 9000-9003", "-j DNAT --to-destination 10.2.0.2 --persistent", "-j DNAT --to-destination 10.2.0.2:9000-9003/80",
		"-j DNAT --to-destination 10.3.0.2:9000-9009/2000", "-j REDIRECT", "-j NETMAP --to 10.3.0.0/28")
}

// xtChains adds chains of the table that rules jump or go to.
func (g *gen) xtChains(key, from string, target func() string) {
	name := fmt.Sprintf("U%d", g.IntN(1000))
	lines := []string{"-N " + name}
	for range 1 + g.IntN(3) {
		lines = append(lines, "-A "+name+" "+g.xtMatch(false)+" "+target())
	}
	lines = append(lines, "-A "+from+" "+g.xtMatch(!strings.Contains(from, "-i "))+" "+g.pick("-j ", "-j ", "-g ")+name)
	g.s.tables[key] = append(lines, g.s.tables[key]...)
}

// ownProbes draws packets that the host itself sends.
func (g *gen) ownProbes(n int, sport *uint16, number *uint32) []*probe {
	out := g.probes(n, sport, number)
	for _, p := range out {
		from, to := g.pick("10.1.0.1", "10.2.0.1", "10.3.0.1"), g.pick("10.2.0.2", "10.3.0.2", "10.1.0.1", "10.1.0.10", "10.2.0.1", "10.9.0.5", "127.0.0.1")
		if g.one(3) {
			from, to = g.pick("fd01::1", "fd02::1"), g.pick("fd02::2", "fd03::2", "fd01::1", "fd01::10", "fd09::5", "::1")
		}
		if to == "127.0.0.1" || to == "::1" {
			from = to
		}
		p.From, p.To = netip.MustParseAddr(from), netip.MustParseAddr(to)
		p.In, p.dev, p.Own = "", "", true
	}
	return out
}
