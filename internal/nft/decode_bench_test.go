package nft

import (
	"encoding/binary"
	"slices"
	"testing"
)

// manyDNATs is a chain of rules as natwarden meets them by the thousand:
// protocol, address, port, counter, dnat.
func manyDNATs(n int, translate bool) *Dump {
	c := &Chain{Name: "c", Hook: &Hook{}}
	port := func(i int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(i)) }
	data := func(typ uint16, b []byte) []byte { return AppendNest(nil, typ, AppendAttr(nil, 1, b)) }
	load := func(base, at, size uint32) []byte {
		return expression("payload", AppendU32(AppendU32(AppendU32(AppendU32(nil, 1, 1), 2, base), 3, at), 4, size))
	}
	equal := func(b []byte) []byte {
		return expression("cmp", append(AppendU32(AppendU32(nil, 1, 1), 2, 0), data(3, b)...))
	}
	for i := range n {
		exprs := slices.Concat(
			expression("meta", AppendU32(AppendU32(nil, 1, 1), 2, metaL4proto)), equal([]byte{6}),
			load(1, 16, 4), equal([]byte{10, 0, byte(i >> 8), byte(i)}), load(2, 2, 2), equal(port(i)),
			expression("counter", AppendU64(AppendU64(nil, 1, 5), 2, 6)))
		if translate {
			exprs = append(exprs, slices.Concat(
				expression("immediate", append(AppendU32(nil, 1, 1), data(2, []byte{10, 1, byte(i >> 8), byte(i)})...)),
				expression("nat", AppendU32(AppendU32(AppendU32(nil, 1, 1), 2, 2), 3, 1)))...)
		}
		c.Rules = append(c.Rules, &Rule{Handle: uint64(i), Exprs: exprs})
	}
	return &Dump{Tables: []*Table{{Family: 2, Name: "t", Chains: []*Chain{c}}}}
}

func BenchmarkDecode50000Filters(b *testing.B) { benchmarkDecode(b, false) }
func BenchmarkDecode50000DNATs(b *testing.B)   { benchmarkDecode(b, true) }

func benchmarkDecode(b *testing.B, translate bool) {
	d := manyDNATs(50000, translate)
	b.ReportAllocs()
	for b.Loop() {
		if out := Decode(d, Env{Now: testNow}); len(out.Tables[0].Chains[0].Rules) != 50000 {
			b.Fatal("rules are missing")
		}
	}
}
