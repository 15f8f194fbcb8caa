package nft

import (
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// printOf gives the fingerprint of the only rule of chain c of a table that is
// made of the text; the rule goes where RULE stands.
func printOf(t *testing.T, rule string) string {
	t.Helper()
	s := labtest.New(t, "nft")
	s.MustRun(t, strings.ReplaceAll(`
table ip t {
	counter one { }
	counter two { }
	set a { type inet_service; elements = { 1 }; }
	set b { type inet_service; elements = { 1 }; }
	chain x { tcp dport 1 accept; tcp dport { 4, 5 } accept; }
	chain c { type nat hook prerouting priority 0;
		RULE
	}
}`, "RULE", rule), "nft", "-f", "-")
	d := read(t, s, Options{})
	for _, c := range d.Tables[0].Chains {
		if c.Name == "c" {
			return Fingerprint(d.Tables[0], c, c.Rules[0])
		}
	}
	t.Fatal("no chain c")
	return ""
}

func TestFingerprintLeavesStateOut(t *testing.T) {
	for _, same := range [][2]string{
		{"tcp dport 1 counter packets 1 bytes 2 accept", "tcp dport 1 counter packets 7 bytes 99 accept"},
		{"quota over 100 mbytes drop", "quota over 100 mbytes used 50 mbytes drop"},
		{"tcp dport { 1, 2, 3 } accept", "tcp dport { 3, 2, 1 } accept"},
		{"tcp dport { 8, 9 } accept\ntcp dport { 1, 2 } accept", "tcp dport { 8, 9 } accept"},
	} {
		if a, b := printOf(t, same[0]), printOf(t, same[1]); a != b || len(a) != 32 {
			t.Errorf("%q is %s, %q is %s: want the same", same[0], a, same[1], b)
		}
	}
}

func TestFingerprintTellsMeaningsApart(t *testing.T) {
	seen := map[string]string{}
	for _, rule := range []string{
		"tcp dport 1 accept",
		"tcp dport 2 accept",
		"udp dport 1 accept",
		"tcp dport 1 drop",
		"tcp dport 1 counter accept",
		"tcp dport 1 accept comment \"a\"",
		"tcp dport 1 accept comment \"b\"",
		"tcp dport @a accept",
		"tcp dport @b accept",
		"tcp dport != @b accept",
		"tcp dport { 1, 2 } accept",
		"tcp dport { 1, 3 } accept",
		"tcp dport { 1, 2, 3 } accept",
		"tcp dport { 1-2, 3 } accept",
		"dnat to tcp dport map { 1 : 1.1.1.1, 2 : 2.2.2.2 }",
		"dnat to tcp dport map { 1 : 2.2.2.2, 2 : 1.1.1.1 }",
		"tcp dport vmap { 1 : accept, 2 : drop }",
		"tcp dport vmap { 1 : drop, 2 : accept }",
		"tcp dport vmap { 1 : jump x, 2 : accept }",
		"jump { tcp dport 1 accept; tcp dport 2 accept; }",
		"jump { tcp dport 2 accept; tcp dport 1 accept; }",
		"goto { tcp dport 2 accept; tcp dport 1 accept; }",
		"jump { tcp dport { 2, 3 } accept; }",
		"jump { tcp dport { 2, 4 } accept; }",
		"jump x",
		"goto x",
		"limit rate 5/second accept",
		"limit rate 6/second accept",
		"limit rate over 5/second accept",
		"quota over 100 mbytes accept",
		"quota over 101 mbytes accept",
		"quota until 100 mbytes accept",
		"counter name one",
		"counter name two",
	} {
		print := printOf(t, rule)
		if other, ok := seen[print]; ok {
			t.Errorf("%q and %q have the same fingerprint", rule, other)
		}
		seen[print] = rule
	}
}

// Fingerprints stand in snapshots and journals: those of one version are those of
// the next, and depend on no rule that was printed before.
func TestFingerprintsStayWhatTheyWere(t *testing.T) {
	d := manyDNATs(3, true)
	table, chain := d.Tables[0], d.Tables[0].Chains[0]
	p := NewPrinter(table)
	for i, want := range []string{"92513dfc64a7aa5c5b8daaea14fdd267", "20b4776b691d7ce1927803df0b3e64a2", "733720588859a25ac89887395ced0675"} {
		if got := p.Rule(chain, chain.Rules[i]); got != want {
			t.Errorf("rule %d is %s, want %s", i, got, want)
		}
	}
}
