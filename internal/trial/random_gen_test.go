//go:build amd64

package trial

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// ruleset is a random host: text for nft, and for iptables-legacy-restore and
// its IPv6 sister ("" where there are none).
type ruleset struct{ nft, legacy, legacy6 string }

// drawer draws one. It draws what an editor must carry (sets, maps, verdict maps,
// concatenations, intervals, comments, counters, quotas, limits, named objects,
// anonymous chains), whether or not a packet would ever get there.
type drawer struct {
	*rand.Rand
	b      strings.Builder
	v6     bool   // of the table at hand
	family string // of the table at hand
	proto  string // of the rule at hand
}

func draw(seed uint64) ruleset {
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, 7))}
	for _, family := range []string{"ip", "ip6", "inet"} {
		if d.IntN(3) > 0 || family == "ip" {
			d.table(family)
		}
	}
	out := ruleset{nft: d.b.String()}
	if d.IntN(2) == 0 {
		out.legacy = d.xtables("10.0.0.%d", "")
	}
	if d.IntN(3) == 0 {
		out.legacy6 = d.xtables("fd00::%d", "v6")
	}
	return out
}

func (d *drawer) line(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

func (d *drawer) pick(list ...string) string { return list[d.IntN(len(list))] }

func (d *drawer) port() int { return 1 + d.IntN(60000) }

func (d *drawer) addr() string {
	if d.v6 {
		return fmt.Sprintf("fd00:%x::%x", d.IntN(4), 1+d.IntN(200))
	}
	return fmt.Sprintf("10.%d.0.%d", d.IntN(4), 1+d.IntN(200))
}

// distinct gives n numbers in order, none twice, with room between them.
func (d *drawer) distinct(n int) []int {
	out, at := make([]int, n), 0
	for i := range out {
		at += 2 + d.IntN(60000/n-2)
		out[i] = at
	}
	return out
}

// elements joins what one gives for each of some ports.
func (d *drawer) elements(one func(port int) string) string {
	var out []string
	for _, p := range d.distinct(1 + d.IntN(6)) {
		out = append(out, one(p))
	}
	return strings.Join(out, ", ")
}

func (d *drawer) table(family string) {
	d.v6, d.family = family == "ip6", family
	kind := map[bool]string{false: "ipv4_addr", true: "ipv6_addr"}[d.v6]
	d.line("table %s drawn {", family)
	d.line("counter hits { packets %d bytes %d }", d.IntN(1000), d.IntN(100000))
	d.line("quota volume { over %d mbytes used %d bytes }", 1+d.IntN(50), d.IntN(9999))
	d.line("limit speed { rate %d/second burst %d packets }", 1+d.IntN(90), 1+d.IntN(20))
	d.line("set ports { type inet_service; comment \"%s\"; elements = { %s } }", d.pick("a", "two words", "ünïcode"), d.elements(func(p int) string { return fmt.Sprint(p) }))
	d.line("set spans { type inet_service; flags interval; elements = { %s } }", d.elements(func(p int) string { return fmt.Sprintf("%d-%d", p, p+1) }))
	d.line("set seen { type %s; size 65535; flags dynamic%s; }", kind, d.pick("", ",timeout; timeout 1h"))
	d.line("set pairs { type %s . inet_service; counter; elements = { %s } }", kind, d.elements(func(p int) string { return fmt.Sprintf("%s . %d counter packets %d bytes 9", d.addr(), p, d.IntN(9)) }))
	d.line("map to { type inet_service : %s; elements = { %s } }", kind, d.elements(func(p int) string {
		return fmt.Sprintf("%d %s: %s", p, d.pick("", "comment \"c\" "), d.addr())
	}))
	d.line("map both { type inet_service : %s . inet_service; elements = { %s } }", kind, d.elements(func(p int) string { return fmt.Sprintf("%d : %s . %d", p, d.addr(), d.port()) }))
	d.line("map ranges { type inet_service : %s; flags interval; elements = { %s } }", kind, d.elements(func(p int) string { return fmt.Sprintf("%d-%d : %s", p, p+1, d.addr()) }))
	d.proto = "tcp"
	d.line("chain other { %s; }", d.filterRule())
	d.line("map where { type inet_service : verdict; elements = { %s } }", d.elements(func(p int) string { return fmt.Sprintf("%d : %s", p, d.pick("accept", "drop", "jump other")) }))
	d.chain("type nat hook prerouting priority -100", d.natRule)
	d.chain("type nat hook output priority "+d.pick("-100", "5"), d.natRule)
	d.chain("type filter hook prerouting priority -150; policy "+d.pick("accept", "drop"), d.filterRule)
	d.line("}")
}

func (d *drawer) chain(head string, rule func() string) {
	if d.IntN(4) == 0 {
		return
	}
	d.line("chain c%d { %s;", d.Uint32(), head)
	for range d.IntN(9) {
		d.proto = d.pick("tcp", "udp")
		text := rule()
		if d.IntN(4) == 0 {
			text += d.pick(` comment "web"`, ` comment "a longer comment: ünïcode"`)
		}
		for range 1 + d.IntN(8)/7 { // now and then the very same rule twice
			d.line("  %s", text)
		}
	}
	d.line("}")
}

// match is what stands before a verdict.
func (d *drawer) match() string {
	family := map[bool]string{false: "ip", true: "ip6"}[d.v6]
	var out []string
	for range 1 + d.IntN(3) {
		out = append(out, d.pick(
			fmt.Sprintf("%s dport %d", d.proto, d.port()), fmt.Sprintf("%s dport %d-%d", d.proto, 10+d.IntN(9), 30+d.IntN(900)),
			fmt.Sprintf("%s dport { %s }", d.proto, d.elements(func(p int) string { return fmt.Sprint(p) })),
			fmt.Sprintf("%s dport != { %s }", d.proto, d.elements(func(p int) string { return fmt.Sprintf("%d-%d", p, p+1) })),
			d.proto+" dport @ports", d.proto+" dport != @spans", fmt.Sprintf("%s daddr . %s dport @pairs", family, d.proto),
			fmt.Sprintf("%s saddr %s", family, d.addr()), fmt.Sprintf("%s daddr { %s }", family, d.addr()),
			fmt.Sprintf("%s saddr . %s dport { %s . %d }", family, d.proto, d.addr(), d.port()),
			fmt.Sprintf("iifname \"e%d\"", d.IntN(3)), "iifname { \"e0\", \"eth1\" }", fmt.Sprintf("meta mark & 0xff == %#x", d.IntN(255)),
			"ct state new,established", "fib daddr type local", fmt.Sprintf("meta length %d-%d", d.IntN(40), 50+d.IntN(1000)),
			"meta time >= \"2020-01-01\"", "meta hour \"08:00\"-\"18:00\"", fmt.Sprintf("limit rate %d/minute burst %d packets", 1+d.IntN(50), 1+d.IntN(9)),
			fmt.Sprintf("quota over %d kbytes", 1+d.IntN(90)), fmt.Sprintf("numgen random mod %d == 0", 2+d.IntN(5)),
			fmt.Sprintf("update @seen { %s saddr }", family)))
	}
	if d.proto == "tcp" && d.IntN(4) == 0 {
		out = append(out, d.pick("tcp flags & (syn|ack) == syn", "tcp option maxseg size > 500"))
	}
	out = append(out, d.pick("", fmt.Sprintf("counter packets %d bytes %d", d.IntN(99), d.IntN(9999)), "counter name hits", "quota name \"volume\"", "limit name \"speed\"", "log prefix \"x \""))
	return strings.Join(out, " ")
}

func (d *drawer) natRule() string {
	nat := map[bool]string{false: "ip", true: "ip6"}[d.v6]
	to, bracket := d.addr(), d.addr()
	if d.v6 {
		bracket = "[" + bracket + "]"
	}
	port := "meta l4proto " + d.proto
	return d.pick(
		fmt.Sprintf("%s %s dnat %s to %s", d.match(), "", nat, to),
		fmt.Sprintf("%s %s dnat %s to %s:%d", port, d.match(), nat, bracket, d.port()),
		fmt.Sprintf("%s %s redirect to :%d %s", port, d.match(), d.port(), d.pick("", "random", "persistent")),
		fmt.Sprintf("dnat %s to tcp dport map @to", nat), fmt.Sprintf("dnat %s to tcp dport map @both", nat), fmt.Sprintf("dnat %s to tcp dport map @ranges", nat),
		fmt.Sprintf("dnat %s to tcp dport map { %s }", nat, d.elements(func(p int) string { return fmt.Sprintf("%d : %s", p, d.addr()) })),
		fmt.Sprintf("dnat %s to numgen inc mod 2 map { 0 : %s, 1 : %s }", nat, d.addr(), d.addr()),
		fmt.Sprintf("dnat %s to %s daddr . tcp dport map { %s }", nat, nat, d.elements(func(p int) string { return fmt.Sprintf("%s . %d : %s . %d", d.addr(), p, d.addr(), d.port()) })),
		"tcp dport vmap @where", fmt.Sprintf("%s accept", d.match()),
		fmt.Sprintf("tcp dport vmap { %s }", d.elements(func(p int) string { return fmt.Sprintf("%d : %s", p, d.pick("accept", "jump other")) })),
		fmt.Sprintf("%s dport %d jump { dnat %s to %s; %s accept; }", d.proto, d.port(), nat, to, d.match()))
}

func (d *drawer) filterRule() string {
	family := map[bool]string{false: "ip", true: "ip6"}[d.v6]
	return d.pick(
		fmt.Sprintf("%s %s", d.match(), d.pick("accept", "drop", "return", "")), fmt.Sprintf("%s meta mark set %#x", d.match(), d.IntN(255)),
		fmt.Sprintf("%s ct mark set meta mark", d.match()), fmt.Sprintf("%s %s daddr set %s", d.match(), family, d.addr()),
		fmt.Sprintf("%s notrack", d.match()), d.match()+" "+d.duplicate())
}

// duplicate is a statement that a table of both families cannot have.
func (d *drawer) duplicate() string {
	if d.family == "inet" {
		return "return"
	}
	return "dup to " + d.addr()
}

// xtables is one family of iptables-legacy: its address, and "v6" for IPv6.
func (d *drawer) xtables(address, family string) string {
	var b strings.Builder
	counters := func() string { return fmt.Sprintf("[%d:%d]", d.IntN(999), d.IntN(99999)) }
	rules := func(n int, chains []string, one func() string) {
		for range n {
			fmt.Fprintf(&b, "%s -A %s %s\n", counters(), chains[d.IntN(len(chains))], one())
		}
	}
	fmt.Fprintf(&b, "*nat\n:PREROUTING ACCEPT %s\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT %s\n:WEB - [0:0]\n:EMPTY - [0:0]\n", counters(), counters())
	rules(d.IntN(9), []string{"PREROUTING", "PREROUTING", "OUTPUT", "WEB"}, func() string { return d.xtMatch(address) + " " + d.xtTarget(address) })
	rules(d.IntN(3), []string{"PREROUTING", "OUTPUT"}, func() string { return d.xtMatch(address) + " -" + d.pick("j", "g") + " " + d.pick("WEB", "EMPTY") })
	fmt.Fprintf(&b, "COMMIT\n*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT %s\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n", counters())
	tproxy := "127.0.0.1"
	if family == "v6" {
		tproxy = "::1"
	}
	rules(d.IntN(5), []string{"PREROUTING"}, func() string {
		return d.xtMatch(address) + " " + d.pick("-j ACCEPT", "-j MARK --set-mark 0x1", fmt.Sprintf("-j TPROXY --on-port %d --on-ip %s --tproxy-mark 0x1/0x1", d.port(), tproxy))
	})
	b.WriteString("COMMIT\n")
	return b.String()
}

func (d *drawer) xtMatch(address string) string {
	return fmt.Sprintf("-p %s ", d.pick("tcp", "udp")) + d.pick(fmt.Sprintf("--dport %d", d.port()), fmt.Sprintf("! --dport %d:%d", 1+d.IntN(99), 100+d.IntN(99)),
		fmt.Sprintf("-m multiport --dports %d,%d:%d", 1+d.IntN(9), 10+d.IntN(9), 20+d.IntN(9)), "-m addrtype --dst-type LOCAL",
		fmt.Sprintf("-m comment --comment \"%s\" --dport %d", d.pick("web", "two words"), d.port()), fmt.Sprintf("-s "+address, 1+d.IntN(200)),
		fmt.Sprintf("-m statistic --mode %s", d.pick("nth --every 3 --packet 1", "random --probability 0.25")), "-m limit --limit 5/hour --limit-burst 7",
		"-m conntrack --ctstate NEW", fmt.Sprintf("-m mark ! --mark %#x/0xff", d.IntN(255)), "-m string --string \"x\" --algo bm", "-m recent --name seen --rcheck",
		fmt.Sprintf("-m iprange --dst-range "+address+"-"+address, 1+d.IntN(50), 60+d.IntN(90)), "-m time --timestart 08:00:00 --timestop 09:00:00",
		"-m quota --quota 12345", "-m hashlimit --hashlimit-upto 5/sec --hashlimit-name h --hashlimit-mode srcip", "-m length --length 40:80")
}

func (d *drawer) xtTarget(address string) string {
	return d.pick("-j ACCEPT", "-j RETURN", "", fmt.Sprintf("-j REDIRECT --to-ports %d", d.port()), "-j REDIRECT --random",
		fmt.Sprintf("-j DNAT --to-destination "+address, 1+d.IntN(200)), fmt.Sprintf("-j DNAT --to-destination "+address+" --persistent", 1+d.IntN(200)), "-j LOG --log-prefix \"x \"")
}
