package edit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/xtables"
)

// TableFiles names the raw tables.
func (*editor) TableFiles() []string { return []string{FileName} }

// Tables gives the tables that World keeps.
func (e *editor) Tables(_ context.Context, files map[string][]byte) ([]change.Table, error) {
	if files[FileName] == nil {
		return nil, nil
	}
	d, err := ReadFile(files[FileName])
	if err != nil {
		return nil, err
	}
	w := take(d)
	var out []change.Table
	for _, t := range d.Tables {
		out = append(out, w.tableObject(tableKey{t.Family, t.Name}, t))
	}
	return out, nil
}

// ListTable reads the Raw of a table's object.
func (*editor) ListTable(raw []byte) (map[string][]change.Listed, error) { return List(raw) }

func (w *world) tableObject(key tableKey, t *xtables.Table) change.Table {
	one := &xtables.Dump{Tables: []*xtables.Table{t}, SetNames: map[uint16]string{}}
	out := change.Table{Object: change.Object{Kind: change.KindTable, Backend: xtables.Source, Family: key.family, Table: key.name}}
	part := w.tables[key]
	if part == nil {
		out.Object.Raw, out.Object.Fingerprint = WriteFile(one), fingerprintOf(t.Blob)
		out.Object.Text, out.Unlike = "not laid out as iptables does it", w.broken[key].Error()
		return out
	}
	for _, index := range part.setIndices() {
		name, known := w.dump.SetNames[index]
		if !known {
			out.Unlike = fmt.Sprintf("a rule uses an ipset (number %d) whose name was not kept: it may be another by now", index)
			continue
		}
		one.SetNames[index] = name
	}
	if part.elf {
		out.Unlike = "it holds a bpf match with an open file of a process that is gone, so no program can write it again"
	}
	out.Object.Raw, out.Object.Fingerprint, out.Object.Text = WriteFile(one), part.fingerprint(), part.summary()
	out.Besides = part.startsAnew()
	return out
}

// idle says whether the table does nothing: it has no rules, and its chains
// accept. No program can take a table away, so that is as good as none.
func (t *table) idle() bool {
	for _, c := range t.chains {
		if c.hook < 0 || c.drops || len(c.rules) > 0 {
			return false
		}
	}
	return true
}

// fingerprint is that of the chains, their policies and rules, in order; "" of
// a table that does nothing.
func (t *table) fingerprint() string {
	if t.idle() {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %x\n", t.family, t.name, t.hooks)
	for _, c := range t.chains {
		fmt.Fprintf(&b, "%q %s %d\n", c.name, c.policyName(), len(c.rules))
		for _, r := range c.rules {
			b.WriteString(r.print + "\n")
		}
	}
	return fingerprintOf([]byte(b.String()))
}

func (t *table) summary() string {
	rules := 0
	for _, c := range t.chains {
		rules += len(c.rules)
	}
	return fmt.Sprintf("chains: %d, rules: %d", len(t.chains), rules)
}

// startsAnew says how many rules forget what they remember when the table is written.
func (t *table) startsAnew() []string {
	n := 0
	for _, c := range t.chains {
		for _, r := range c.rules {
			if len(stateful(t.family, r.raw)) > 0 {
				n++
			}
		}
	}
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("restarts the limit, quota, connlimit and statistic state of %d rules", n)}
}

func (t *table) setIndices() (out []uint16) {
	t.eachSet(func(_ *entry, _ int, index uint16) error {
		out = append(out, index)
		return nil
	})
	return out
}

// recorded takes the table of an object apart, with the numbers that its ipsets
// have now.
func recorded(o *change.Object, sets *setFinder) (*table, error) {
	d, err := ReadFile(o.Raw)
	if err != nil {
		return nil, err
	}
	if len(d.Tables) != 1 || d.Tables[0].Family != o.Family || d.Tables[0].Name != o.Table {
		return nil, errors.New("what was recorded is not that table")
	}
	t, err := takeApart(d, d.Tables[0])
	if err != nil {
		return nil, err
	}
	if t.fingerprint() != o.Fingerprint {
		return nil, errors.New("what was recorded does not fit its fingerprint")
	}
	if t.elf {
		return nil, errors.New("it holds a bpf match with an open file of a process that is gone")
	}
	return t, t.renumber(d.SetNames, sets)
}
