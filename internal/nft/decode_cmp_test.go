package nft

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

func maskWith(size int, mask, xor []byte) []byte {
	attrs := AppendU32(AppendU32(AppendU32(nil, 1, 1), 2, 1), 3, uint32(size))
	attrs = AppendNest(attrs, 4, AppendAttr(nil, 1, mask))
	return expression("bitwise", AppendNest(attrs, 5, AppendAttr(nil, 1, xor)))
}

func compareWith(o op, data []byte) []byte {
	return expression("cmp", AppendNest(AppendU32(AppendU32(nil, 1, 1), 2, uint32(o)), 3, AppendAttr(nil, 1, data)))
}

// TestComparisonsOfPorts holds the sets against what the kernel computes: the
// port masked, then memcmp.
func TestComparisonsOfPorts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	masks := []uint16{0xffff, 0xfff0, 0xff00, 0x8000, 0, 0x00ff, 0x0ff0, 0xfffe}
	inSets := 0
	for range 400 {
		mask, xor, want := masks[r.IntN(len(masks))], uint16(r.IntN(3))*0x11, uint16(r.IntN(65536))
		if r.IntN(3) > 0 {
			want &= mask
		}
		if r.IntN(8) == 0 {
			want = []uint16{0, 1, 65534, 65535}[r.IntN(4)]
		}
		o := op(r.IntN(6))
		exprs := slices.Concat(loadPort(2))
		if mask != 0xffff || xor != 0 {
			exprs = append(exprs, maskWith(2, be16(mask), be16(xor))...)
		}
		m := &decodeExprs(2, append(exprs, compareWith(o, be16(want))...)).Tables[0].Chains[0].Rules[0].Branches[0].Match
		if len(m.Conditions) > 0 {
			continue // said in words, which is always allowed
		}
		inSets++
		tested := test{op: o, lo: be16(want)}
		for p := range 65536 {
			takes := tested.holds(be16(uint16(p)&mask ^ xor))
			if got := m.Ports.Has(host.Port(p)) && m.Dead == ""; got != takes {
				t.Fatalf("port %d: (& %#x ^ %#x) op %d %#x: the kernel says %v, the set %s", p, mask, xor, o, want, takes, host.PortsString(m.Ports))
			}
		}
	}
	if inSets < 100 {
		t.Errorf("only %d of 400 comparisons were said in sets", inSets)
	}
}

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }

// TestComparisonsOfAddresses does the same at the borders of ranges.
func TestComparisonsOfAddresses(t *testing.T) {
	load := expression("payload", AppendU32(AppendU32(AppendU32(AppendU32(nil, 1, 1), 2, 1), 3, 16), 4, 4))
	points := []string{"0.0.0.0", "0.0.0.1", "9.255.255.255", "10.0.0.0", "10.0.0.1", "10.0.0.255", "10.0.1.0", "10.255.255.255",
		"11.0.0.0", "255.255.255.254", "255.255.255.255"}
	for _, maskText := range []string{"255.255.255.255", "255.255.255.0", "255.0.0.0", "0.0.0.255"} {
		for _, wantText := range points {
			for o := opEq; o <= opGte; o++ {
				mask, want := v4(maskText), v4(wantText)
				exprs := slices.Clone(load)
				if maskText != "255.255.255.255" {
					exprs = append(exprs, maskWith(4, mask, make([]byte, 4))...)
				}
				m := &decodeExprs(2, append(exprs, compareWith(o, want)...)).Tables[0].Chains[0].Rules[0].Branches[0].Match
				if len(m.Conditions) > 0 {
					continue
				}
				for _, p := range points {
					takes := test{op: o, lo: want}.holds(masked(v4(p), mask, make([]byte, 4)))
					if got := m.Address.Has(netip.MustParseAddr(p)) && m.Dead == ""; got != takes {
						t.Errorf("%s: & %s op %d %s: the kernel says %v, the set %s", p, maskText, o, wantText, takes, host.AddrsString(m.Address))
					}
				}
			}
		}
	}
}

func v4(text string) []byte { return netip.MustParseAddr(text).AsSlice() }
