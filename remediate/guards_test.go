package remediate

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

func TestTheLimitOfThePolicyHolds(t *testing.T) {
	for _, c := range []struct {
		most   int
		force  []string
		refuse bool
	}{{2, nil, true}, {0, nil, true}, {3, nil, false}, {2, []string{GuardLimit}, false}, {2, []string{GuardSSH}, true}} {
		nft, legacy, rows := web()
		o := options(t)
		o.RemoveAtMost, o.Force = &c.most, c.force
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
		if refused := err != nil && r.ExitCode == exitRefused && strings.Contains(err.Error(), "--force limit") && nft.edits == 0; refused != c.refuse {
			t.Errorf("%+v: %+v %v", c, r, err)
		}
	}
}

func TestADryRunSaysWhatWouldBeRefused(t *testing.T) {
	nft, legacy, rows := web()
	o, none := options(t), 0
	o.RemoveAtMost, o.DryRun = &none, true
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	if err != nil || r.ExitCode != exitViolations || len(r.Guards) != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func ssh(client, server string) host.Line {
	return host.Line{Guard: GuardSSH, Words: "your ssh session", Proto: "tcp", Here: netip.MustParseAddrPort(server), There: netip.MustParseAddrPort(client)}
}

func TestTheCallersSessionIsNotCut(t *testing.T) {
	s := ssh("198.51.100.7:50000", "10.0.0.1:22")
	for _, c := range []struct {
		row  host.Redirect
		want bool
	}{
		{host.Redirect{Proto: "tcp", Ports: "2222", To: []string{":22"}}, true},
		{host.Redirect{Proto: "tcp", Ports: "2222", To: []string{"10.0.0.1:22"}}, true},
		{host.Redirect{Proto: "tcp", Ports: "2222", To: []string{"10.0.0.9:80", "10.0.0.1:22"}}, true},
		{host.Redirect{Proto: "tcp", Ports: "2222", To: []string{":20-30"}}, true},
		{host.Redirect{Proto: "tcp", Ports: "20-30", To: []string{"10.9.9.9:2222"}}, true},
		{host.Redirect{Proto: "any", Ports: "any", To: []string{":*"}}, true},
		{host.Redirect{Proto: "tcp", Ports: "22", Address: "10.0.0.0/24", To: []string{":2222"}}, true},
		{host.Redirect{Proto: "tcp", Ports: "22", Address: "what is this", To: []string{":2222"}}, true},
		{host.Redirect{Proto: "tcp", Ports: "and this", To: []string{":2222"}}, true},
		{host.Redirect{Proto: "tcp", Ports: "22", Address: "10.0.1.0/24", To: []string{":2222"}}, false},
		{host.Redirect{Proto: "tcp", Ports: "!22", To: []string{"10.9.9.9:22"}}, false},
		{host.Redirect{Proto: "tcp", Ports: "80", To: []string{"10.0.0.1:8080"}}, false},
		{host.Redirect{Proto: "tcp", Ports: "80", To: []string{"[2001:db8::1]:22", "unix:/run/x:22", "dev:eth0"}}, false},
		{host.Redirect{Proto: "udp", Ports: "22", To: []string{":22"}}, false},
		{host.Redirect{Proto: "tcp", Ports: "22", Direction: "outbound", To: []string{":22"}}, false},
		{host.Redirect{Mechanism: "route", Proto: "any", Ports: "any", Address: "10.0.0.0/24"}, true},
		{host.Redirect{Mechanism: "route", Proto: "any", Ports: "any", Address: "198.51.100.0/24", Source: "10.0.0.1"}, true},
		{host.Redirect{Mechanism: "route", Proto: "any", Ports: "any", Address: "198.51.100.0/24", Source: "10.0.0.2"}, false},
		{host.Redirect{Mechanism: "route", Proto: "any", Ports: "any", Address: "203.0.113.0/24"}, false},
		{host.Redirect{Mechanism: "route", Proto: "tcp", Ports: "80"}, false},
		{host.Redirect{Mechanism: "route", Proto: "any", Ports: "any", Conditions: []string{"mark 0x1"}}, true},
		{host.Redirect{Mechanism: "neighbour", Proto: "any", Ports: "any", Address: "10.0.0.0/24"}, true},
		{host.Redirect{Mechanism: "bpf", Proto: "any", Ports: "any", Direction: "inbound"}, true},
		{host.Redirect{Mechanism: "bpf", Proto: "any", Ports: "any", Direction: "outbound"}, false},
		{host.Redirect{Mechanism: "tc", Proto: "tcp", Ports: "80", Direction: "inbound"}, false},
	} {
		if got := mayCarry(&s, &c.row, host.Way{Seen: true, Asked: s.Here}); got != c.want {
			t.Errorf("%+v: %v", c.row, got)
		}
	}
	placed, marked := s, host.Redirect{Mechanism: "route", Proto: "any", Ports: "any", Conditions: []string{"mark 0x1"}}
	placed.Placed = true
	if mayCarry(&placed, &host.Redirect{Mechanism: "neighbour", Proto: "any", Ports: "any"}, host.Way{Asked: s.Here}) {
		t.Error("a host answers for its own address without a proxy")
	}
	if mayCarry(&s, &marked, host.Way{Asked: s.Here, Certain: true, Unmarked: true}) {
		t.Error("what nothing marks follows no rule for a mark")
	}
}

func TestWhatTheHostOpenedGoesOut(t *testing.T) {
	l := host.Line{Guard: GuardRemote, Proto: "tcp", Dialed: true, Here: netip.MustParseAddrPort("10.0.0.1:40000"), There: netip.MustParseAddrPort("192.0.2.5:8140")}
	for _, c := range []struct {
		row  host.Redirect
		want bool
	}{
		{host.Redirect{Proto: "tcp", Ports: "8140", Direction: "outbound"}, true},
		{host.Redirect{Proto: "tcp", Ports: "8140", Direction: "outbound", Address: "192.0.2.6"}, false},
		{host.Redirect{Proto: "tcp", Ports: "8140", Direction: "inbound"}, false},
		{host.Redirect{Mechanism: "route", Proto: "any", Ports: "any", Address: "192.0.2.0/24"}, true},
	} {
		if got := mayCarry(&l, &c.row, host.Way{Seen: true, Asked: l.There}); got != c.want {
			t.Errorf("%+v: %v", c.row, got)
		}
	}
}

func TestAPlanThatCutsTheCallerIsRefused(t *testing.T) {
	for _, force := range [][]string{nil, {GuardSSH}} {
		nft, legacy, rows := web()
		rows[0].Proto, rows[0].Ports, rows[0].To = "tcp", "2222", []string{":22"}
		o := options(t)
		o.Lines, o.Force = []host.Line{ssh("198.51.100.7:50000", "10.0.0.1:22")}, force
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
		if force == nil && (err == nil || r.ExitCode != exitRefused || nft.edits > 0 || !strings.Contains(err.Error(), "id-b") || len(r.Guards) != 1) {
			t.Errorf("%+v %v", r, err)
		}
		if force != nil && (err != nil || r.ExitCode != 0) {
			t.Errorf("%+v %v", r, err)
		}
	}
}

// The walk decides where it is certain: both against the extent of the rule.
func TestTheWalkDecides(t *testing.T) {
	for _, c := range []struct {
		name   string
		ports  string
		way    host.Way
		refuse string
	}{
		{"the rule's port, and nothing changes", "22", host.Way{Seen: true, Certain: true, Before: "sshd", After: "sshd"}, ""},
		{"another port, and all changes", "80", host.Way{Seen: true, Certain: true, Before: "sshd", After: "nobody (refused)"}, "sshd now, and after the change by nobody"},
		{"not certain, the rule's port", "22", host.Way{Seen: true, Before: "sshd", After: "sshd"}, "may come through"},
		{"not there", "22", host.Way{}, ""},
	} {
		nft, legacy, rows := web()
		rows[0].Mechanism, rows[0].Proto, rows[0].Ports, rows[0].To = "rule", "tcp", c.ports, []string{":8080"}
		o := options(t)
		o.Lines = []host.Line{ssh("198.51.100.7:50000", "10.0.0.1:22")}
		o.Follow = func(_ context.Context, _ string, l *host.Line, gone []host.Ref) (host.Way, error) {
			if len(gone) == 0 {
				t.Error("the walk is not told what goes")
			}
			c.way.Asked = l.Here
			return c.way, nil
		}
		_, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
		if c.refuse == "" && err != nil || c.refuse != "" && (err == nil || !strings.Contains(err.Error(), c.refuse)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestWhatTheCallerHangsOnIsNotStopped(t *testing.T) {
	line := host.Line{Words: "your session", Processes: []host.Process{{PID: 41, Name: "sslh", Unit: "sslh.service"}, {PID: 42, Name: "sshd", Container: "0123456789ab"}}}
	for _, c := range []struct {
		kind, key, value string
		want             bool
	}{
		{"unit", "units", "sslh.service sslh.socket", true},
		{"unit", "units", "sslh2.service", false},
		{"container", "container", "0123456789abcdef", true},
		{"container", "container", "1123456789abcdef", false},
		{"process", "processes", "7 100 /x\n41 100 /usr/sbin/sslh", true},
		{"process", "processes", "411 100 /usr/sbin/sslh", false},
	} {
		value := strings.ReplaceAll(c.value, "\\n", "\n")
		s := change.Step{Action: change.Stop, Before: &change.Object{Kind: c.kind, Names: map[string]string{c.key: value}}}
		if got := stops(&s, &line); (got != "") != c.want {
			t.Errorf("%+v: %q", c, got)
		}
		s.Action = change.Delete
		if got := stops(&s, &line); got != "" {
			t.Errorf("%+v: nothing is stopped: %q", c, got)
		}
	}
}

func TestTheSessionsOwnFlowIsNotCut(t *testing.T) {
	in := ssh("198.51.100.7:50000", "10.0.0.1:22")
	out := host.Line{Proto: "tcp", Dialed: true, Here: netip.MustParseAddrPort("[2001:db8::1]:40000"), There: netip.MustParseAddrPort("[2001:db8::5]:8140")}
	for _, c := range []struct {
		text    string
		in, out bool
	}{
		{"tcp 198.51.100.7:50000 -> 10.0.0.1:2222 (answered by 10.0.0.1:22)", true, false},
		{"tcp 198.51.100.7:50001 -> 10.0.0.1:2222 (answered by 10.0.0.1:22)", false, false},
		{"udp 198.51.100.7:50000 -> 10.0.0.1:2222 (answered by 10.0.0.1:22)", false, false},
		{"tcp [2001:db8::1]:40000 -> [2001:db8::5]:8140 (answered by [2001:db8::9]:8140)", false, true},
	} {
		s := change.Step{Action: change.Cut, Before: &change.Object{Kind: "flow", Text: c.text}}
		if isFlowOf(&s, &in) != c.in || isFlowOf(&s, &out) != c.out {
			t.Errorf("%s: %v %v", c.text, isFlowOf(&s, &in), isFlowOf(&s, &out))
		}
	}
}
