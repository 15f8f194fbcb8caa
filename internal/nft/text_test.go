package nft

import (
	"os"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// TestTextLoadsAgain gives the text of each native rule back to nft, which must
// take it and make a rule of it that decodes to the same branches.
func TestTextLoadsAgain(t *testing.T) {
	for _, name := range []string{"ip", "inet", "link", "limits"} {
		input, err := os.ReadFile("testdata/decode/" + name + ".nft")
		if err != nil {
			t.Fatal(err)
		}
		s := labtest.New(t, "nft")
		s.MustRun(t, string(input), "nft", "-f", "-")
		env := Env{Now: testNow, Ifname: func(i uint32) string { return map[uint32]string{1: "lo"}[i] }}
		d := Decode(read(t, s, Options{}), env)
		for _, table := range d.Tables {
			for _, c := range table.Chains {
				reload(t, s, table, c, env)
			}
		}
	}
}

// unloadable are texts that nft does not read: they say more than it can.
func unloadable(text string) bool {
	return strings.Contains(text, "UTC") || strings.Contains(text, "…") || strings.Contains(text, "__")
}

func reload(t *testing.T, s labtest.Space, table *host.Table, c *host.Chain, env Env) {
	t.Helper()
	if c.Anonymous {
		return
	}
	where := string(table.Family) + " " + table.Name + " " + c.Name
	script := "flush chain " + where + "\n"
	var want []*host.Rule
	for _, r := range c.Rules {
		if r.Text != "" && !unloadable(r.Text) {
			script += "add rule " + where + " " + r.Text + "\n"
			want = append(want, r)
		}
	}
	s.MustRun(t, script, "nft", "-f", "-")
	for _, t2 := range Decode(read(t, s, Options{}), env).Tables {
		for _, c2 := range t2.Chains {
			if t2.Name != table.Name || c2.Name != c.Name {
				continue
			}
			if len(c2.Rules) != len(want) {
				t.Fatalf("%s: %d texts made %d rules", where, len(want), len(c2.Rules))
			}
			for i, r := range want {
				sameRule(t, r, c2.Rules[i])
			}
		}
	}
}

func sameRule(t *testing.T, want, made *host.Rule) {
	t.Helper()
	if len(made.Branches) != len(want.Branches) {
		t.Errorf("%s: made another rule", want.Text)
		return
	}
	for i := range want.Branches {
		got, wish := branchSummary(made, &made.Branches[i]), branchSummary(want, &want.Branches[i])
		if got != wish {
			t.Errorf("%s:\n got %s\nwant %s", want.Text, got, wish)
		}
	}
}
