package nft

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// big is rules of each kind in numbers that are decoded ahead: one chain that is
// long, and many that are short. extra stands at the end of the long one.
func big(extra string) string {
	var b strings.Builder
	b.WriteString("table ip nat {\n set s { type inet_service; elements = { 7, 9 }; }\n set seen { type ipv4_addr; flags dynamic; }\n chain pre { type nat hook prerouting priority -100;\n")
	for i := range 1800 {
		fmt.Fprintf(&b, "ip daddr 10.0.%d.%d tcp dport %d counter dnat to 10.1.0.1:80\n", i>>8, i&255, 1+i)
	}
	b.WriteString("tcp dport @s redirect to :8080\nip saddr @seen tcp dport 5 redirect to :8081\n" + extra + "\n }\n")
	for i := range 700 {
		fmt.Fprintf(&b, "chain c%d { ip saddr 10.0.0.1 accept\n tcp dport { %d, %d } redirect to :99\n }\n", i, i+1, i+2)
	}
	b.WriteString("}\ntable inet small { chain c { type filter hook input priority 0; tcp dport 22 drop\n }\n }\n")
	return b.String()
}

// What is decoded beside the reading is what is decoded after it.
func TestDecodedAheadIsTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		extra string
		ahead bool
	}{
		"plain rules":                 {"", true},
		"a set that packets fill":     {"add @seen { ip saddr }", false},
		"a rule with a chain of it":   {"ip saddr 10.9.9.9 jump { tcp dport 1 redirect to :2; };", false},
		"a rule that is not decoded":  {"tcp dport 4711 xt_unknown", true},
		"a long chain, and its hands": {strings.Repeat("udp dport 53 redirect to :53\n", handful), true},
	} {
		t.Run(name, func(t *testing.T) {
			s := labtest.New(t, "nft")
			rules := big(strings.Replace(c.extra, "xt_unknown", "tcp option maxseg size set 1000", 1))
			s.MustRun(t, rules, "nft", "-f", "-")
			var early *ahead
			var got Decoded
			var dump *Dump
			env := Env{Now: testNow}
			s.MustDo(t, func(ctx context.Context) (err error) {
				if _, early, err = readWith(ctx, Options{}, func() Env { return env }); err != nil {
					return err
				}
				dump, got, err = ReadDecoded(ctx, func() Env { return env })
				return err
			})
			if want := Decode(dump, env); !reflect.DeepEqual(got, want) {
				t.Errorf("%d tables and %d blind, want %d and %d, or other rules", len(got.Tables), len(got.Blind), len(want.Tables), len(want.Blind))
			}
			if n := len(got.Tables[0].Chains[0].Rules); n < 1802 || len(got.Tables[1].Chains[0].Rules) != 1 {
				t.Errorf("%d rules in the long chain", n)
			}
			if used := early.knows(dump); used != c.ahead {
				t.Errorf("decoded ahead: %v, want %v", used, c.ahead)
			}
		})
	}
}

// knows says whether anything was decoded ahead and the first table's rules were decoded ahead and may be used.
func (a *ahead) knows(d *Dump) bool {
	if a == nil {
		return false
	}
	for raw := range a.tables {
		if raw.Name == d.Tables[0].Name {
			t := (&decoder{}).begin(raw)
			t.dynamic = t.filled()
			return len(a.of(t)) > 0
		}
	}
	return false
}

// The world is asked for only where there are rules.
func TestTheWorldOfNoRulesIsNotAskedFor(t *testing.T) {
	s := labtest.New(t)
	s.MustDo(t, func(ctx context.Context) error {
		d, decoded, err := ReadDecoded(ctx, func() Env { t.Error("asked"); return Env{} })
		if len(d.Tables)+len(decoded.Tables) != 0 {
			t.Errorf("%v, %v", d, decoded)
		}
		return err
	})
}
