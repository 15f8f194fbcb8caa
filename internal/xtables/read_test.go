package xtables_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
)

// read reads the tables of a space.
func read(t testing.TB, s labtest.Space) *xtables.Dump {
	t.Helper()
	var d *xtables.Dump
	s.MustDo(t, func(ctx context.Context) (err error) {
		d, err = xtables.Read(ctx)
		return err
	})
	return d
}

const rules4 = `*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
[0:0] -A PREROUTING -p tcp -m tcp --dport 80 -j TPROXY --on-port 50080 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1
[3:180] -A FORWARD -o ppp+ -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
COMMIT
*nat
:PREROUTING ACCEPT [7:420]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:EMPTY - [0:0]
:WEB - [0:0]
[5:300] -A PREROUTING -d 10.77.1.1/32 -i h0 -p tcp -m tcp --dport 80 -m comment --comment "to the \"web\" server" -j DNAT --to-destination 10.77.2.2:8080
[0:0] -A PREROUTING ! -s 10.0.0.0/8 -d 10.1.0.3/255.0.255.255 ! -i eth+ -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353
[0:0] -A PREROUTING -m addrtype --dst-type LOCAL -j WEB
[0:0] -A PREROUTING -g EMPTY
[0:0] -A PREROUTING -s 192.0.2.1/32
[0:0] -A POSTROUTING -o eth0 -j MASQUERADE
[0:0] -A WEB -p tcp -m multiport --dports 443,8443,9000:9005 -j DNAT --to-destination 10.77.2.2-10.77.2.5
[0:0] -A WEB -j RETURN
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
[0:0] -A INPUT -f -j ACCEPT
[0:0] -A INPUT ! -p tcp -j DROP
COMMIT
`

const rules6 = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
[0:0] -A PREROUTING -d 2001:db8::1/128 -p tcp -m tcp --dport 80 -j DNAT --to-destination [2001:db8::2]:8080
[0:0] -A PREROUTING ! -s 2001:db8::/32 -i lo -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353
COMMIT
`

// withRules is a space with both rule sets.
func withRules(t testing.TB) labtest.Space {
	s := labtest.New(t, "iptables-legacy-restore", "ip6tables-legacy-restore")
	s.MustRun(t, rules4, "iptables-legacy-restore", "-c")
	s.MustRun(t, rules6, "ip6tables-legacy-restore", "-c")
	return s
}

// uncommented drops the comments and sorts whole tables by name.
func uncommented(text string) string {
	var tables []string
	open := ""
	for line := range strings.Lines(text) {
		if line[0] == '#' {
			continue
		}
		open += line
		if line == "COMMIT\n" {
			tables, open = append(tables, open), ""
		}
	}
	slices.Sort(tables)
	return strings.Join(tables, "") + open
}

func TestTextIsWhatIptablesSaves(t *testing.T) {
	s := withRules(t)
	d := read(t, s)
	for family, program := range map[host.Family]string{host.IP: "iptables-legacy-save", host.IP6: "ip6tables-legacy-save"} {
		want := uncommented(s.MustRun(t, "", program, "-c"))
		if got := uncommented(xtables.FamilyText(d, family, xt.Env{})); got != want {
			t.Errorf("%s: natwarden writes\n%s\n%s writes\n%s", family, got, program, want)
		}
	}
	if len(d.Blind) != 0 {
		t.Errorf("blind: %v", d.Blind)
	}
}

// Reading a table that does not exist creates it; so must nothing be asked.
func TestReadingCreatesNoTable(t *testing.T) {
	s := labtest.New(t, "iptables-legacy")
	d := read(t, s)
	if len(d.Tables) != 0 {
		t.Errorf("a clean namespace has %d tables", len(d.Tables))
	}
	for _, file := range []string{"ip_tables_names", "ip6_tables_names", "arp_tables_names"} {
		s.MustDo(t, func(context.Context) error {
			text, err := os.ReadFile("/proc/thread-self/net/" + file)
			if len(text) != 0 {
				t.Errorf("after reading, %s lists %q", file, text)
			}
			return err
		})
	}
	s.MustRun(t, "", "iptables-legacy", "-t", "raw", "-S")
	if d := read(t, s); len(d.Tables) != 1 || d.Tables[0].Name != "raw" || d.Rules() != 0 {
		t.Errorf("want table raw without rules, got %+v", d.Tables)
	}
}

// Chains may have any name; each is one word of one line.
func TestHostileNamesStayOneWord(t *testing.T) {
	s := labtest.New(t, "iptables-legacy")
	names := []string{`q"uo\\te`, "bell\x07\x1b[31m", "ü~$(id)", "\u202ebidi\xff", strings.Repeat("x", 28)}
	for _, name := range names {
		s.MustRun(t, "", "iptables-legacy", "-N", name)
		s.MustRun(t, "", "iptables-legacy", "-A", "INPUT", "-j", name, "-m", "comment", "--comment", name+"\nCOMMIT")
	}
	text := xtables.Text(read(t, s), xt.Env{})
	save, err := xtables.ParseSave(strings.NewReader(text), "text")
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' }); i >= 0 {
		t.Errorf("a control character in %q", text[i:])
	}
	rules := save.Tables[0].Rules
	if len(save.Tables[0].Chains) != 3+len(names) || len(rules) != len(names) {
		t.Fatalf("chains or rules are missing:\n%s", text)
	}
	for i, r := range rules {
		if target := r.Words[len(r.Words)-1].Text; !strings.ContainsAny(names[i], "\x07\u202e") && target != names[i] {
			t.Errorf("the target is %q, want %q", target, names[i])
		}
	}
}
