package audit

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/policy"
)

// sets is a branch that marks packets for the ports.
func sets(mark uint32, ports host.Ports, effects ...host.Effect) host.Branch {
	return host.Branch{Match: host.Match{Protos: host.ProtosOf(host.TCP), Ports: ports}, Verdict: host.Continue, Effects: effects,
		Assigns: []host.Assign{{Field: host.FieldMark, Mask: ^uint32(0), Value: mark}}}
}

func mangle(branches ...host.Branch) fake {
	return fake{name: "nf_tables", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) {
		c := &host.Chain{Name: "PREROUTING", Base: &host.Base{Hook: "prerouting", Priority: -150, Type: "filter"}}
		for i, b := range branches {
			c.Rules = append(c.Rules, &host.Rule{Handle: uint64(i + 1), Index: i + 1, Writer: "nft", Branches: []host.Branch{b}})
		}
		s.AddTables(&host.Table{Backend: "nf_tables", Family: host.IP, Name: "mangle", Chains: []*host.Chain{c}})
	}}
}

// routed is a local default route in table 100, and what leads to it.
func routed(rules ...host.Selector) fake {
	return fake{name: "routes", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) {
		s.Deliveries = []host.Delivery{}
		if rules == nil {
			return
		}
		s.Deliveries = []host.Delivery{{Family: host.IP, Route: "local default dev lo table 100", Fingerprint: "f", Rules: rules}}
		s.AddRedirects(host.Redirect{Mechanism: "route", Kind: "local-route", State: host.Active, Direction: "inbound", Family: host.IP,
			Targets: []host.Target{{}}, Match: &host.Match{Family: host.IP}, Ref: &host.Ref{Backend: "rtnetlink", Fingerprint: "f"}})
	}}
}

func listening(transparent bool) fake {
	return fake{name: "sockets", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) {
		s.Addrs = []string{"192.0.2.1"}
		s.Listeners = []host.Listener{{Proto: "tcp", Address: "0.0.0.0", Port: 3129, Transparent: transparent,
			Processes: []host.Process{{PID: 5, Name: "proxy"}}}}
	}}
}

func rowOf(t *testing.T, r *Report, kind string) *host.Redirect {
	t.Helper()
	for i := range r.Redirects {
		if r.Redirects[i].Kind == kind {
			return &r.Redirects[i]
		}
	}
	t.Fatalf("no row of kind %s", kind)
	return nil
}

func TestTheTPROXYTrioIsOneRedirect(t *testing.T) {
	web := host.PortsOf(80, 80)
	tproxy := host.Effect{Kind: "tproxy", To: []host.Target{{PortLo: 3129, PortHi: 3129}}}
	byMark := host.Selector{Words: "100: from all fwmark 0x1 lookup 100", Marked: true, Mark: 1, Mask: ^uint32(0)}
	all := host.Selector{Words: "100: from 192.0.2.9 lookup 100"}
	held, bound, anyBound := sets(1, nil), sets(1, nil), sets(1, web)
	held.Match.Conditions = []string{"a local socket answers transparent"}
	bound.Match.Conditions = []string{"socket transparent 1", "socket wildcard 0"}
	anyBound.Match.Conditions = []string{"socket transparent 1"}
	open := sets(1, nil)
	open.Match.Conditions = []string{"socket transparent 1"}
	unknown := sets(0, nil)
	unknown.Assigns[0].Unknown = "it comes from a map"
	elsewhere := sets(1, web, tproxy)
	elsewhere.Match.Address = host.AddrsOf(netip.MustParsePrefix("198.51.100.0/24"))

	tests := map[string]struct {
		rules         []host.Branch
		lead          []host.Selector
		opaque        bool
		rule, route   string // states and verdicts of the two rows
		ruleWhy, line string // of the rule; "" is nothing to look for
	}{
		"all of it": {[]host.Branch{sets(1, web, tproxy)}, []host.Selector{byMark}, true,
			"active violation", "active info", "reached", "ip rule 100: from all fwmark 0x1 lookup 100"},
		"with the rule for sockets that it has": {[]host.Branch{held, sets(1, web, tproxy)}, []host.Selector{byMark}, true,
			"active violation", "active info", "", "a transparent socket takes them: 0.0.0.0:3129"},
		"with the rule for sockets that are bound": {[]host.Branch{bound, sets(1, web, tproxy)}, []host.Selector{byMark}, true,
			"active violation", "active info", "", ""},
		"with a rule for sockets on any address": {[]host.Branch{open, sets(1, web, tproxy)}, []host.Selector{byMark}, true,
			"active violation", "active violation", "", ""},
		"only a rule for sockets that it has":    {[]host.Branch{held}, []host.Selector{byMark}, true, "", "active info", "", ""},
		"only a rule for sockets on any address": {[]host.Branch{open}, []host.Selector{byMark}, true, "", "active violation", "", ""},
		"for another port than anybody's":        {[]host.Branch{anyBound}, []host.Selector{byMark}, true, "", "active info", "", ""},
		"nobody listens": {[]host.Branch{sets(1, web, tproxy)}, []host.Selector{byMark}, false,
			"inactive info", "inactive info", "no transparent socket", ""},
		"no route": {[]host.Branch{sets(1, web, tproxy)}, nil, true,
			"active violation", "", "own addresses only", ""},
		"no route, for others' addresses": {[]host.Branch{elsewhere}, nil, true,
			"inactive info", "", "no policy rule and local route", ""},
		"the route waits for another mark": {[]host.Branch{sets(2, web, tproxy)}, []host.Selector{byMark}, true,
			"active violation", "inactive info", "own addresses only", ""},
		"another rule sets the mark too": {[]host.Branch{sets(1, web, tproxy), sets(1, host.PortsOf(81, 81))}, []host.Selector{byMark}, true,
			"active violation", "active violation", "", "the rule sets mark 0x1"},
		"another rule may set it": {[]host.Branch{sets(1, web, tproxy), unknown}, []host.Selector{byMark}, true,
			"active violation", "active violation", "", ""},
		"the mark is set for fewer packets by another rule": {[]host.Branch{sets(1, web), {Match: host.Match{Protos: host.ProtosOf(host.TCP), Ports: web}, Effects: []host.Effect{tproxy}}},
			[]host.Selector{byMark}, true, "active violation", "active info", "", "mark 0x1 is set by ip mangle PREROUTING rule 1 (tcp, ports 80)"},
		"the rule is gone": {nil, []host.Selector{byMark}, true, "", "inactive info", "", ""},
		"only a mark":      {[]host.Branch{sets(1, web)}, []host.Selector{byMark}, true, "", "active violation", "", ""},
		"without any mark": {[]host.Branch{sets(1, web, tproxy)}, []host.Selector{byMark, all}, true,
			"active violation", "active violation", "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := run(t, mangle(tt.rules...), routed(tt.lead...), listening(tt.opaque))
			if tt.rule != "" {
				row := rowOf(t, r, "tproxy")
				if got := row.State + " " + row.Verdict; got != tt.rule {
					t.Errorf("the rule is %s, want %s", got, tt.rule)
				}
				if !strings.Contains(strings.Join(row.Why, "; "), tt.ruleWhy) {
					t.Errorf("why: %q, want %q", row.Why, tt.ruleWhy)
				}
				if tt.line != "" && !slices.Contains(row.Evidence, tt.line) {
					t.Errorf("evidence %q, want %q", row.Evidence, tt.line)
				}
			}
			if tt.route != "" {
				if row := rowOf(t, r, "local-route"); row.State+" "+row.Verdict != tt.route {
					t.Errorf("the route is %s %s (%q), want %s", row.State, row.Verdict, row.Why, tt.route)
				}
			}
		})
	}
}

func TestAProgramThatMayMarkKeepsTheRouteARedirect(t *testing.T) {
	byMark := host.Selector{Words: "100:", Marked: true, Mark: 1, Mask: 1}
	program := fake{name: "bpf", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) {
		s.AddRedirects(host.Redirect{Mechanism: "tc", Kind: "tc-bpf", State: host.Unknown, Direction: "inbound", Match: &host.Match{}})
	}}
	if row := rowOf(t, run(t, routed(byMark), program), "local-route"); row.State != host.Active || row.Info {
		t.Errorf("%s, info %v", row.State, row.Info)
	}
}

func TestATcActionThatMarksKeepsTheRouteARedirect(t *testing.T) {
	byMark := host.Selector{Words: "100:", Marked: true, Mark: 1, Mask: 1}
	action := fake{name: "tc", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) { s.NoteMarker("tc action skbedit on eth0") }}
	if row := rowOf(t, run(t, routed(byMark), action), "local-route"); row.State != host.Active || row.Info || !slices.Contains(row.Why, "tc action skbedit on eth0 may set the mark") {
		t.Errorf("%s, info %v, %q", row.State, row.Info, row.Why)
	}
}

// What was left out, or failed, may hold what sets the mark.
func TestWhatWasNotLookedAtMayMark(t *testing.T) {
	byMark := host.Selector{Words: "100:", Marked: true, Mark: 1, Mask: 1}
	failed := fake{name: "nf_tables", err: errors.New("no")}
	for name, r := range map[string]*Report{
		"failed":  run(t, routed(byMark), failed),
		"skipped": runWithout(t, []string{"x_tables"}, routed(byMark)),
	} {
		if row := rowOf(t, r, "local-route"); row.State != host.Active || row.Verdict != host.Violation {
			t.Errorf("%s: %s %s, %q", name, row.State, row.Verdict, row.Why)
		}
	}
}

func TestMarksAreFoundThroughConnections(t *testing.T) {
	bit := func(field, from host.Field, mask, value, fromMask uint32) host.Branch {
		return host.Branch{Assigns: []host.Assign{{Field: field, Mask: mask, Value: value, From: from, FromMask: fromMask}}}
	}
	restore := bit(host.FieldMark, host.FieldCTMark, ^uint32(0), 0, ^uint32(0))
	want := host.Selector{Marked: true, Mark: 4, Mask: 0xff}
	tests := map[string]struct {
		rules []host.Branch
		found int
	}{
		"restored, never given":        {[]host.Branch{restore}, 0},
		"restored as the rule gave it": {[]host.Branch{bit(host.FieldCTMark, 0, ^uint32(0), 4, 0), restore}, 1},
		"saved and restored":           {[]host.Branch{bit(host.FieldMark, 0, 4, 4, 0), bit(host.FieldCTMark, host.FieldMark, ^uint32(0), 0, ^uint32(0)), restore}, 2},
		"saved and restored, not set":  {[]host.Branch{bit(host.FieldCTMark, host.FieldMark, ^uint32(0), 0, ^uint32(0)), restore}, 0},
		"other bits":                   {[]host.Branch{bit(host.FieldMark, 0, 0x4000, 0x4000, 0)}, 0},
		"another whole mark":           {[]host.Branch{bit(host.FieldMark, 0, ^uint32(0), 5, 0)}, 0},
		"whole, and then a bit less":   {[]host.Branch{bit(host.FieldMark, 0, ^uint32(0), 5, 0), bit(host.FieldMark, 0, 1, 0, 0)}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			space := &host.Space{}
			mangle(tt.rules...).fill(space)
			s := story{space: space, cache: map[asked][]marker{}}
			s.markers, s.exact = markersOf(space)
			if got := s.setters(host.FieldMark, want); len(got) != tt.found {
				t.Errorf("found %d setters, want %d: %v", len(got), tt.found, got)
			}
		})
	}
}

func TestARuleNamesTheOneThatMarksForIt(t *testing.T) {
	to, _ := host.ParseTarget("10.9.9.9")
	nat := host.Branch{Effects: []host.Effect{{Kind: "dnat", To: []host.Target{to}}}}
	nat.Match.Expect(host.Test{Words: "mark 0x20", Field: host.FieldMark, Mask: ^uint32(0), Spans: []host.Span{{Lo: 0x20, Hi: 0x20}}})
	row := rowOf(t, run(t, mangle(sets(0x20, host.PortsOf(80, 80)), nat)), "dnat")
	if want := "mark 0x20 is set by ip mangle PREROUTING rule 1 (tcp, ports 80)"; !slices.Contains(row.Evidence, want) {
		t.Errorf("evidence %q, want %q", row.Evidence, want)
	}
}

func TestARuleNamesWhereItsRelayLeads(t *testing.T) {
	redirect := host.Branch{Match: host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(80, 80)}, Effects: []host.Effect{{Kind: "redirect", To: []host.Target{{PortLo: 3129, PortHi: 3129}}}}}
	relay := fake{name: "relays", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) {
		s.AddRedirects(host.Redirect{Mechanism: "relay", Kind: "proxy", State: host.Active, Direction: "inbound", To: []string{"10.0.0.9:1080"}, Info: true,
			Process: &host.Process{PID: 5, Name: "redsocks"}, Match: &host.Match{Ports: host.PortsOf(3129, 3129)}})
	}}
	r := run(t, mangle(redirect), listening(false), relay)
	rule, row := rowOf(t, r, "redirect"), rowOf(t, r, "proxy")
	if want := "redsocks (pid 5) passes on to 10.0.0.9:1080: see " + row.ID; !slices.Contains(rule.Evidence, want) {
		t.Errorf("evidence %q, want %q", rule.Evidence, want)
	}
	if want := "a rule hands packets to it: see " + rule.ID; !slices.Contains(row.Evidence, want) {
		t.Errorf("evidence %q, want %q", row.Evidence, want)
	}
}

func TestASecondHopNamesTheFirst(t *testing.T) {
	dnat := func(match host.Match, to string) host.Branch {
		target, _ := host.ParseTarget(to)
		return host.Branch{Match: match, Effects: []host.Effect{{Kind: "dnat", To: []host.Target{target}}}}
	}
	web := host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(80, 80)}
	inner := host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(8080, 8080)}
	source := fake{name: "nf_tables", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) {
		if s.Netns == "" {
			mangle(dnat(web, "172.17.0.2:8080")).fill(s)
			return
		}
		s.Addrs = []string{"127.0.0.1", "172.17.0.2"}
		mangle(dnat(inner, "10.9.9.9:80"), dnat(web, "10.9.9.8:80")).fill(s)
	}}
	inside := here()
	inside.Label = "box"
	r, err := Run(t.Context(), Input{Spaces: []Space{here(), inside}, Sources: []Source{source}}, policy.Builtin(), today)
	if err != nil || len(r.Redirects) != 3 {
		t.Fatalf("%d rows, %v", len(r.Redirects), err)
	}
	want := "dnat in the namespace in which natwarden was started sends 172.17.0.2:8080 here: see " + r.Redirects[0].ID
	for i, row := range r.Redirects {
		if got := slices.Contains(row.Evidence, want); got != (row.Netns == "box" && row.Ports == "8080") {
			t.Errorf("row %d (%s, ports %s): evidence %q", i, row.Netns, row.Ports, row.Evidence)
		}
	}
}

func TestEqualRowsOfTwoNamespacesAreNamedByTheirOwnIDs(t *testing.T) {
	redirect := host.Branch{Match: host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(80, 80)}, Effects: []host.Effect{{Kind: "redirect", To: []host.Target{{PortLo: 3129, PortHi: 3129}}}}}
	source := fake{name: "nf_tables", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) {
		mangle(redirect).fill(s)
		listening(false).fill(s)
		s.AddRedirects(host.Redirect{Mechanism: "relay", Kind: "proxy", State: host.Active, Direction: "inbound",
			Process: &host.Process{PID: 5, Name: "redsocks"}, Match: &host.Match{Ports: host.PortsOf(3129, 3129)}})
	}}
	one, two := here(), here()
	one.Label, two.Label = "pid:1", "pid:2"
	r, err := Run(t.Context(), Input{Spaces: []Space{one, two}, Sources: []Source{source}}, policy.Builtin(), today)
	if err != nil || len(r.Redirects) != 4 {
		t.Fatalf("%d rows, %v", len(r.Redirects), err)
	}
	seen := map[string]bool{}
	for i := 0; i < 4; i += 2 {
		rule, relay := r.Redirects[i], r.Redirects[i+1]
		if seen[rule.ID] || seen[relay.ID] {
			t.Errorf("an id stands twice: %s, %s", rule.ID, relay.ID)
		}
		seen[rule.ID], seen[relay.ID] = true, true
		if want := "a rule hands packets to it: see " + rule.ID; !slices.Contains(relay.Evidence, want) {
			t.Errorf("evidence %q, want %q", relay.Evidence, want)
		}
		if !slices.ContainsFunc(r.Ports, func(p PortRow) bool { return slices.Contains(p.Redirects, rule.ID) }) {
			t.Errorf("no port names %s: %v", rule.ID, r.Ports)
		}
	}
}

func TestOnlyAProvenManagerIsInformation(t *testing.T) {
	loopback := host.AddrsOf(netip.MustParsePrefix("127.0.0.11/32"))
	dns := host.Match{Protos: host.ProtosOf(host.UDP), Ports: host.PortsOf(53, 53), Address: loopback}
	dockerd := host.Process{PID: 9, Name: "dockerd", Exe: "/usr/bin/dockerd", HostExe: true, User: "root"}
	impostor, user, inside := dockerd, dockerd, dockerd
	impostor.HostExe, user.User, inside.Netns = false, "mallory", "box"
	envoy := host.Process{PID: 8, Name: "envoy", Exe: "/usr/local/bin/envoy", Netns: "box", Container: "0123456789ab"}
	plain := envoy
	plain.Container = ""
	mesh := host.Match{Protos: host.ProtosOf(host.TCP)}
	at := func(a string, port uint16, uid uint32, p ...host.Process) host.Listener {
		return host.Listener{Proto: "udp", Address: a, Port: port, UID: uid, Processes: p}
	}
	tests := map[string]struct {
		netns, chain, to string
		match            host.Match
		listener         host.Listener
		verdict          string
	}{
		"Docker's DNS":                     {"box", "DOCKER_OUTPUT", "127.0.0.11:4000", dns, at("127.0.0.11", 4000, 0, dockerd), host.Info},
		"not in a container":               {"", "DOCKER_OUTPUT", "127.0.0.11:4000", dns, at("127.0.0.11", 4000, 0, dockerd), host.Violation},
		"nobody listens":                   {"box", "DOCKER_OUTPUT", "127.0.0.11:4001", dns, at("127.0.0.11", 4000, 0, dockerd), host.Violation},
		"not the host's dockerd":           {"box", "DOCKER_OUTPUT", "127.0.0.11:4000", dns, at("127.0.0.11", 4000, 0, impostor), host.Violation},
		"a user's dockerd":                 {"box", "DOCKER_OUTPUT", "127.0.0.11:4000", dns, at("127.0.0.11", 4000, 0, user), host.Violation},
		"a dockerd in there":               {"box", "DOCKER_OUTPUT", "127.0.0.11:4000", dns, at("127.0.0.11", 4000, 0, inside), host.Violation},
		"shared with another":              {"box", "DOCKER_OUTPUT", "127.0.0.11:4000", dns, at("127.0.0.11", 4000, 0, dockerd, envoy), host.Violation},
		"for any address":                  {"box", "DOCKER_OUTPUT", "127.0.0.11:4000", host.Match{Protos: dns.Protos}, at("127.0.0.11", 4000, 0, dockerd), host.Violation},
		"to another address":               {"box", "DOCKER_OUTPUT", "172.17.0.2:4000", dns, at("0.0.0.0", 4000, 0, dockerd), host.Violation},
		"a mesh's sidecar":                 {"box", "ISTIO_IN_REDIRECT", ":15006", mesh, at("0.0.0.0", 15006, 1337, envoy), host.Info},
		"a sidecar as another user":        {"box", "ISTIO_IN_REDIRECT", ":15006", mesh, at("0.0.0.0", 15006, 0, envoy), host.Violation},
		"a sidecar without a container":    {"box", "ISTIO_IN_REDIRECT", ":15006", mesh, at("0.0.0.0", 15006, 1337, plain), host.Violation},
		"a sidecar at another port":        {"box", "ISTIO_IN_REDIRECT", ":15000", mesh, at("0.0.0.0", 15000, 1337, envoy), host.Violation},
		"a chain of another name":          {"box", "MINE", ":15006", mesh, at("0.0.0.0", 15006, 1337, envoy), host.Violation},
		"a sidecar of the host's own rule": {"", "ISTIO_IN_REDIRECT", ":15006", mesh, at("0.0.0.0", 15006, 1337, envoy), host.Violation},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			target, err := host.ParseTarget(tt.to)
			if err != nil {
				t.Fatal(err)
			}
			source := fake{name: "nf_tables", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) {
				mangle(host.Branch{Match: tt.match, Effects: []host.Effect{{Kind: "dnat", To: []host.Target{target}}}}).fill(s)
				s.Tables[0].Chains[0].Name = tt.chain
				tt.listener.Proto = host.ProtosString(tt.match.Protos)
				s.Listeners = []host.Listener{tt.listener}
				s.Addrs = []string{"172.17.0.2"}
			}}
			space := here()
			space.Label = tt.netns
			r, err := Run(t.Context(), Input{Spaces: []Space{space}, Sources: []Source{source}}, policy.Builtin(), today)
			if err != nil {
				t.Fatal(err)
			}
			if row := rowOf(t, r, "dnat"); row.Verdict != tt.verdict {
				t.Errorf("verdict %s, want %s; evidence %q", row.Verdict, tt.verdict, row.Evidence)
			}
		})
	}
}
