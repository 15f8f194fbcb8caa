package walk

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

// states gives "CHAIN STATE" of each row.
func states(t *testing.T, table host.Table, o Options, sockets ...host.Listener) []string {
	t.Helper()
	var out []string
	for _, r := range Redirects(&host.Space{Tables: []*host.Table{&table}, Listeners: sockets}, o) {
		out = append(out, r.Rule.Chain+" "+r.State+" "+r.Direction)
	}
	return out
}

func expectStates(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %s, want %s", strings.Join(got, "; "), strings.Join(want, "; "))
	}
}

// x_tables sets no bound to how deep chains nest (measured: 200 levels work).
func TestAChainThatLiesDeepIsReached(t *testing.T) {
	chains := []*host.Chain{chain("in", &host.Base{Hook: "prerouting"}, verdict(host.Match{}, host.Jump, "c1"))}
	for depth := 1; depth < 80; depth++ {
		chains = append(chains, chain(fmt.Sprint("c", depth), nil, verdict(host.Match{}, host.Jump, fmt.Sprint("c", depth+1))))
	}
	chains = append(chains, chain("c80", nil, dnat(host.Match{})))
	expectStates(t, states(t, table(chains...), Options{}), "c80 active inbound")
}

// The jump that fits may be the last of more than are kept.
func TestTheOneWayThatFitsAmongMany(t *testing.T) {
	in := chain("in", &host.Base{Hook: "prerouting"})
	for port := range uint16(maxWays) {
		in.Rules = append(in.Rules, verdict(host.Match{Ports: host.PortsOf(1000+port, 1000+port)}, host.Jump, "a"))
	}
	in.Rules = append(in.Rules, verdict(host.Match{Ports: host.PortsOf(80, 80)}, host.Jump, "a"))
	a := chain("a", nil, verdict(host.Match{}, host.Jump, "b"))
	b := chain("b", nil, dnat(host.Match{Ports: host.PortsOf(80, 80)}))
	expectStates(t, states(t, table(in, a, b), Options{}), "b active inbound")
}

// A redirect that packets from outside reach is inbound, though all the ways
// that are kept come from this host.
func TestTheOneInboundWayAmongMany(t *testing.T) {
	out := chain("out", &host.Base{Hook: "output"})
	for port := range uint16(maxWays) {
		out.Rules = append(out.Rules, verdict(host.Match{Ports: host.PortsOf(1000+port, 1000+port)}, host.Jump, "a"))
	}
	in := chain("in", &host.Base{Hook: "prerouting"}, verdict(host.Match{}, host.Jump, "a"))
	a := chain("a", nil, verdict(host.Match{}, host.Jump, "b"))
	b := chain("b", nil, dnat(host.Match{}))
	expectStates(t, states(t, table(out, in, a, b), Options{}), "b active inbound")
}

func TestAGotoToAChainThatEndsEnds(t *testing.T) {
	pre := &host.Base{Hook: "prerouting"}
	v := chain("v", nil, verdict(host.Match{}, host.Accept, ""))
	u := chain("u", nil, verdict(host.Match{}, host.Goto, "v"), dnat(host.Match{}))
	in := chain("in", pre, verdict(host.Match{}, host.Jump, "u"), dnat(host.Match{}))
	expectStates(t, states(t, table(in, u, v), Options{}), "in inactive inbound", "u inactive inbound")

	some := chain("v", nil, verdict(host.Match{Conditions: []string{"mark 0x1"}}, host.Accept, ""))
	expectStates(t, states(t, table(in, u, some), Options{}), "in active inbound", "u inactive inbound")
}

// Rules of x_tables name the family of their table.
func TestTheFamilyOfTheTableRestrictsNothing(t *testing.T) {
	all := host.Match{Family: host.IP}
	v := chain("v", nil, verdict(all, host.Accept, ""))
	in := chain("in", &host.Base{Hook: "prerouting"}, verdict(all, host.Jump, "v"), dnat(all))
	expectStates(t, states(t, table(in, v), Options{}), "in inactive inbound")

	inet := table(in, v)
	inet.Family = host.Inet
	in.Rules[1] = dnat(host.Match{})
	expectStates(t, states(t, inet, Options{}), "in active inbound")
}

// A packet that the accept did not take may be changed to one that it takes.
func TestAnAcceptBeforeAChangeShadowsNothing(t *testing.T) {
	udp := host.Match{Protos: host.ProtosOf(host.UDP)}
	change := effect(host.Match{}, host.Effect{Kind: "rewrite", Source: true})
	change.Branches[0].Verdict = host.Continue
	in := chain("in", &host.Base{Hook: "prerouting"}, verdict(udp, host.Accept, ""), change, dnat(udp))
	expectStates(t, states(t, table(in), Options{}), "in active inbound", "in active inbound")
}

// What the kernel did not say of a socket is not taken for a no.
func TestASocketThatIsPartlyKnownMayBeTransparent(t *testing.T) {
	in := chain("in", &host.Base{Hook: "prerouting"}, effect(host.Match{}, tproxy(3129)))
	expectStates(t, states(t, table(in), Options{SocketsRead: true}, host.Listener{Port: 3129, Partial: true}), "in active inbound")
}

func TestAVerdictOnItsOwnPortShadows(t *testing.T) {
	web := host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(80, 80)}
	addr := host.Match{Address: host.AddrsOf(netip.MustParsePrefix("10.0.0.1/32"))}
	both := web
	both.Address = addr.Address
	other := host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(81, 81)}
	untracked := web
	untracked.Expect(host.Test{Field: host.FieldOriginal})
	for name, tt := range map[string]struct {
		first, second host.Match
		want          string
	}{
		"the same port":                 {web, web, "in inactive inbound"},
		"another port":                  {other, web, "in active inbound"},
		"the port of any address":       {web, both, "in inactive inbound"},
		"any port of the address":       {addr, both, "in inactive inbound"},
		"less than it takes":            {both, web, "in active inbound"},
		"only packets that are tracked": {untracked, web, "in active inbound"},
	} {
		t.Run(name, func(t *testing.T) {
			in := chain("in", &host.Base{Hook: "prerouting"}, verdict(tt.first, host.Return, ""), dnat(tt.second))
			expectStates(t, states(t, table(in), Options{}), tt.want)
		})
	}
}

// A redirect that is removed shadows nothing any more.
func TestARedirectShadowsNoOther(t *testing.T) {
	in := chain("in", &host.Base{Hook: "prerouting"}, dnat(host.Match{}), dnat(host.Match{}))
	expectStates(t, states(t, table(in), Options{}), "in active inbound", "in active inbound")

	u := chain("u", nil, dnat(host.Match{}))
	in = chain("in", &host.Base{Hook: "prerouting"}, verdict(host.Match{}, host.Jump, "u"), dnat(host.Match{}))
	expectStates(t, states(t, table(in, u), Options{}), "in active inbound", "u active inbound")
}

// The entries of an ipset change without a rule: that none fits now is no proof,
// least of all where packets add some.
func TestAnEntryThatFitsMayCome(t *testing.T) {
	scanner := host.Match{Source: host.AddrsOf(netip.MustParsePrefix("10.77.1.2/32"))}
	other := host.Match{Source: host.AddrsOf(netip.MustParsePrefix("192.0.2.1/32")), Lists: []string{"knock"}}
	pre := &host.Base{Hook: "prerouting"}
	both := scanner
	both.Narrow(&other)
	direct := chain("in", pre, dnat(both))
	expectStates(t, states(t, table(direct), Options{}), "in latent inbound")

	jump := table(chain("in", pre, verdict(other, host.Jump, "u")), chain("u", nil, dnat(scanner)))
	expectStates(t, states(t, jump, Options{}), "u latent inbound")

	jump.Filled = map[string]bool{"knock": true}
	expectStates(t, states(t, jump, Options{}), "u active inbound")
	rows := Redirects(&host.Space{Tables: []*host.Table{&jump}}, Options{})
	if rows[0].Source != "" {
		t.Errorf("the row speaks of sources %q, which no packet has", rows[0].Source)
	}
}

// A policy that allows a rule at one hook or device does not allow it at another.
func TestARowNamesAllHooksAndDevices(t *testing.T) {
	ways := func(bases ...*host.Base) *host.RuleRef {
		chains := []*host.Chain{chain("x", nil, dnat(host.Match{}))}
		for i, b := range bases {
			chains = append(chains, chain(fmt.Sprint("b", i), b, verdict(host.Match{}, host.Jump, "x")))
		}
		tt := table(chains...)
		return Redirects(&host.Space{Tables: []*host.Table{&tt}}, Options{})[0].Rule
	}
	r := ways(&host.Base{Hook: "output"}, &host.Base{Hook: "prerouting"})
	if !slices.Equal(r.Hooks, []string{"prerouting", "output"}) || r.Hook != "prerouting" {
		t.Errorf("hooks %q, first %s", r.Hooks, r.Hook)
	}
	r = ways(&host.Base{Hook: "ingress", Devices: []string{"h0"}}, &host.Base{Hook: "ingress", Devices: []string{"h1", "h0"}})
	if !slices.Equal(r.Devices, []string{"h0", "h1"}) {
		t.Errorf("devices %q", r.Devices)
	}
	r = ways(&host.Base{Hook: "ingress", Devices: []string{"h0"}}, &host.Base{Hook: "prerouting"})
	if r.Devices != nil {
		t.Errorf("devices %q, though one way has none", r.Devices)
	}
}

// A copy is information, unless the packet itself goes no further.
func TestACopyWhoseOriginalIsDroppedRedirects(t *testing.T) {
	web := host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(80, 80)}
	ssh := host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(22, 22)}
	tcp := host.Match{Protos: host.ProtosOf(host.TCP)}
	copies := func(v host.Verdict) *host.Rule {
		r := effect(web, host.Effect{Kind: "dup"})
		r.Branches[0].Verdict = v
		return r
	}
	for name, tt := range map[string]struct {
		rules []*host.Rule
		info  bool
	}{
		"goes on":                          {[]*host.Rule{copies(host.Continue)}, true},
		"is dropped by the rule":           {[]*host.Rule{copies(host.Drop)}, false},
		"is dropped by the next":           {[]*host.Rule{copies(host.Continue), verdict(web, host.Drop, "")}, false},
		"is dropped behind other verdicts": {[]*host.Rule{copies(host.Continue), verdict(ssh, host.Accept, ""), verdict(tcp, host.Drop, "")}, false},
		"may be accepted before":           {[]*host.Rule{copies(host.Continue), verdict(tcp, host.Accept, ""), verdict(web, host.Drop, "")}, true},
		"is dropped in part":               {[]*host.Rule{copies(host.Continue), verdict(host.Match{Conditions: []string{"limit"}}, host.Drop, "")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			tt.rules[0].Index = 1
			tbl := table(chain("in", &host.Base{Hook: "prerouting"}, tt.rules...))
			rows := Redirects(&host.Space{Tables: []*host.Table{&tbl}}, Options{})
			if len(rows) != 1 || rows[0].Info != tt.info {
				t.Errorf("%d rows, info %v (%q)", len(rows), rows[0].Info, rows[0].Why)
			}
		})
	}
}
