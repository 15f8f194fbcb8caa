package nft

import (
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

// expression makes one NFTA_LIST_ELEM.
func expression(name string, attrs []byte) []byte {
	return AppendNest(nil, 1, AppendNest(AppendText(nil, 1, name), 2, attrs))
}

// decodeExprs decodes a table with one chain and one rule.
func decodeExprs(family uint8, exprs []byte, sets ...*Set) Decoded {
	d := &Dump{Tables: []*Table{{Family: family, Name: "t", Sets: sets,
		Chains: []*Chain{{Name: "c", Hook: &Hook{}, Rules: []*Rule{{Handle: 5, Exprs: exprs}}}}}}}
	return Decode(d, Env{Now: testNow})
}

func TestWhatIsNotUnderstoodIsSaid(t *testing.T) {
	accept := expression("immediate", AppendNest(AppendU32(nil, 1, 0), 2, AppendNest(nil, 2, AppendU32(nil, 1, 1))))
	lookup := func(set string) []byte {
		return expression("lookup", AppendU32(AppendText(nil, 1, set), 2, 1))
	}
	for _, c := range []struct {
		name, opaque, why string
		exprs             []byte
	}{
		{"an expression", `expression "teleport"`, `expression "teleport" is unknown`, slices.Concat(expression("teleport", nil), accept)},
		{"an attribute", `an expression "nat" with attributes that are unknown`, `attributes of expression "nat" are unknown`,
			slices.Concat(expression("nat", AppendU32(nil, 19, 1)), accept)},
		{"torn bytes", "expressions that are torn", "expressions that are torn", append(slices.Clone(accept), 9, 0, 1, 0, 7)},
		{"a target", "target TELEPORT", `target "TELEPORT" revision 3 is unknown`,
			expression("target", AppendAttr(AppendU32(AppendText(nil, 1, "TELEPORT"), 2, 3), 3, nil))},
		{"a set", "set gone", `set "gone" could not be read`, slices.Concat(lookup("gone"), accept)},
		{"a register", "a register that is unknown", "a register that is unknown",
			expression("payload", AppendU32(AppendU32(AppendU32(AppendU32(nil, 1, 99), 2, 1), 3, 16), 4, 4))},
		{"an object", "object of type 77", "object type 77 is unknown", expression("objref", AppendU32(nil, 1, 77))},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decodeExprs(2, c.exprs)
			r := d.Tables[0].Chains[0].Rules[0]
			if !slices.Equal(r.Opaque, []string{c.opaque}) {
				t.Errorf("opaque: %q, want %q", r.Opaque, c.opaque)
			}
			want := host.Blind{Source: "nf_tables", What: "ip t c rule 1", Why: c.why}
			if !slices.Equal(d.Blind, []host.Blind{want}) {
				t.Errorf("blind: %+v, want %+v", d.Blind, want)
			}
			b := r.Branches[0]
			if len(b.Effects) == 0 || b.Effects[0].Unknown != c.why || r.Text == "" {
				t.Errorf("the rule may redirect, but its branch says %s, text %q", branchSummary(r, &b), r.Text)
			}
			if b.Verdict != host.Uncertain {
				t.Errorf("verdict %d, want uncertain", b.Verdict)
			}
		})
	}
}

func TestAnUnknownMatchOnlyNarrows(t *testing.T) {
	match := expression("match", AppendAttr(AppendU32(AppendText(nil, 1, "telepathy"), 2, 3), 3, nil))
	d := decodeExprs(2, match)
	r := d.Tables[0].Chains[0].Rules[0]
	b := r.Branches[0]
	if len(b.Effects) != 0 || b.Verdict != host.Continue || len(b.Match.Conditions) != 1 ||
		!strings.Contains(b.Match.Conditions[0], "telepathy") {
		t.Errorf("branch: %s", branchSummary(r, &b))
	}
	if len(r.Opaque) != 1 || len(d.Blind) != 1 {
		t.Errorf("opaque %q, blind %+v", r.Opaque, d.Blind)
	}
}

// TestEveryExpressionOfTheKernelIsKnown holds the table of expressions against
// the names in net/netfilter/nft_*.c of Linux 6.18.
func TestEveryExpressionOfTheKernelIsKnown(t *testing.T) {
	for _, name := range strings.Fields(`bitwise byteorder cmp connlimit counter ct dup dynset exthdr fib
		flow_offload fwd hash immediate inner last limit log lookup masq match meta nat notrack numgen objref
		osf payload queue quota range redir reject rt socket synproxy target tproxy tunnel xfrm`) {
		if _, known := steps[name]; !known {
			t.Errorf("expression %s is unknown", name)
		}
	}
}

// TestQueue needs no kernel that has the queue expression.
func TestQueue(t *testing.T) {
	u16 := func(b []byte, typ uint16, v uint16) []byte { return AppendAttr(b, typ, []byte{byte(v >> 8), byte(v)}) }
	for want, attrs := range map[string][]byte{
		" {queue <queue 7>} => queue `queue to 7`":                                         u16(u16(nil, 1, 7), 2, 1),
		" {queue <queue 1-3, fanout, bypass>} => queue `queue flags bypass,fanout to 1-3`": u16(u16(u16(nil, 1, 1), 2, 3), 3, 3),
	} {
		r := decodeExprs(2, expression("queue", attrs)).Tables[0].Chains[0].Rules[0]
		if got := branchSummary(r, &r.Branches[0]); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	verdict := AppendNest(AppendU32(nil, 1, 0), 2, AppendNest(nil, 2, AppendU32(nil, 1, 5<<16|3)))
	r := decodeExprs(2, expression("immediate", verdict)).Tables[0].Chains[0].Rules[0]
	if got := branchSummary(r, &r.Branches[0]); got != " {queue <queue 5>} => queue `queue to 5`" {
		t.Errorf("queue verdict: %q", got)
	}
}

func FuzzDecode(f *testing.F) {
	accept := expression("immediate", AppendNest(AppendU32(nil, 1, 0), 2, AppendNest(nil, 2, AppendU32(nil, 1, 1))))
	f.Add(uint8(2), uint32(0), uint32(4), accept, []byte{})
	for _, e := range fuzzSeeds() {
		f.Add(uint8(1), uint32(setMap|setInterval), uint32(4), e, AppendNest(AppendNest(nil, 1, AppendAttr(nil, 1, []byte{0, 80, 0, 0})),
			2, AppendAttr(nil, 1, []byte{10, 0, 0, 1})))
	}
	f.Fuzz(func(t *testing.T, family uint8, flags, keyLen uint32, exprs, elem []byte) {
		set := &Set{Name: "s", Flags: flags, KeyLen: keyLen & 63, DataLen: 4, Elements: [][]byte{elem, elem[len(elem)/2:]}}
		d := decodeExprs(family, exprs, set)
		r := d.Tables[0].Chains[0].Rules[0]
		if len(r.Branches) == 0 && len(d.Blind) == 0 {
			t.Error("a rule vanished")
		}
		if len(r.Opaque) > 0 && len(d.Blind) == 0 {
			t.Error("an opaque rule is not blind")
		}
	})
}

// fuzzSeeds are rules that load, look up and translate.
func fuzzSeeds() [][]byte {
	load := expression("payload", AppendU32(AppendU32(AppendU32(AppendU32(nil, 1, 1), 2, 2), 3, 2), 4, 2))
	cmp := expression("cmp", AppendNest(AppendU32(AppendU32(nil, 1, 1), 2, 0), 3, AppendAttr(nil, 1, []byte{0, 80})))
	mask := expression("bitwise", AppendNest(AppendNest(AppendU32(AppendU32(AppendU32(nil, 1, 1), 2, 1), 3, 2),
		4, AppendAttr(nil, 1, []byte{0xff, 0xf0})), 5, AppendAttr(nil, 1, []byte{0, 0})))
	lookup := expression("lookup", AppendU32(AppendU32(AppendText(nil, 1, "s"), 2, 1), 3, 1))
	nat := expression("nat", AppendU32(AppendU32(AppendU32(nil, 1, 1), 2, 2), 3, 1))
	set := expression("payload", AppendU32(AppendU32(AppendU32(AppendU32(nil, 5, 1), 2, 1), 3, 16), 4, 4))
	order := expression("byteorder", AppendU32(AppendU32(AppendU32(AppendU32(AppendU32(nil, 1, 1), 2, 1), 3, 1), 4, 4), 5, 4))
	number := expression("numgen", AppendU32(AppendU32(nil, 1, 1), 2, 3))
	return [][]byte{slices.Concat(load, cmp, nat), slices.Concat(load, mask, cmp), slices.Concat(load, lookup, nat),
		slices.Concat(load, lookup, set), slices.Concat(number, order, lookup, nat), slices.Concat(number, nat)}
}

// TestBroute needs no nft that knows the word.
func TestBroute(t *testing.T) {
	exprs := slices.Concat(expression("immediate", AppendNest(AppendU32(nil, 1, 1), 2, AppendAttr(nil, 1, []byte{1}))),
		expression("meta", AppendU32(AppendU32(nil, 2, metaBriBroute), 3, 1)))
	r := decodeExprs(7, exprs).Tables[0].Chains[0].Rules[0]
	want := " {mac-redirect :* <frames are routed instead of bridged>} `meta broute set 1`"
	if got := branchSummary(r, &r.Branches[0]); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
