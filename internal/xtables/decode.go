package xtables

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
)

// writer is the label of rules in these tables.
const writer = "iptables-legacy"

// maxBranches bounds the alternatives of one rule. Those of a further match
// are then carried in words.
const maxBranches = 256

// Decode makes the model of a dump: tables with chains and rules, and what
// was not understood. Env says which ipsets there are.
func Decode(d *Dump, env xt.Env) ([]*host.Table, []host.Blind) {
	blind := slices.Clone(d.Blind)
	tables := make([]*host.Table, 0, len(d.Tables))
	for _, t := range d.Tables {
		dec := newDecoder(d, t, env)
		chains, err := t.Chains()
		if err != nil {
			blind = append(blind, host.Blind{Source: Source, What: string(t.Family) + " " + t.Name, Why: err.Error()})
			continue
		}
		tables = append(tables, dec.table(chains))
		blind = append(blind, dec.blind...)
	}
	return tables, blind
}

// decoder turns one table into the model.
type decoder struct {
	dump   *Dump
	t      *Table
	l      *layout
	env    xt.Env
	starts map[uint32]string
	protos map[host.Proto]host.Protos
	out    *host.Table
	blind  []host.Blind
	// The rule at hand: kept to spare memory.
	parts   parts
	scratch []byte
}

func newDecoder(d *Dump, t *Table, env xt.Env) *decoder {
	return &decoder{dump: d, t: t, l: layoutOf(t.Family), env: env, protos: map[host.Proto]host.Protos{},
		out: &host.Table{Backend: Source, Family: t.Family, Name: t.Name, Filled: map[string]bool{}}}
}

func (d *decoder) table(chains []Chain) *host.Table {
	d.starts = d.t.Starts(chains)
	for _, c := range chains {
		d.out.Chains = append(d.out.Chains, d.chain(c))
	}
	return d.out
}

func (d *decoder) chain(c Chain) *host.Chain {
	n := c.End - c.First
	out := &host.Chain{Name: c.Name, Base: d.base(c), Rules: make([]*host.Rule, n)}
	rules, branches := make([]host.Rule, n), make([]host.Branch, n)
	for k := range n {
		rules[k] = host.Rule{Index: k + 1, Writer: writer, Branches: branches[k : k : k+1]}
		out.Rules[k] = &rules[k]
	}
	d.inShares(rules, c)
	return out
}

// rule decodes the entry at index i into r, whose Branches have room for one.
func (d *decoder) rule(r *host.Rule, chain string, i int) {
	p := &d.parts
	*p = parts{raw: d.t.Raw(i), matches: p.matches[:0]}
	r.Branches = append(r.Branches, host.Branch{Match: d.header(p)})
	d.l.eachMatch(p.raw, func(m []byte) bool {
		d.match(r, p, m)
		return true
	})
	v := d.verdict(p, i)
	for b := range r.Branches {
		r.Branches[b].Verdict, r.Branches[b].Chain, r.Branches[b].Effects = v.verdict, v.chain, v.effects
		r.Branches[b].Assigns = v.assigns
	}
	r.Comment, r.Opaque = p.comment, p.opaque
	if len(v.effects) == 0 && len(r.Opaque) == 0 {
		if d.env.Texts {
			r.Text = string(p.line(nil, d.l, chain))
		}
		return
	}
	d.scratch = p.line(d.scratch[:0], d.l, chain)
	r.Text = string(d.scratch)
	r.Fingerprint = d.dump.fingerprint(d.t, i, d.starts)
	d.blame(r, chain)
}

func (d *decoder) blame(r *host.Rule, chain string) {
	if len(r.Opaque) > 0 {
		d.blind = append(d.blind, host.Blind{Source: Source,
			What: fmt.Sprintf("%s %s %s rule %d", d.t.Family, d.t.Name, chain, r.Index),
			Why:  strings.Join(r.Opaque, ", ") + " not understood"})
	}
}

// parts are the pieces of one rule that its text is made of.
type parts struct {
	raw     []byte
	matches []string
	target  string
	comment string
	opaque  []string
}

// match narrows all branches of r by one match; alternatives multiply them.
func (d *decoder) match(r *host.Rule, p *parts, header []byte) {
	if extIs(header, "comment") {
		p.comment = cstring(header[extHeader:])
	}
	e := ext(d.t.Family, header)
	alts, text, ok := xt.Match(e, d.env)
	if !ok {
		what := fmt.Sprintf("match %q revision %d", e.Name, e.Revision)
		p.opaque = append(p.opaque, what)
		p.matches = append(p.matches, cmp.Or(text, unprintable("-m", e)))
		requireAll(r, what+" (not understood)")
		return
	}
	if text != "" {
		p.matches = append(p.matches, text)
	}
	if len(r.Branches)*len(alts) > maxBranches {
		requireAll(r, text)
		return
	}
	r.Branches = product(r.Branches, alts)
}

// product narrows every branch by every alternative.
func product(branches []host.Branch, alts []host.Match) []host.Branch {
	switch len(alts) {
	case 0:
		return branches
	case 1:
		for i := range branches {
			branches[i].Match.Narrow(&alts[0])
		}
		return branches
	}
	out := make([]host.Branch, 0, len(branches)*len(alts))
	for _, b := range branches {
		for a := range alts {
			m := b
			m.Match.Narrow(&alts[a])
			out = append(out, m)
		}
	}
	return out
}

func requireAll(r *host.Rule, condition string) {
	for i := range r.Branches {
		r.Branches[i].Match.Require(condition)
	}
}

// unprintable writes a match or target of which only the name is known.
func unprintable(flag string, e xt.Ext) string {
	return fmt.Sprintf("%s %s [revision %d, %d bytes not understood]", flag, Quote(e.Name), e.Revision, len(e.Info))
}
