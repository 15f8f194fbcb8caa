package xtables

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/natwarden/natwarden/internal/host"
)

// Fingerprint identifies a checked entry by what it does: its bytes without
// counters and without what the kernel renumbers. A jump counts by the name of
// its chain (jump; "" for none), an ipset by its name.
func Fingerprint(family host.Family, raw []byte, jump string, setName func(uint16) string) string {
	l := layoutOf(family)
	var room [1024]byte
	b := append(room[:0], raw...)
	clear(b[l.comefrom : l.comefrom+4])
	clear(b[l.counters : l.counters+16])
	if target := l.target(b); isStandard(target) && standardVerdict(target) >= 0 {
		clear(target[extHeader : extHeader+4])
		b = append(b, "jump "...)
		b = append(b, jump...)
	}
	for _, at := range setFields(family, raw) {
		clear(b[at : at+2])
		b = append(b, "\x00set "...)
		b = append(b, setName(u16(raw, at))...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}

// Jump gives the chain that the entry at index i jumps or goes to: "" where
// it does neither. known is false where it jumps to what is no chain.
func (t *Table) Jump(i int, starts map[uint32]string) (chain string, known bool) {
	e := t.Entries[i]
	target := t.Blob[e.Offset+uint32(e.Target) : e.Offset+uint32(e.Size)]
	if !isStandard(target) {
		return "", true
	}
	v := standardVerdict(target)
	if v < 0 || uint32(v) == e.Offset+uint32(e.Size) {
		return "", true // a verdict, or a rule without target: on to the next entry
	}
	chain, known = starts[uint32(v)]
	return chain, known
}

// fingerprint is Fingerprint of the entry at index i.
func (d *Dump) fingerprint(t *Table, i int, starts map[uint32]string) string {
	chain, _ := t.Jump(i, starts)
	return Fingerprint(t.Family, t.Raw(i), chain, d.SetName)
}

// Fingerprints gives the fingerprints of a chain's rules in order.
func (d *Dump) Fingerprints(t *Table, c Chain, starts map[uint32]string) []string {
	out := make([]string, 0, c.End-c.First)
	for i := c.First; i < c.End; i++ {
		out = append(out, d.fingerprint(t, i, starts))
	}
	return out
}
