package nft

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

// portMap is a map from ports 1 to n to what data gives: a value or a verdict.
func portMap(name string, n int, data func(i int) []byte) *Set {
	s := &Set{Name: name, Flags: setMap, KeyLen: 2, DataLen: 4}
	for i := 1; i <= n; i++ {
		key := AppendNest(nil, 1, AppendAttr(nil, 1, binary.BigEndian.AppendUint16(nil, uint16(i))))
		s.Elements = append(s.Elements, AppendNest(key, 2, data(i)))
	}
	return s
}

func addressOf(i int) []byte { return AppendAttr(nil, 1, []byte{10, 0, byte(i >> 8), byte(i)}) }

func jumpTo(i int) []byte {
	return AppendNest(nil, 2, AppendText(AppendU32(nil, 1, 0xfffffffd), 2, fmt.Sprintf("svc%d", i)))
}

func loadPort(at uint32) []byte {
	return expression("payload", AppendU32(AppendU32(AppendU32(AppendU32(nil, 1, 1), 2, 2), 3, at), 4, 2))
}

func lookInto(set string, register uint32) []byte {
	return expression("lookup", AppendU32(AppendU32(AppendText(nil, 1, set), 2, 1), 3, register))
}

// TestServicesOfAVerdictMap: a node of a large cluster has more services than
// the bound on products, and each of their chains must be reached.
func TestServicesOfAVerdictMap(t *testing.T) {
	d := decodeExprs(2, slices.Concat(loadPort(2), lookInto("svc", 0)), portMap("svc", 20000, jumpTo))
	branches := d.Tables[0].Chains[0].Rules[0].Branches
	if len(branches) != 20000 || len(d.Blind) != 0 {
		t.Fatalf("%d branches, blind %v", len(branches), d.Blind)
	}
	last := branches[19999]
	if last.Verdict != host.Jump || last.Chain != "svc20000" || host.PortsString(last.Match.Ports) != "20000" {
		t.Errorf("last branch: %+v", last)
	}
}

// TestAProductThatIsTooLarge: source port and destination port both choose.
func TestAProductThatIsTooLarge(t *testing.T) {
	nat := expression("nat", AppendU32(AppendU32(AppendU32(nil, 1, 1), 2, 2), 3, 2))
	exprs := slices.Concat(loadPort(0), lookInto("a", 3), loadPort(2), lookInto("b", 2), nat)
	d := decodeExprs(2, exprs, portMap("a", 100, addressOf), portMap("b", 100, addressOf))
	branches := d.Tables[0].Chains[0].Rules[0].Branches
	if len(branches) != 100 {
		t.Fatalf("%d branches", len(branches))
	}
	b := branches[41]
	if want := "its address comes from map @b (too many destinations to list)"; b.Effects[0].Unknown != want {
		t.Errorf("unknown: %q, want %q", b.Effects[0].Unknown, want)
	}
	if want := "th dport @b"; len(b.Match.Conditions) != 1 || b.Match.Conditions[0] != want || host.PortsString(b.Match.SPorts) != "42" {
		t.Errorf("match %+v, want condition %q", b.Match, want)
	}
}

// TestAProductOfVerdictsReachesEveryChain although it is too large to list.
func TestAProductOfVerdictsReachesEveryChain(t *testing.T) {
	exprs := slices.Concat(loadPort(0), lookInto("a", 3), loadPort(2), lookInto("b", 0))
	d := decodeExprs(2, exprs, portMap("a", 100, addressOf), portMap("b", 100, jumpTo))
	reached := map[string]bool{}
	for _, b := range d.Tables[0].Chains[0].Rules[0].Branches {
		reached[b.Chain] = true
	}
	if len(reached) != 100 {
		t.Errorf("%d of 100 chains are reached", len(reached))
	}
}
