package xtables

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
)

// Text writes the whole dump in the format of iptables-save -c, IPv4 first.
// It is for people: what natwarden does not understand is named, not printed.
func Text(d *Dump, env xt.Env) string {
	return FamilyText(d, host.IP, env) + FamilyText(d, host.IP6, env)
}

// FamilyText is Text of the tables of one family; "" where there are none.
func FamilyText(d *Dump, family host.Family, env xt.Env) string {
	var b strings.Builder
	for _, t := range d.Tables {
		if t.Family == family {
			writeTable(&b, d, t, env)
		}
	}
	return b.String()
}

func writeTable(b *strings.Builder, d *Dump, t *Table, env xt.Env) {
	fmt.Fprintf(b, "# %s table %s, written by natwarden\n*%s\n", t.Family, t.Name, t.Name)
	chains, err := t.Chains()
	if err != nil {
		fmt.Fprintf(b, "# not understood: %v\n", err)
	}
	dec := newDecoder(d, t, env)
	dec.starts = t.Starts(chains)
	for _, c := range chains {
		policy, n := "-", Counters{}
		if c.Hook >= 0 {
			policy, n = strings.ToUpper(dec.base(c).Policy), EntryCounters(t.Family, t.Raw(c.End))
		}
		fmt.Fprintf(b, ":%s %s [%d:%d]\n", Quote(c.Name), policy, n.Packets, n.Bytes)
	}
	for _, c := range chains {
		for i := c.First; i < c.End; i++ {
			n := EntryCounters(t.Family, t.Raw(i))
			fmt.Fprintf(b, "[%d:%d] %s\n", n.Packets, n.Bytes, dec.text(c.Name, i))
		}
	}
	b.WriteString("COMMIT\n")
}

// EntryText writes one rule as iptables-save would: a checked entry of a
// chain, with the chain to which it jumps ("" for none).
func EntryText(d *Dump, family host.Family, chain string, raw []byte, jump string, env xt.Env) string {
	t := &Table{Family: family, Blob: raw, Entries: []Entry{{Size: uint16(len(raw)), Target: u16(raw, layoutOf(family).targetOffset)}}}
	dec := newDecoder(d, t, env)
	if IsJump(family, raw) {
		// The offset means nothing outside the table: 0 stands for the chain.
		t.Blob = bytes.Clone(raw)
		dec.starts = map[uint32]string{0: jump}
		PutJump(family, t.Blob, 0)
	}
	return dec.text(chain, 0)
}

// text is the line of the entry at index i, whether it has effects or not.
func (d *decoder) text(chain string, i int) string {
	var r host.Rule
	p := &parts{raw: d.t.Raw(i)}
	r.Branches = []host.Branch{{}}
	d.l.eachMatch(p.raw, func(m []byte) bool {
		d.match(&r, p, m)
		return true
	})
	d.verdict(p, i)
	return string(p.line(nil, d.l, chain))
}
