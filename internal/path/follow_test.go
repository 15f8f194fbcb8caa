package path_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

// routes is a host at 10.1.0.1 that sends all else on by out0, and what bears
// mark 9 to itself.
type routes struct{}

func (routes) ByMark() bool { return true }

func (routes) Route(q host.RouteQuery) host.Route {
	if q.Dst == netip.MustParseAddr("10.1.0.1") || q.Mark == 9 {
		return host.Route{Kind: host.RouteLocal}
	}
	return host.Route{Kind: host.RouteUnicast, Out: "out0"}
}

func (routes) TypeOf(a netip.Addr) (uint32, bool) {
	if a == netip.MustParseAddr("10.1.0.1") {
		return 2, true
	}
	return 1, true
}

func (routes) First(string, netip.Addr) netip.Addr { return netip.MustParseAddr("10.1.0.1") }

// builder makes tables by hand.
func table(name string, chains ...*host.Chain) *host.Table {
	return &host.Table{Backend: "nf_tables", Family: host.IP, Name: name, Chains: chains}
}

var handles uint64

func chain(kind, hook string, priority int, policy string, rules ...host.Branch) *host.Chain {
	handles++
	c := &host.Chain{Name: fmt.Sprintf("%s%d", hook, handles), Handle: handles}
	if hook != "" {
		c.Base = &host.Base{Hook: hook, Priority: priority, Type: kind, Policy: policy}
	}
	for i, b := range rules {
		c.Rules = append(c.Rules, &host.Rule{Index: i + 1, Writer: "nft", Branches: []host.Branch{b}})
	}
	return c
}

func verdict(v host.Verdict, m host.Match) host.Branch { return host.Branch{Match: m, Verdict: v} }

func dnat(m host.Match, to ...string) host.Branch {
	e := host.Effect{Kind: "dnat"}
	for _, x := range to {
		t, err := host.ParseTarget(x)
		if err != nil {
			panic(err)
		}
		e.To = append(e.To, t)
	}
	return host.Branch{Match: m, Verdict: host.Accept, Effects: []host.Effect{e}}
}

func setMark(m host.Match, a host.Assign) host.Branch {
	a.Field, a.Mask = host.FieldMark, 0xffffffff
	return host.Branch{Match: m, Assigns: []host.Assign{a}}
}

func ifMark(n uint32) host.Match {
	var m host.Match
	m.Expect(host.Test{Words: "mark", Field: host.FieldMark, Mask: 0xffffffff, Spans: []host.Span{{Lo: n, Hi: n}}})
	return m
}

func words1(w string) host.Match { return host.Match{Conditions: []string{w}} }

func source(s string) host.Match {
	a, err := host.ParseAddrs(s)
	if err != nil {
		panic(err)
	}
	return host.Match{Source: a}
}

func follow(p path.Packet, w path.World, tables ...*host.Table) path.Answer {
	w.Space = &host.Space{Tables: tables, Listeners: []host.Listener{{Proto: "tcp", Address: "0.0.0.0", Port: 80},
		{Proto: "tcp", Address: "10.1.0.1", Port: 81}, {Proto: "tcp", Address: "0.0.0.0", Port: 81}}}
	w.Space.NoteTracking()
	w.Routes, w.Sockets = routes{}, true
	return path.Follow(w, p)
}

func short(a path.Answer) string {
	var out []string
	for _, o := range a.Outcomes {
		text := strings.TrimSpace(o.Kind + " " + o.AnsweredBy + o.Nobody)
		if o.Netns != "" {
			text += " in " + o.Netns
		}
		if !o.Certain {
			text += strings.TrimRight(" if "+o.Condition, " ")
		}
		out = append(out, text)
	}
	return strings.Join(out, " | ")
}

func packet(port uint16) path.Packet {
	return path.Packet{Proto: host.TCP, From: netip.MustParseAddr("10.1.0.2"), SPort: 40000, To: netip.MustParseAddr("10.1.0.1"), Port: port, In: "in0"}
}

func TestFollow(t *testing.T) {
	all := host.Match{}
	anybody := packet(80)
	anybody.From = netip.Addr{}
	own := packet(80)
	own.From, own.In, own.Own = own.To, "", true
	loop := chain("filter", "", 0, "")
	loop.Name = "again"
	loop.Rules = []*host.Rule{{Index: 1, Branches: []host.Branch{{Verdict: host.Jump, Chain: "again"}}}}
	for _, tt := range []struct {
		name   string
		packet path.Packet
		world  path.World
		tables []*host.Table
		want   string
	}{
		{name: "nothing stands in the way", packet: packet(80), want: "local 0.0.0.0:80"},
		{name: "the bound socket before the wildcard", packet: packet(81), want: "local 10.1.0.1:81"},
		{name: "nobody listens", packet: packet(82), want: "nobody refused"},
		{name: "translated, and sent on", packet: packet(80), want: "forwarded 10.2.0.2:8080",
			tables: []*host.Table{table("t", chain("nat", "prerouting", -100, "accept", dnat(all, "10.2.0.2:8080")))}},
		{name: "accept ends one base chain only", packet: packet(80), want: "nobody dropped",
			tables: []*host.Table{table("t", chain("filter", "input", 0, "accept", verdict(host.Accept, all)), chain("filter", "input", 1, "drop"))}},
		{name: "only the first translation counts", packet: packet(80), want: "forwarded 10.2.0.2:80",
			tables: []*host.Table{table("t", chain("nat", "prerouting", -100, "accept", dnat(all, "10.2.0.2")), chain("nat", "prerouting", -90, "accept", dnat(all, "10.3.0.3")))}},
		{name: "a NAT chain sees marks that are set after its stated priority", packet: packet(80), want: "forwarded 10.2.0.2:80",
			tables: []*host.Table{table("t", chain("nat", "prerouting", -199, "accept", dnat(ifMark(5), "10.2.0.2")), chain("filter", "prerouting", -150, "accept", setMark(all, host.Assign{Value: 5})))}},
		{name: "untracked packets are not translated", packet: packet(80), want: "local 0.0.0.0:80",
			tables: []*host.Table{table("t", chain("filter", "prerouting", -300, "accept", host.Branch{Assigns: []host.Assign{{Field: host.FieldNoTrack}}}), chain("nat", "prerouting", -100, "accept", dnat(all, "10.2.0.2")))}},
		{name: "of one table the later chain runs first", packet: packet(80), want: "nobody dropped",
			tables: []*host.Table{table("t", chain("nat", "prerouting", -100, "accept", dnat(all, "10.2.0.2")), chain("nat", "prerouting", -100, "accept", verdict(host.Drop, all)))}},
		{name: "a condition in words splits", packet: packet(80), want: "forwarded 10.2.0.2:80 if it rains | local 0.0.0.0:80 if not (it rains)",
			tables: []*host.Table{table("t", chain("nat", "prerouting", -100, "accept", dnat(words1("it rains"), "10.2.0.2")))}},
		{name: "what makes no difference splits nothing", packet: packet(80), want: "local 0.0.0.0:80",
			tables: []*host.Table{table("t", chain("filter", "input", 0, "accept", verdict(host.Accept, words1("it rains")), verdict(host.Continue, words1("it snows"))))}},
		{name: "an unknown sender is guessed once", packet: anybody, want: "forwarded 10.2.0.2:80 if from 10.5.0.0/16 | local 0.0.0.0:80 if not (from 10.5.0.0/16)",
			tables: []*host.Table{table("t", chain("nat", "prerouting", -100, "accept", dnat(source("10.5.0.0/16"), "10.2.0.2"), dnat(source("10.5.0.0/16"), "10.3.0.3")))}},
		{name: "a rule that is not understood", packet: packet(80), want: "unknown if a rule that is not understood may end it | local 0.0.0.0:80 if in other cases",
			tables: []*host.Table{table("t", chain("filter", "input", 0, "accept", verdict(host.Uncertain, all)))}},
		{name: "a destination that is not known", packet: packet(80), want: "unknown if",
			tables: []*host.Table{table("t", chain("nat", "prerouting", -100, "accept", host.Branch{Verdict: host.Accept, Effects: []host.Effect{{Kind: "dnat", Unknown: "its address comes from a map"}}}))}},
		{name: "a mark that is not known decides the route", packet: packet(80), want: "unknown if",
			tables: []*host.Table{table("t", chain("filter", "prerouting", -150, "accept", setMark(all, host.Assign{Unknown: "a hash"})))}},
		{name: "balanced", packet: packet(80), want: "forwarded 10.2.0.2:80 if the balancer chooses 10.2.0.2:80 | forwarded 10.2.0.3:80 if the balancer chooses 10.2.0.3:80",
			tables: []*host.Table{table("t", chain("nat", "prerouting", -100, "accept", dnat(all, "10.2.0.2", "10.2.0.3")))}},
		{name: "dead and waiting matches take nothing", packet: packet(80), want: "local 0.0.0.0:80",
			tables: []*host.Table{table("t", chain("filter", "input", 0, "accept", verdict(host.Drop, host.Match{Dead: "never"}), verdict(host.Drop, host.Match{Waiting: "set s is empty"})))}},
		{name: "a jump without end", packet: packet(80), want: "unknown if",
			tables: []*host.Table{table("t", chain("filter", "input", 0, "accept", host.Branch{Verdict: host.Jump, Chain: "again"}), loop)}},
		{name: "a source that was not read", packet: packet(80), world: path.World{Unread: []string{"nf_tables"}},
			want: "unknown if nf_tables takes it | local 0.0.0.0:80 if in other cases"},
		{name: "of this host", packet: own, want: "forwarded 10.2.0.2:80",
			tables: []*host.Table{table("t", chain("nat", "output", -100, "accept", dnat(all, "10.2.0.2")))}},
		{name: "what comes back by the loopback is not translated again", packet: own, want: "local 0.0.0.0:80",
			tables: []*host.Table{table("t", chain("nat", "prerouting", -100, "accept", dnat(all, "10.2.0.2")))}},
		{name: "a dormant table does nothing", packet: packet(80), want: "local 0.0.0.0:80",
			tables: []*host.Table{{Family: host.IP, Name: "t", Dormant: true, Chains: []*host.Chain{chain("filter", "input", 0, "drop")}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := short(follow(tt.packet, tt.world, tt.tables...)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Between tables the configuration does not say who was registered first.
func TestChainsOfEqualPriorityInTwoTables(t *testing.T) {
	all := host.Match{}
	a := table("a", chain("nat", "prerouting", -100, "accept", dnat(all, "10.2.0.2")))
	b := table("b", chain("nat", "prerouting", -100, "accept", dnat(all, "10.3.0.3")))
	got := follow(packet(80), path.World{}, a, b)
	if len(got.Outcomes) != 2 || got.Outcomes[0].Certain || !strings.Contains(got.Outcomes[0].Condition, "chains of equal priority run in the order") {
		t.Errorf("got %s", short(got))
	}
	b = table("b", chain("nat", "prerouting", -100, "accept", dnat(all, "10.2.0.2")))
	if got := follow(packet(80), path.World{}, a, b); short(got) != "forwarded 10.2.0.2:80" {
		t.Errorf("where the order makes no difference: %s", short(got))
	}
}

// What rules below the interface do to frames is not followed, and said.
func TestRulesBelowTheInterface(t *testing.T) {
	drop := func(family host.Family, c *host.Chain) *host.Table {
		x := table("filter", c)
		x.Family = family
		return x
	}
	ingress := chain("filter", "ingress", 0, "drop")
	ingress.Base.Devices = []string{"port"}
	for _, tt := range []struct {
		name   string
		table  *host.Table
		ifaces []host.Iface
		want   string
	}{
		{"a bridge", drop(host.Bridge, chain("filter", "forward", -200, "drop")), []host.Iface{{Name: "in0", Kind: "bridge"}}, "unknown if a rule of the bridge takes it | nobody refused if in other cases"},
		{"a port", drop(host.Netdev, ingress), []host.Iface{{Name: "in0", Index: 2, Kind: "bridge"}, {Name: "port", Index: 3, Master: 2}}, "unknown if a rule at port, below in0, takes it | nobody refused if in other cases"},
		{"a VLAN", drop(host.Netdev, ingress), []host.Iface{{Name: "in0", Index: 2, Kind: "vlan", Other: 3, OtherNetns: -1}, {Name: "port", Index: 3}}, "unknown if a rule at port, below in0, takes it | nobody refused if in other cases"},
		{"a VLAN on a bridge", drop(host.Bridge, chain("filter", "input", 0, "drop")), []host.Iface{{Name: "in0", Index: 2, Kind: "vlan", Other: 3, OtherNetns: -1}, {Name: "br", Index: 3, Kind: "bridge"}}, "unknown if a rule of the bridge takes it | nobody refused if in other cases"},
		{"a VRF", drop(host.IP, chain("filter", "forward", 0, "drop")), []host.Iface{{Name: "in0", Index: 2, Master: 3}, {Name: "red", Index: 3, Kind: "vrf"}}, "unknown if the VRF red makes a difference | nobody refused if in other cases"},
		{"another interface", drop(host.Netdev, ingress), []host.Iface{{Name: "in0", Index: 2}, {Name: "port", Index: 3}}, "nobody refused"},
		{"one that stands on itself", drop(host.Netdev, ingress), []host.Iface{{Name: "in0", Index: 2, Master: 2}}, "nobody refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			space := &host.Space{Tables: []*host.Table{tt.table}, Ifaces: tt.ifaces}
			if got := short(path.Follow(path.World{Space: space, Routes: routes{}, Sockets: true}, packet(80))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// Many open conditions end in "not known", never in a guess or a long wait.
func TestTooManyWays(t *testing.T) {
	var rules []host.Branch
	for i := range 200 {
		b := setMark(words1(fmt.Sprintf("condition %d", i)), host.Assign{})
		b.Assigns[0].Mask, b.Assigns[0].Value = 0, 1<<(i%32)
		rules = append(rules, b)
	}
	got := follow(packet(80), path.World{}, table("t", chain("filter", "prerouting", -150, "accept", rules...)))
	if len(got.Outcomes) != 1 || got.Outcomes[0].Kind != path.Unknown || got.Outcomes[0].Reason != "too many ways to tell them apart" {
		t.Errorf("got %s", short(got))
	}
}

// bySource routes packets of two networks elsewhere.
type bySource struct{ routes }

func (bySource) Senders() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("10.5.0.0/16"), netip.MustParsePrefix("10.1.0.1/32"), netip.MustParsePrefix("fd05::/64"), netip.MustParsePrefix("10.6.0.0/16")}
}

func (b bySource) Route(q host.RouteQuery) host.Route {
	if netip.MustParsePrefix("10.5.0.0/16").Contains(q.Src) {
		return host.Route{Kind: host.RouteUnreachable, Why: "a route prohibits it"}
	}
	return b.routes.Route(q)
}

func TestPolicyRulesThatAskForTheSender(t *testing.T) {
	anybody := packet(80)
	anybody.From = netip.Addr{}
	w := path.World{Space: &host.Space{}, Routes: bySource{}, Sockets: true}
	if got, want := short(path.Follow(w, anybody)), "nobody no route if from 10.5.0.0/16 | nobody refused if not (from 10.5.0.0/16)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := short(path.Follow(w, packet(80))); got != "nobody refused" {
		t.Errorf("of a known sender: %s", got)
	}
	// A rule that asked for the same network before is not asked again.
	drop := table("t", chain("filter", "prerouting", 0, "accept", verdict(host.Drop, source("10.5.0.0/16"))))
	w.Space = &host.Space{Tables: []*host.Table{drop}}
	if got, want := short(path.Follow(w, anybody)), "nobody dropped if from 10.5.0.0/16 | nobody refused if not (from 10.5.0.0/16)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
