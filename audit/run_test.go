package audit

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/policy"
)

var today = time.Date(2026, 11, 23, 5, 20, 0, 0, time.UTC)

// fake is a source that says what the test tells it to.
type fake struct {
	name    string
	reading host.Reading
	err     error
	fill    func(*host.Space)
}

func (f fake) Name() string  { return f.name }
func (f fake) Group() string { return f.name }
func (f fake) Read(_ context.Context, into *host.Space) (host.Reading, error) {
	if f.fill != nil {
		f.fill(into)
	}
	return f.reading, f.err
}

func here() Space {
	return Space{Enter: func(ctx context.Context, work func(context.Context) error) error { return work(ctx) }}
}

func run(t *testing.T, sources ...Source) *Report {
	t.Helper()
	return runWithout(t, nil, sources...)
}

// runWithout leaves the sources of these names out, as --sources does.
func runWithout(t *testing.T, skipped []string, sources ...Source) *Report {
	t.Helper()
	r, err := Run(t.Context(), Input{Spaces: []Space{here()}, Sources: sources, Skipped: skipped}, policy.Builtin(), today)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func rulesWith(e host.Effect) fake {
	return fake{name: "nf_tables", reading: host.Reading{State: host.Read, Objects: 1}, fill: func(s *host.Space) {
		s.AddTables(&host.Table{Backend: "nf_tables", Family: host.IP, Name: "nat", Chains: []*host.Chain{{Name: "PREROUTING",
			Base:  &host.Base{Hook: "prerouting", Priority: -100, Type: "nat"},
			Rules: []*host.Rule{{Handle: 7, Index: 1, Writer: "nft", Text: "x", Branches: []host.Branch{{Match: host.Match{Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(80, 80)}, Verdict: host.Accept, Effects: []host.Effect{e}}}}}}}})
	}}
}

func TestVerdicts(t *testing.T) {
	to, _ := host.ParseTarget("10.77.2.2:8080")
	dnat := host.Effect{Kind: "dnat", To: []host.Target{to}}
	blind := host.Blind{Source: "nf_tables", What: "ip nat PREROUTING rule 3", Why: `expression "foo" is unknown`}
	tests := map[string]struct {
		sources []Source
		status  string
		code    int
		blind   int
	}{
		"an empty host":            {[]Source{fake{name: "nf_tables", reading: host.Reading{State: host.Read}}}, Compliant, 0, 0},
		"a subsystem that is gone": {[]Source{fake{name: "nf_tables", reading: host.Reading{State: host.Absent}}}, Compliant, 0, 0},
		"a redirect":               {[]Source{rulesWith(dnat)}, Violations, 2, 0},
		"a source that failed":     {[]Source{fake{name: "nf_tables", err: errors.New("torn")}}, Incomplete, 3, 1},
		"something blind":          {[]Source{fake{name: "nf_tables", reading: host.Reading{State: host.Read, Blind: []host.Blind{blind}}}}, Incomplete, 3, 1},
		"a redirect and a failure": {[]Source{rulesWith(dnat), fake{name: "sockets", err: errors.New("torn")}}, Violations, 2, 1},
		"source NAT":               {[]Source{rulesWith(host.Effect{Kind: "masquerade", Source: true})}, Compliant, 0, 0},
		"one that may redirect":    {[]Source{rulesWith(host.Effect{Kind: "dnat", Unknown: "expression foo"})}, Violations, 2, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := run(t, tt.sources...)
			if r.Status != tt.status || r.ExitCode != tt.code || len(r.Blind) != tt.blind {
				t.Errorf("got %s, exit %d, blind %v", r.Status, r.ExitCode, r.Blind)
			}
		})
	}
}

func TestASpaceThatCannotBeEnteredIsBlind(t *testing.T) {
	shut := Space{Label: "web", Enter: func(context.Context, func(context.Context) error) error { return errors.New("not permitted") }}
	r, err := Run(t.Context(), Input{Spaces: []Space{shut}, Sources: []Source{fake{name: "nf_tables", reading: host.Reading{State: host.Read}}}}, policy.Builtin(), today)
	if err != nil {
		t.Fatal(err)
	}
	if r.ExitCode != ExitIncomplete || len(r.Blind) != 1 || r.Blind[0].What != "everything in network namespace web" {
		t.Errorf("exit %d, blind %v", r.ExitCode, r.Blind)
	}
}

func TestACancelledAuditIsNoReport(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if r, err := Run(ctx, Input{Spaces: []Space{here()}}, policy.Builtin(), today); err == nil {
		t.Errorf("got a report with status %s", r.Status)
	}
}

func TestPorts(t *testing.T) {
	to, _ := host.ParseTarget("10.77.2.2:8080")
	sockets := fake{name: "sockets", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) {
		s.Listeners = []host.Listener{
			{Proto: "tcp", Address: "::", Port: 80, DualStack: true},
			{Proto: "tcp", Address: "127.0.0.1", Port: 80},
			{Proto: "tcp", Address: "0.0.0.0", Port: 22},
		}
	}}
	r := run(t, rulesWith(host.Effect{Kind: "dnat", To: []host.Target{to}}), sockets)
	var got []string
	for _, p := range r.Ports {
		got = append(got, p.Proto+" "+string(p.Family)+" "+p.Address+":"+p.Ports+" "+p.AnsweredBy[0])
	}
	want := []string{"tcp ip :80 10.77.2.2:8080", "tcp ip6 :80 [::]:80", "tcp ip 127.0.0.1:80 127.0.0.1:80", "tcp ip :22 0.0.0.0:22"}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("row %d: got %q, want %q", i, got[i], want[i])
		}
	}
}

func TestARedirectToThisHostNamesItsListener(t *testing.T) {
	sockets := fake{name: "sockets", reading: host.Reading{State: host.Read}, fill: func(s *host.Space) {
		s.Listeners = []host.Listener{{Proto: "tcp", Address: "0.0.0.0", Port: 3128, Processes: []host.Process{{PID: 4, Name: "squid"}}}}
	}}
	r := run(t, rulesWith(host.Effect{Kind: "redirect", To: []host.Target{{PortLo: 3128, PortHi: 3128}}}), sockets)
	if p := r.Redirects[0].Process; p == nil || p.Name != "squid" {
		t.Errorf("process %+v", p)
	}
}
