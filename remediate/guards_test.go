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

func TestTheCallersSessionIsNotCut(t *testing.T) {
	s := &Session{netip.MustParseAddrPort("198.51.100.7:50000"), netip.MustParseAddrPort("10.0.0.1:22")}
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
	} {
		if got := s.comesThrough(&c.row); got != c.want {
			t.Errorf("%+v: %v", c.row, got)
		}
	}
}

func TestAPlanThatCutsTheCallerIsRefused(t *testing.T) {
	for _, force := range [][]string{nil, {GuardSSH}} {
		nft, legacy, rows := web()
		rows[0].Proto, rows[0].Ports, rows[0].To = "tcp", "2222", []string{":22"}
		o := options(t)
		o.Session, o.Force = &Session{netip.MustParseAddrPort("198.51.100.7:50000"), netip.MustParseAddrPort("10.0.0.1:22")}, force
		r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
		if force == nil && (err == nil || r.ExitCode != exitRefused || nft.edits > 0 || !strings.Contains(err.Error(), "id-b")) {
			t.Errorf("%+v %v", r, err)
		}
		if force != nil && (err != nil || r.ExitCode != 0) {
			t.Errorf("%+v %v", r, err)
		}
	}
}
