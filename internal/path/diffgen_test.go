package path_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// scenario is a random host: commands for nft, lines for iptables, routes and
// listeners. Each can be left out, for shrinking.
type scenario struct {
	seed      uint64
	open      bool // it holds matches that cannot be decided
	stateless bool // it rewrites headers without tracking connections
	nft       []string
	tables    map[string][]string // "legacy 4 nat" → lines of -restore
	routes    []string
	ipsets    []string
	listeners []socketSpec
}

func (s *scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d\n# nft -f -\n%s\n", s.seed, strings.Join(s.nft, "\n"))
	for _, key := range sortedKeys(s.tables) {
		fmt.Fprintf(&b, "# %s\n%s\n", key, strings.Join(s.tables[key], "\n"))
	}
	fmt.Fprintf(&b, "# ipset restore\n%s\n", strings.Join(s.ipsets, "\n"))
	fmt.Fprintf(&b, "# ip -batch -\n%s\n# listeners %v\n", strings.Join(s.routes, "\n"), s.listeners)
	return b.String()
}

// gen draws a scenario from a seed.
type gen struct {
	*rand.Rand
	s      *scenario
	v6     bool // of the table at hand
	family string
	table  string
	chains []string // regular ones
}

func generate(seed uint64) *scenario {
	g := &gen{Rand: rand.New(rand.NewPCG(seed, 0x6e61747761726465)), s: &scenario{seed: seed, tables: map[string][]string{}}}
	g.s.open = g.IntN(8) == 0
	g.listeners()
	for range 1 + g.IntN(3) {
		g.nftTable()
	}
	g.rare()
	for _, kind := range []string{"legacy", "nft"} {
		if g.one(3) {
			g.iptables(kind, g.one(3))
		}
	}
	if g.IntN(3) == 0 {
		g.policyRoutes()
	}
	return g.s
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x7061636b657473)) }

func (g *gen) pick(list ...string) string { return list[g.IntN(len(list))] }
func (g *gen) one(n int) bool             { return g.IntN(n) == 0 }

var servicePorts = []int{53, 80, 81, 443, 2000, 2001, 2005, 8080, 9000, 9001, 9003}

func (g *gen) port() int { return servicePorts[g.IntN(len(servicePorts))] }

func (g *gen) listeners() {
	for range 2 + g.IntN(5) {
		g.s.listeners = append(g.s.listeners, socketSpec{g.pick("tcp", "tcp", "udp"),
			g.pick("0.0.0.0", "::", "::", "10.1.0.1", "10.2.0.1", "fd01::1", "127.0.0.1", "10.1.0.10"), uint16(g.port()), false, "", false})
		last := &g.s.listeners[len(g.s.listeners)-1]
		if last.v6only = last.addr == "::" && g.one(3); g.one(6) {
			last.device = g.pick("c0", "c0", "c1", "a0")
		}
	}
	for _, proto := range []string{"tcp", "udp"} {
		if g.one(2) {
			g.s.listeners = append(g.s.listeners, socketSpec{proto, g.pick("0.0.0.0", "::"), 3128, true, "", false})
		}
	}
}

// policyRoutes: marks 1 lead to this host (for TPROXY), marks 2 and 3 to A and B.
func (g *gen) policyRoutes() {
	g.s.routes = append(g.s.routes, "rule add pref 101 fwmark 1 lookup 101", "route add local default dev lo table 101",
		"-6 rule add pref 101 fwmark 1 lookup 101", "-6 route add local default dev lo table 101",
		"rule add pref 102 fwmark 0x2/0xf lookup 102", "route add default via 10.2.0.2 table 102",
		"rule add pref 103 ipproto tcp dport 2005 lookup 103", "route add 10.9.0.0/24 via 10.3.0.2 table 103")
}

func (g *gen) add(format string, args ...any) {
	g.s.nft = append(g.s.nft, fmt.Sprintf(format, args...))
}

func (g *gen) nftTable() {
	g.family = g.pick("ip", "ip", "inet", "inet", "ip6")
	g.table = fmt.Sprintf("t%d", len(g.s.nft))
	g.chains = nil
	g.add("add table %s %s", g.family, g.table)
	for range g.IntN(4) {
		name := fmt.Sprintf("r%d", len(g.s.nft))
		g.add("add chain %s %s %s", g.family, g.table, name)
		kind := g.pick("nat", "nat", "filter")
		g.rules(name, kind, "", 1+g.IntN(4))
		g.chains = append(g.chains, kind+" "+name)
	}
	for range 1 + g.IntN(4) {
		g.baseChain()
	}
}

func (g *gen) baseChain() {
	name := fmt.Sprintf("b%d", len(g.s.nft))
	kind, hook, priority, policy := "nat", "prerouting", g.pick("-100", "-100", "-101", "-99", "-199", "0"), "accept"
	switch g.IntN(8) {
	case 0, 1, 2:
	case 3:
		kind, priority = "filter", g.pick("-300", "-150", "-150", "0", "-100")
	case 4, 5:
		kind, hook, priority = "filter", "input", g.pick("0", "0", "10", "-10")
	case 6:
		kind, hook, priority = "filter", "forward", g.pick("0", "0", "10", "-150")
	case 7:
		kind, hook, priority = g.pick("nat", "filter"), "postrouting", g.pick("100", "101")
	}
	if kind == "filter" && g.one(3) && priority != "-300" && hook != "postrouting" && hook != "prerouting" {
		policy = "drop"
	}
	g.add("add chain %s %s %s { type %s hook %s priority %s; policy %s; }", g.family, g.table, name, kind, hook, priority, policy)
	g.trust(name, kind, hook, priority)
	g.rules(name, kind, hook, 1+g.IntN(6))
	if policy == "drop" {
		g.rule(name, "%s accept", g.protoPort())
	}
}

// trust lets replies pass, as every firewall does: the differential is about
// first packets from the client.
func (g *gen) trust(chain, kind, hook, priority string) {
	if kind != "filter" {
		return
	}
	if hook == "postrouting" {
		g.rule(chain, `oifname { "c0", "c1", "br0" } accept`)
	}
	g.rule(chain, `iifname { "a0", "b0" } accept`)
	if g.family != "ip" {
		g.rule(chain, "meta l4proto ipv6-icmp accept")
	}
	if hook == "prerouting" || hook == "input" { // answers of the host to itself
		g.rule(chain, `iifname "lo" tcp flags & (syn | ack) != syn accept`)
	}
	if priority != "-300" {
		g.rule(chain, "ct state established,related accept")
	}
}

func (g *gen) rule(chain, format string, args ...any) {
	g.add("add rule %s %s %s %s", g.family, g.table, chain, fmt.Sprintf(format, args...))
}

func (g *gen) rules(chain, kind, hook string, n int) {
	for range n {
		g.oneRule(chain, kind, hook)
	}
}

func (g *gen) oneRule(chain, kind, hook string) {
	matches := g.matches(hook)
	switch {
	case g.one(10) && len(g.chains) > 0:
		if target := g.chainFor(kind); target != "" {
			g.rule(chain, "%s %s %s", matches, g.pick("jump", "jump", "goto"), target)
		}
	case g.one(15) && kind == "filter":
		g.vmapRule(chain)
	case g.one(12):
		g.rule(chain, "%s %s", matches, g.pick("return", "accept", "continue", "counter"))
	case kind == "nat" && (hook == "prerouting" || hook == ""):
		g.natRule(chain, matches)
	case kind == "nat":
		g.rule(chain, "%s %s masquerade", matches, g.pick("", `oifname "a0"`, `oifname { "a0", "b0" }`))
	case hook == "prerouting" || hook == "":
		g.preRule(chain, matches, hook)
	default:
		g.filterRule(chain, matches, hook)
	}
}

func (g *gen) chainFor(kind string) string {
	for range 4 {
		k, name, _ := strings.Cut(g.chains[g.IntN(len(g.chains))], " ")
		if k == kind {
			return name
		}
	}
	return ""
}

func (g *gen) v6Rule() bool {
	switch g.family {
	case "ip":
		return false
	case "ip6":
		return true
	}
	return g.one(3)
}

// nft matches: protocol and port, source, destination, interface, mark, state.
func (g *gen) matches(hook string) string {
	g.v6 = g.v6Rule()
	parts := []string{}
	if hook == "" || g.one(3) {
		parts = append(parts, g.pick(`iifname "c0"`, `iifname "c*"`, `iifname { "c0", "c1" }`, `iifname "br0"`, `iifname != "a0"`, `iif "c0"`))
	}
	if g.one(4) {
		parts = append(parts, g.source())
	}
	if g.one(3) {
		parts = append(parts, g.destination())
	}
	if g.one(6) {
		parts = append(parts, g.pick("ct state new", "ct state { new, untracked }", "ct state != established", "ct state invalid,untracked",
			"ct direction original", "ct status dnat", "meta l4proto tcp ct original proto-dst 80", "meta l4proto udp ct original proto-dst 1-500", "meta pkttype host", "tcp flags & (fin|syn|rst|ack) == syn"))
	}
	if !g.v6 && g.one(15) {
		parts = append(parts, g.pick("ct original ip daddr 10.1.0.1", "ct original ip daddr 10.9.0.0/24", "ct original ip saddr != 10.1.0.3"))
	}
	if g.one(5) {
		parts = append(parts, g.pick("meta mark 0x2", "meta mark & 0xf == 0x1", "meta mark != 0", "ct mark 0x7", "meta mark { 1, 2 }", "meta mark 1-3", "ct mark & 0xff != 0x7"))
	}
	if g.one(12) {
		parts = append(parts, g.pick("tcp sport 20000-40000", "udp sport > 30000", "th sport < 25000"))
	}
	if g.one(6) {
		parts = append(parts, g.moreMatches(hook)...)
	}
	if g.s.open && g.one(3) {
		parts = append(parts, g.pick("ct count over 3", "socket transparent 1", "tcp option maxseg exists", "ip ttl < 5", "limit rate 1000/second", "meta random < 1000000000", "numgen inc mod 2 0", "jhash ip saddr mod 2 1", "meta length > 60", "@ih,0,8 5"))
	}
	return strings.Join(append(parts, g.protoPort()), " ")
}

func (g *gen) source() string {
	if g.v6 {
		return g.pick("ip6 saddr fd01::/64", "ip6 saddr fd01::2", "ip6 saddr != fd04::/16", "ip6 saddr { fd01::3, fd04::2 }")
	}
	return g.pick("ip saddr 10.1.0.0/24", "ip saddr 10.1.0.2", "ip saddr != 10.4.0.0/16", "ip saddr { 10.1.0.3, 10.4.0.2 }", "ip saddr 10.1.0.1-10.1.0.2")
}

func (g *gen) destination() string {
	if g.v6 {
		return g.pick("ip6 daddr fd01::1", "ip6 daddr fd09::/64", "ip6 daddr { fd01::10, fd04::1 }", "fib daddr type local", "ip6 daddr != fd02::2")
	}
	return g.pick("ip daddr 10.1.0.1", "ip daddr 10.9.0.0/24", "ip daddr { 10.1.0.10, 10.4.0.1 }", "fib daddr type local", "ip daddr != 10.2.0.2",
		"fib daddr type != local", "ip daddr 10.9.0.5")
}

func (g *gen) protoPort() string {
	switch g.IntN(8) {
	case 0:
		return fmt.Sprintf("meta l4proto { tcp, udp } th dport %d", g.port())
	case 1:
		return fmt.Sprintf("%s dport { %d, %d, %d-%d }", g.pick("tcp", "udp"), 80, 443, 2000, 2000+g.IntN(10))
	case 2:
		return fmt.Sprintf("%s dport %d-%d", g.pick("tcp", "udp"), 1+g.IntN(80), 81+g.IntN(9000))
	case 3:
		return fmt.Sprintf("%s dport != %d", g.pick("tcp", "udp"), g.port())
	case 4:
		return "meta l4proto " + g.pick("tcp", "udp")
	case 5:
		return g.setMatch()
	}
	return fmt.Sprintf("%s dport %d", g.pick("tcp", "tcp", "udp"), g.port())
}

// setMatch makes a named set and looks into it.
func (g *gen) setMatch() string {
	name := fmt.Sprintf("s%d", len(g.s.nft))
	proto := g.pick("tcp", "udp")
	not := g.pick("", "", "", "!= ")
	switch {
	case g.one(2):
		g.add("add set %s %s %s { type inet_service; flags interval; elements = { %s, 2000-2004, 9000 }; }", g.family, g.table, name, g.pick("53", "80", "443", "8080"))
		return fmt.Sprintf("%s dport %s@%s", proto, not, name)
	case g.v6:
		g.add("add set %s %s %s { type ipv6_addr . inet_service; elements = { fd01::1 . %d, fd09::5 . %d }; }", g.family, g.table, name, g.port(), g.port())
		return fmt.Sprintf("ip6 daddr . %s dport @%s", proto, name)
	case g.one(2):
		g.add("add set %s %s %s { type ipv4_addr . inet_service; flags interval; elements = { 10.1.0.0/24 . %d, 10.9.0.5 . 1-5000 }; }", g.family, g.table, name, g.port())
	default:
		g.add("add set %s %s %s { type ipv4_addr . inet_service; elements = { 10.1.0.1 . %d, 10.9.0.5 . %d }; }", g.family, g.table, name, g.port(), g.port())
	}
	return fmt.Sprintf("ip daddr . %s dport @%s", proto, name)
}

func (g *gen) natRule(chain, matches string) {
	in := ""
	if g.family == "inet" {
		in = " ip"
		if g.v6 {
			in = " ip6"
		}
	}
	a, b, p := "10.2.0.2", "10.3.0.2", g.port()
	at := func(addr string, port int) string { return fmt.Sprintf("%s:%d", addr, port) }
	if g.v6 {
		a, b = "fd02::2", "fd03::2"
		at = func(addr string, port int) string { return fmt.Sprintf("[%s]:%d", addr, port) }
	}
	to := g.pick(a, b)
	if g.one(5) {
		g.moreNat(chain, matches, in)
		return
	}
	switch g.IntN(9) {
	case 0, 1, 2:
		g.rule(chain, "%s dnat%s to %s", matches, in, at(to, p))
	case 3:
		g.rule(chain, "%s meta l4proto { tcp, udp } redirect to :%d", matches, p)
	case 4:
		g.rule(chain, "%s dnat%s to %s", matches, in, to)
	case 5:
		if g.s.open {
			g.rule(chain, "%s dnat%s to numgen inc mod 2 map { 0 : %s, 1 : %s }", matches, in, a, b)
			return
		}
		g.rule(chain, "dnat%s to tcp dport map { %d : %s, %d : %s }", in, p, a, p+1, b)
	case 6:
		g.rule(chain, "%s dnat%s to %s:9000-9003", matches, in, strings.TrimSuffix(at(to, 1), ":1"))
	case 7:
		g.rule(chain, "tcp dport vmap { %d : accept, %d : drop, %d-%d : continue }", p, p+1, p+2, p+5)
	case 8:
		own := "10.2.0.1"
		if g.v6 {
			own = "fd02::1"
		}
		g.rule(chain, "%s dnat%s to %s", matches, in, at(own, p))
	}
}

func (g *gen) preRule(chain, matches, hook string) {
	switch g.IntN(7) {
	case 0, 1:
		g.rule(chain, "%s %s", matches, g.pick("meta mark set 0x2", "meta mark set 0x1", "meta mark set meta mark | 0x4", "meta mark set tcp dport map { 80 : 0x2, 443 : 0x7 }",
			"meta mark set meta mark & 0xfffffffe", "meta mark set meta mark ^ 0x3"))
	case 2:
		g.rule(chain, "%s ct mark set 0x7", matches)
	case 3:
		g.rule(chain, "%s %s", matches, g.pick("ct mark set meta mark", "meta mark set ct mark", "meta mark set ct mark & 0xf", "ct mark set ct mark | 0x1", "ct mark set meta mark & 0x2"))
	case 4:
		g.rule(chain, "%s %s", matches, g.pick("drop", "accept"))
	case 5:
		g.rule(chain, `iifname "c*" %s notrack`, g.protoPort())
	case 6:
		if hook != "prerouting" {
			return
		}
		in := "ip"
		if g.v6 {
			in = "ip6"
		}
		if g.family == "inet" {
			g.rule(chain, `iifname "c*" %s meta l4proto { tcp, udp } tproxy %s to :3128 meta mark set 0x1 accept`, g.protoPort(), in)
		} else {
			g.rule(chain, `iifname "c*" %s meta l4proto { tcp, udp } tproxy to :3128 meta mark set 0x1 accept`, g.protoPort())
		}
	}
}

func (g *gen) filterRule(chain, matches, hook string) {
	verdicts := []string{"accept", "accept", "drop", "reject"}
	if g.one(6) {
		g.rule(chain, "tcp dport vmap { %d : accept, %d : drop, 2000-2003 : accept }", 80+g.IntN(2), 9001)
		return
	}
	verdict := g.pick(verdicts...)
	if hook == "postrouting" && verdict == "reject" {
		verdict = "drop"
	}
	if strings.Contains(matches, "tcp") && !strings.Contains(matches, "udp") && !strings.Contains(matches, "!=") && verdict == "reject" && g.one(2) {
		verdict = "meta l4proto tcp reject with tcp reset"
	}
	g.rule(chain, "%s %s", matches, verdict)
}

// iptables writes rules for iptables-restore, of the legacy or the nf_tables kind.
func (g *gen) iptables(kind string, v6 bool) {
	version := "4"
	if v6 {
		version = "6"
	}
	key := func(table string) string { return kind + " " + version + " " + table }
	g.v6 = v6
	for range 1 + g.IntN(4) {
		g.s.tables[key("nat")] = append(g.s.tables[key("nat")], "-A PREROUTING "+g.xtMatch(true)+" "+g.xtNat())
	}
	for range g.IntN(3) {
		g.s.tables[key("mangle")] = append(g.s.tables[key("mangle")], "-A PREROUTING -i c+ "+g.xtMatch(false)+" "+g.xtMark())
	}
	if g.one(4) {
		g.s.tables[key("raw")] = append(g.s.tables[key("raw")], "-A PREROUTING -i c+ "+g.xtPort()+" -j "+g.pick("NOTRACK", "CT --notrack", "DROP"))
	}
	for _, chain := range []string{"INPUT", "FORWARD"} {
		if g.one(2) {
			g.xtFilter(key("filter"), chain)
		}
	}
	if g.one(3) {
		g.xtChains(key("nat"), "PREROUTING", g.xtNat)
	}
	if g.one(3) {
		g.xtChains(key("mangle"), "PREROUTING -i c+", g.xtMark)
	}
	if g.one(5) {
		g.s.tables[key("nat")] = append(g.s.tables[key("nat")], "-A OUTPUT "+g.xtPort()+" "+g.xtNat())
	}
}

func (g *gen) xtFilter(key, chain string) {
	lines := []string{"-A " + chain + " -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"}
	if g.v6 {
		lines = append(lines, "-A "+chain+" -p ipv6-icmp -j ACCEPT")
	}
	if chain == "FORWARD" {
		lines = append(lines, "-A FORWARD -i a0 -j ACCEPT", "-A FORWARD -i b0 -j ACCEPT")
	}
	for range 1 + g.IntN(4) {
		lines = append(lines, "-A "+chain+" "+g.xtMatch(true)+" -j "+g.pick("ACCEPT", "ACCEPT", "DROP", "REJECT", "RETURN"))
	}
	g.s.tables[key] = append(g.s.tables[key], lines...)
}

func (g *gen) xtPort() string {
	proto := g.pick("tcp", "tcp", "udp")
	switch g.IntN(5) {
	case 0:
		return fmt.Sprintf("-p %s -m multiport --dports %d,%d,2000:2003", proto, g.port(), g.port())
	case 1:
		return "-p " + proto
	case 2:
		return fmt.Sprintf("-p %s -m %s ! --dport %d", proto, proto, g.port())
	case 3:
		return fmt.Sprintf("-p %s -m %s --dport %d:%d", proto, proto, 1+g.IntN(100), 100+g.IntN(9000))
	}
	return fmt.Sprintf("-p %s -m %s --dport %d", proto, proto, g.port())
}

func (g *gen) xtMatch(iface bool) string {
	parts := []string{g.xtPort()}
	if iface && g.one(3) {
		parts = append(parts, g.pick("-i c0", "-i c+", "! -i a0", "-i c1", "-i br0"))
	}
	if g.one(3) {
		if g.v6 {
			parts = append(parts, g.pick("-d fd01::1/128", "-d fd09::/64", "! -d fd02::2/128", "-s fd01::/64", "-m addrtype --dst-type LOCAL"))
		} else {
			parts = append(parts, g.pick("-d 10.1.0.1/32", "-d 10.9.0.0/24", "! -d 10.2.0.2/32", "-s 10.1.0.0/24", "! -s 10.1.0.3/32",
				"-m addrtype --dst-type LOCAL", "-m addrtype ! --dst-type LOCAL", "-m iprange --src-range 10.1.0.1-10.1.0.2"))
		}
	}
	if g.one(5) {
		parts = append(parts, g.pick("-m mark --mark 0x2/0xf", "-m mark ! --mark 0x0", "-m connmark --mark 0x7", "-m connmark ! --mark 0x7",
			"-m conntrack --ctstate NEW", "-m conntrack --ctstate INVALID,UNTRACKED", "-m conntrack --ctorigdstport 80", "-m conntrack ! --ctstate DNAT",
			"-m conntrack --ctstate DNAT", "-m pkttype --pkt-type unicast", "-m state --state NEW"))
	}
	if g.one(6) {
		parts = append(parts, g.moreXT(iface))
	}
	if !g.v6 && g.one(5) {
		g.s.ipsets = []string{"create clients hash:ip", "add clients 10.1.0.3", "add clients 10.4.0.2", "create ports bitmap:port range 0-9999", "add ports 80", "add ports 2000-2005",
			"create pairs hash:net,port", "add pairs 10.1.0.0/24,tcp:443", "add pairs 10.9.0.0/24,udp:53", "add pairs 10.9.0.5,tcp:80", "create none hash:ip"}
		parts = append(parts, g.pick("-m set --match-set clients src", "-m set ! --match-set clients src", "-m set --match-set ports dst", "-m set --match-set pairs dst,dst", "-m set --match-set none src"))
	}
	if g.s.open && g.one(3) {
		parts = append(parts, g.pick("-m statistic --mode random --probability 0.5", "-m statistic --mode nth --every 2 --packet 0", "-m limit --limit 100/second",
			"-m length --length 40:70"))
	}
	return strings.Join(parts, " ")
}

func (g *gen) xtNat() string {
	a, b, p := "10.2.0.2", "10.3.0.2", g.port()
	at := func(addr string, port int) string { return fmt.Sprintf("%s:%d", addr, port) }
	if g.v6 {
		a, b = "fd02::2", "fd03::2"
		at = func(addr string, port int) string { return fmt.Sprintf("[%s]:%d", addr, port) }
	}
	to := g.pick(a, b)
	if g.one(5) {
		return g.moreXTNat()
	}
	switch g.IntN(7) {
	case 0, 1, 2:
		return "-j DNAT --to-destination " + at(to, p)
	case 3:
		return fmt.Sprintf("-j REDIRECT --to-ports %d", p)
	case 4:
		return "-j DNAT --to-destination " + to
	case 5:
		return "-j " + g.pick("ACCEPT", "RETURN")
	}
	if g.v6 {
		return "-j NETMAP --to fd02::/64"
	}
	return "-j NETMAP --to 10.2.0.0/24"
}

func (g *gen) xtMark() string {
	choices := []string{"-j MARK --set-mark 0x2", "-j MARK --set-xmark 0x4/0x4", "-j CONNMARK --set-mark 0x7", "-j CONNMARK --save-mark",
		"-j CONNMARK --restore-mark", "-j CONNMARK --restore-mark --nfmask 0xf --ctmask 0xf", "-j CONNMARK --save-mark --nfmask 0x3 --ctmask 0x3", "-j MARK --or-mark 0x1", "-j MARK --and-mark 0x2", "-j MARK --xor-mark 0x3",
		"-j CONNMARK --set-xmark 0x7/0xf", "-j DROP", "-j TPROXY --on-port 3128 --tproxy-mark 0x1/0x1"}
	return choices[g.IntN(len(choices))]
}

// probes draws packets of the client.
func (g *gen) probes(n int, sport *uint16, number *uint32) []*probe {
	var out []*probe
	for range n {
		p := &probe{Packet: path.Packet{Proto: host.TCP, Port: uint16(g.port() + g.IntN(2))}}
		if g.one(3) {
			p.Proto = host.UDP
		}
		p.To, p.From = netip.MustParseAddr(g.pick("10.1.0.1", "10.1.0.1", "10.1.0.10", "10.2.0.1", "10.4.0.1", "10.2.0.2", "10.3.0.2", "10.9.0.5", "10.9.0.6")), netip.MustParseAddr(g.pick("10.1.0.2", "10.1.0.3"))
		p.In, p.dev = "c0", "e0"
		second := g.one(4)
		if second {
			p.From, p.In, p.dev = netip.MustParseAddr("10.4.0.2"), "c1", "e1"
		}
		bridged := !second && g.one(6)
		if bridged {
			p.From, p.In, p.dev = netip.MustParseAddr("10.5.0.2"), "br0", "e2"
		}
		if g.one(3) {
			p.To, p.From = netip.MustParseAddr(g.pick("fd01::1", "fd01::1", "fd01::10", "fd02::1", "fd02::2", "fd03::2", "fd09::5")), netip.MustParseAddr(g.pick("fd01::2", "fd01::3"))
			switch {
			case second:
				p.From = netip.MustParseAddr("fd04::2")
			case bridged:
				p.From = netip.MustParseAddr("fd05::2")
			}
		}
		*sport++
		if *sport > 59999 {
			*sport = 20000
		}
		*number++
		p.SPort, p.number = *sport, *number
		out = append(out, p)
	}
	return out
}
