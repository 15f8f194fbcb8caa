package xtables_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
)

// brief writes a rule in short: what it takes, what becomes of it, and whether
// it has text and fingerprint.
func brief(r *host.Rule) string {
	var b strings.Builder
	for i, br := range r.Branches {
		if i > 0 {
			b.WriteString(" | ")
		}
		m := br.Match
		fmt.Fprintf(&b, "%s %s dst=%s:%s src=%s in=%s out=%s", m.Family, host.ProtosString(m.Protos), host.AddrsString(m.Address),
			host.PortsString(m.Ports), host.AddrsString(m.Source), m.In, m.Out)
		if len(m.Conditions) > 0 {
			fmt.Fprintf(&b, " if %v", m.Conditions)
		}
		if m.Dead+m.Waiting != "" || m.Impossible() {
			fmt.Fprintf(&b, " dead")
		}
		fmt.Fprintf(&b, " -> %d %s", br.Verdict, br.Chain)
		for _, e := range br.Effects {
			fmt.Fprintf(&b, " %s%v%s", e.Kind, e.To, e.Unknown)
		}
	}
	if r.Text != "" && r.Fingerprint != "" {
		b.WriteString(" (text)")
	}
	return b.String()
}

func TestDecode(t *testing.T) {
	tables, blind := xtables.Decode(read(t, withRules(t)), xt.Env{Now: time.Now()})
	if len(blind) > 0 {
		t.Errorf("blind: %v", blind)
	}
	got := map[string][]string{}
	for _, table := range tables {
		for _, c := range table.Chains {
			key := fmt.Sprintf("%s %s %s", table.Family, table.Name, c.Name)
			if c.Base != nil {
				key += fmt.Sprintf(" %s %d %s %s", c.Base.Hook, c.Base.Priority, c.Base.Type, c.Base.Policy)
			}
			for _, r := range c.Rules {
				got[key] = append(got[key], brief(r))
			}
		}
	}
	for key, want := range map[string][]string{
		"ip nat PREROUTING prerouting -100 nat accept": {
			"ip tcp dst=10.77.1.1:80 src= in=h0 out= -> 1  dnat[10.77.2.2:8080] (text)",
			"ip udp dst=:53 src=!10.0.0.0/8 in=not eth* out= if [-d 10.0.0.3/255.0.255.255] -> 1  redirect[:5353] (text)",
			"ip any dst=:any src= in= out= if [dst-type LOCAL] -> 4 WEB",
			"ip any dst=:any src= in= out= -> 5 EMPTY",
			"ip any dst=:any src=192.0.2.1 in= out= -> 0 ",
		},
		"ip nat WEB": {
			"ip tcp dst=:443,8443,9000-9005 src= in= out= -> 1  dnat[10.77.2.2-10.77.2.5] (text)",
			"ip any dst=:any src= in= out= -> 3 ",
		},
		"ip filter INPUT input 0 filter drop": {
			"ip any dst=:any src= in= out= if [-f] -> 1 ",
			"ip !tcp dst=:any src= in= out= -> 2 ",
		},
		"ip6 nat PREROUTING prerouting -100 nat accept": {
			"ip6 tcp dst=2001:db8::1:80 src= in= out= -> 1  dnat[[2001:db8::2]:8080] (text)",
			"ip6 udp dst=:53 src=!2001:db8::/32 in=lo out= -> 1  redirect[:5353] (text)",
		},
	} {
		if !reflect.DeepEqual(got[key], want) {
			t.Errorf("%s is\n%s\nwant\n%s", key, strings.Join(got[key], "\n"), strings.Join(want, "\n"))
		}
	}
}

// big is a namespace with n rules in one chain, the shape of a large host.
func big(t testing.TB, n int) labtest.Space {
	s := labtest.New(t, "iptables-legacy-restore")
	var b strings.Builder
	b.WriteString("*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n")
	for i := range n {
		fmt.Fprintf(&b, "-A PREROUTING -d 10.%d.%d.1/32 -p tcp -m tcp --dport %d -m comment --comment rule%d -j DNAT --to-destination 10.77.2.2:8080\n",
			i>>8&255, i&255, i%60000+1, i)
	}
	b.WriteString("COMMIT\n*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n")
	for i := range n {
		fmt.Fprintf(&b, "-A INPUT -s 10.%d.%d.1/32 -p tcp -m tcp --dport %d -j ACCEPT\n", i>>8&255, i&255, i%60000+1)
	}
	b.WriteString("COMMIT\n")
	s.MustRun(t, b.String(), "iptables-legacy-restore")
	return s
}

func BenchmarkReadAndDecode100000(b *testing.B) {
	s := big(b, 50000)
	for b.Loop() {
		var d *xtables.Dump
		s.MustDo(b, func(ctx context.Context) (err error) {
			d, err = xtables.Read(ctx)
			return err
		})
		xtables.Decode(d, xt.Env{})
	}
}
