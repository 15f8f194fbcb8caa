package walk

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

func TestStates(t *testing.T) {
	web := host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(80, 80)}
	pre := &host.Base{Hook: "prerouting", Priority: -100, Type: "nat"}
	out := &host.Base{Hook: "output", Priority: -100, Type: "nat"}
	post := &host.Base{Hook: "postrouting", Priority: 100, Type: "nat"}
	tests := map[string]struct {
		table   host.Table
		ifaces  []host.Iface
		sockets []host.Listener
		want    []string
	}{
		"a plain dnat acts": {table: table(chain("in", pre, dnat(web))),
			want: []string{"dnat tcp 80 active inbound in"}},
		"a dormant table does nothing": {table: func() host.Table { x := table(chain("in", pre, dnat(web))); x.Dormant = true; return x }(),
			want: []string{"dnat tcp 80 inactive inbound in: table t is dormant: none of its chains runs"}},
		"nothing jumps there": {table: table(chain("in", pre), chain("web", nil, dnat(web))),
			want: []string{"dnat tcp 80 inactive inbound web: no hook reaches chain web"}},
		"an accept before it": {table: table(chain("in", pre, verdict(host.Match{}, host.Accept, ""), dnat(web))),
			want: []string{"dnat tcp 80 inactive inbound in: shadowed: rule 1 of chain in ends the way of every packet that it could take"}},
		"an accept of its protocol before it": {table: table(chain("in", pre, verdict(host.Match{Protos: host.ProtosOf(host.TCP)}, host.Accept, ""), dnat(web))),
			want: []string{"dnat tcp 80 inactive inbound in: shadowed: rule 1 of chain in ends the way of every packet that it could take"}},
		"an accept of another protocol before it": {table: table(chain("in", pre, verdict(host.Match{Protos: host.ProtosOf(host.UDP)}, host.Accept, ""), dnat(web))),
			want: []string{"dnat tcp 80 active inbound in"}},
		"a conditional accept proves nothing": {table: table(chain("in", pre, verdict(host.Match{Conditions: []string{"mark 0x1"}}, host.Accept, ""), dnat(web))),
			want: []string{"dnat tcp 80 active inbound in"}},
		"a jump to a chain that accepts all": {table: table(chain("in", pre, verdict(host.Match{}, host.Jump, "all"), dnat(web)), chain("all", nil, verdict(host.Match{}, host.Accept, ""))),
			want: []string{"dnat tcp 80 inactive inbound in: shadowed: rule 1 of chain in ends the way of every packet that it could take"}},
		"a jump to a chain that may return": {table: table(chain("in", pre, verdict(host.Match{}, host.Jump, "some"), dnat(web)), chain("some", nil, verdict(web, host.Return, ""), verdict(host.Match{}, host.Accept, ""))),
			want: []string{"dnat tcp 80 active inbound in"}},
		"a jump shadowed on its way": {table: table(chain("in", pre, verdict(host.Match{}, host.Drop, ""), verdict(host.Match{}, host.Jump, "web")), chain("web", nil, dnat(web))),
			want: []string{"dnat tcp 80 inactive inbound web: shadowed: rule 1 of chain in ends the way of every packet that it could take"}},
		"the jump narrows": {table: table(chain("in", pre, verdict(web, host.Goto, "any")), chain("any", nil, dnat(host.Match{}))),
			want: []string{"dnat tcp 80 active inbound any"}},
		"the jump contradicts": {table: table(chain("in", pre, verdict(host.Match{Protos: host.ProtosOf(host.UDP)}, host.Jump, "web")), chain("web", nil, dnat(web))),
			want: []string{"dnat tcp 80 inactive inbound web: no packet that reaches chain web fits the rule: its matches contradict those of the jumps to it"}},
		"a rewrite on the way may make it fit": {table: table(chain("in", pre, effect(web, host.Effect{Kind: "rewrite", Source: true}), verdict(host.Match{Protos: host.ProtosOf(host.UDP)}, host.Jump, "web")), chain("web", nil, dnat(web))),
			want: []string{"rewrite tcp 80 active inbound in (info)", "dnat tcp 80 active inbound web"}},
		"both ways are one row, inbound first": {table: table(chain("o", out, verdict(host.Match{Conditions: []string{"dst-type LOCAL"}}, host.Jump, "web")), chain("in", pre, verdict(host.Match{}, host.Jump, "web")), chain("web", nil, dnat(web))),
			want: []string{"dnat tcp 80 active inbound web"}},
		"two jumps that take different ports": {table: table(chain("in", pre, verdict(web, host.Jump, "x"), verdict(host.Match{Protos: host.ProtosOf(host.UDP), Ports: host.PortsOf(53, 53)}, host.Jump, "x")), chain("x", nil, dnat(host.Match{}))),
			want: []string{"dnat tcp 80 active inbound x", "dnat udp 53 active inbound x"}},
		"output alone is outbound": {table: table(chain("o", out, dnat(web))),
			want: []string{"dnat tcp 80 active outbound o"}},
		"an interface that is not there": {table: table(chain("in", pre, dnat(host.Match{In: host.Ifaces{Names: []string{"wg0"}}}))), ifaces: []host.Iface{{Name: "lo"}},
			want: []string{"dnat any any latent inbound in: interface wg0 is absent"}},
		"a wildcard that fits": {table: table(chain("in", pre, dnat(host.Match{In: host.Ifaces{Names: []string{"l*"}}}))), ifaces: []host.Iface{{Name: "lo"}},
			want: []string{"dnat any any active inbound in"}},
		"not on an interface that is not there": {table: table(chain("in", pre, dnat(host.Match{In: host.Ifaces{Names: []string{"wg0"}, Not: true}}))), ifaces: []host.Iface{{Name: "lo"}},
			want: []string{"dnat any any active inbound in"}},
		"waiting for an element": {table: table(chain("in", pre, dnat(host.Match{Waiting: "set @x is empty"}))),
			want: []string{"dnat any any latent inbound in: set @x is empty"}},
		"never true": {table: table(chain("in", pre, dnat(host.Match{Dead: "its date is past", Waiting: "x"}))),
			want: []string{"dnat any any inactive inbound in: its date is past"}},
		"not understood": {table: table(chain("in", pre, effect(web, host.Effect{Kind: "dnat", Unknown: "destination from a register"}))),
			want: []string{"dnat tcp 80 unknown inbound in: destination from a register"}},
		"tproxy without a socket": {table: table(chain("in", pre, effect(web, tproxy(3129)))), sockets: []host.Listener{{Proto: "tcp", Port: 3129}},
			want: []string{"tproxy tcp 80 inactive inbound in: no transparent socket takes what TPROXY hands over"}},
		"tproxy with its socket": {table: table(chain("in", pre, effect(web, tproxy(3129)))), sockets: []host.Listener{{Proto: "tcp", Port: 3129, Transparent: true}},
			want: []string{"tproxy tcp 80 active inbound in"}},
		"netmap after routing maps sources": {table: table(chain("p", post, effect(web, host.Effect{Kind: "netmap"}))),
			want: []string{"netmap tcp 80 active inbound p (info)"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			space := &host.Space{Tables: []*host.Table{&tt.table}, Ifaces: tt.ifaces, Listeners: tt.sockets}
			var got []string
			for _, r := range Redirects(space, Options{SocketsRead: true}) {
				got = append(got, summary(&r))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
		})
	}
}

func TestIDsAreStableAndApart(t *testing.T) {
	pre := &host.Base{Hook: "prerouting"}
	rule := func() *host.Rule { return dnat(host.Match{Ports: host.PortsOf(80, 80)}) }
	first := table(chain("in", pre, rule(), rule()))
	rows := Redirects(&host.Space{Tables: []*host.Table{&first}}, Options{})
	if rows[1].ID != rows[0].ID+"-2" {
		t.Errorf("equal rules: %s and %s", rows[0].ID, rows[1].ID)
	}
	moved := table(chain("in", pre, verdict(host.Match{Ports: host.PortsOf(22, 22)}, host.Accept, ""), rule()))
	moved.Chains[0].Rules[1].Handle, moved.Chains[0].Rules[1].Index = 99, 2
	if again := Redirects(&host.Space{Tables: []*host.Table{&moved}}, Options{}); again[0].ID != rows[0].ID {
		t.Errorf("the id changed with the rule's place: %s, was %s", again[0].ID, rows[0].ID)
	}
	pid := Redirects(&host.Space{Netns: "pid:7", Tables: []*host.Table{&first}}, Options{})
	if other := Redirects(&host.Space{Netns: "pid:8", Tables: []*host.Table{&first}}, Options{}); other[0].ID != pid[0].ID {
		t.Error("the id depends on a process id")
	}
}

func TestManyWaysEnd(t *testing.T) {
	chains := []*host.Chain{chain("in", &host.Base{Hook: "prerouting"})}
	for depth := range 12 { // 2^12 ways to the last chain
		name := fmt.Sprint("c", depth)
		for range 2 {
			from := chains[len(chains)-1]
			from.Rules = append(from.Rules, verdict(host.Match{}, host.Jump, name))
		}
		chains = append(chains, chain(name, nil))
	}
	last := chains[len(chains)-1]
	last.Rules = append(last.Rules, dnat(host.Match{}))
	tt := table(chains...)
	rows := Redirects(&host.Space{Tables: []*host.Table{&tt}}, Options{})
	if len(rows) != 1 || rows[0].State != host.Active {
		t.Errorf("got %d rows, first %+v", len(rows), rows[0])
	}
}

func table(chains ...*host.Chain) host.Table {
	return host.Table{Backend: "nf_tables", Family: host.IP, Name: "t", Chains: chains}
}

func chain(name string, base *host.Base, rules ...*host.Rule) *host.Chain {
	for i, r := range rules {
		r.Index = i + 1
	}
	return &host.Chain{Name: name, Base: base, Rules: rules}
}

func verdict(m host.Match, v host.Verdict, to string) *host.Rule {
	return &host.Rule{Branches: []host.Branch{{Match: m, Verdict: v, Chain: to}}}
}

func effect(m host.Match, e host.Effect) *host.Rule {
	return &host.Rule{Branches: []host.Branch{{Match: m, Verdict: host.Accept, Effects: []host.Effect{e}}}}
}

func dnat(m host.Match) *host.Rule {
	to, _ := host.ParseTarget("10.77.2.2:8080")
	return effect(m, host.Effect{Kind: "dnat", To: []host.Target{to}})
}

func tproxy(port uint16) host.Effect {
	return host.Effect{Kind: "tproxy", To: []host.Target{{PortLo: port, PortHi: port}}}
}

func summary(r *host.Redirect) string {
	s := strings.Join([]string{r.Kind, r.Proto, r.Ports, r.State, r.Direction, r.Rule.Chain}, " ")
	if r.Info {
		s += " (info)"
	}
	if r.State != host.Active {
		s += ": " + r.Why[0]
	}
	return s
}

// A long chain is gone through in parts: order and content are those of one pass.
func TestALongChainKeepsItsOrder(t *testing.T) {
	var rules []*host.Rule
	for i := range longChain + 100 {
		rules = append(rules, dnat(host.Match{Ports: host.PortsOf(uint16(i+1), uint16(i+1))}))
	}
	tt := table(chain("in", &host.Base{Hook: "prerouting"}, rules...))
	rows := Redirects(&host.Space{Tables: []*host.Table{&tt}}, Options{})
	if len(rows) != len(rules) {
		t.Fatalf("%d rows of %d rules", len(rows), len(rules))
	}
	for i, r := range rows {
		if want := fmt.Sprint(i + 1); r.Ports != want || r.State != host.Active {
			t.Fatalf("row %d: ports %s %s, want %s", i, r.Ports, r.State, want)
		}
	}
}

// So it is where some rules make more rows than one, and some none.
func TestLongChainsInPartsAreThoseInOnePass(t *testing.T) {
	long := func(name string, base *host.Base, each func(i int) *host.Rule) *host.Chain {
		var rules []*host.Rule
		for i := range longChain + 100 {
			rules = append(rules, each(i))
		}
		return chain(name, base, rules...)
	}
	one := func(i int) *host.Rule {
		return dnat(host.Match{Ports: host.PortsOf(uint16(i+1), uint16(i+1))})
	}
	some := func(i int) *host.Rule {
		if i%3 == 0 {
			return &host.Rule{Branches: []host.Branch{{Verdict: host.Continue}}}
		}
		return one(i)
	}
	twice := []*host.Rule{
		{Branches: []host.Branch{{Match: host.Match{Protos: host.ProtosOf(host.TCP)}, Verdict: host.Jump, Chain: "sub"}}},
		{Branches: []host.Branch{{Match: host.Match{Protos: host.ProtosOf(host.UDP)}, Verdict: host.Jump, Chain: "sub"}}},
	}
	tt := table(long("in", &host.Base{Hook: "prerouting"}, some), chain("to", &host.Base{Hook: "prerouting"}, twice...),
		long("sub", nil, one), long("last", &host.Base{Hook: "prerouting"}, one))
	rows := func(processors int) []host.Redirect {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		return Redirects(&host.Space{Tables: []*host.Table{&tt}}, Options{})
	}
	got, want := rows(4), rows(1)
	if len(want) <= 3*(longChain+100) || !reflect.DeepEqual(got, want) {
		t.Errorf("%d rows in parts, %d in one pass, or others", len(got), len(want))
	}
}
