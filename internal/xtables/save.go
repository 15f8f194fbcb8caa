package xtables

import (
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

// RuleText writes the rule at index i of t.Entries as iptables-save would.
func RuleText(d *Dump, t *Table, chains []Chain, c Chain, i int, env xt.Env) string {
	dec := newDecoder(d, t, env)
	dec.starts = t.Starts(chains)
	return dec.text(c.Name, i)
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
	return p.line(d.l, chain)
}
