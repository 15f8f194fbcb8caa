package policy

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// draft is an entry that Init is about to write.
type draft struct {
	heading string   // under which comment it stands
	name    string   // to make the id from
	found   string   // what was found, for the reason
	rule    string   // drafts of one rule have the same
	rowIDs  []string // the rows that it is made from
	// exact is true where the fields allow no more than the row; else the row's id
	// must pin it.
	exact  bool
	fields []field
}

// field is one key of a match; several values are alternatives. A name with a
// dot is a key of a nested mapping.
type field struct {
	name   string
	values []string
}

// set adds a field; "" is left out. What a policy cannot hold (bytes that are
// no UTF-8, blanks alone) is left out too and makes the draft inexact.
func (d *draft) set(name string, values ...string) {
	for _, v := range values {
		if v == "" {
			return
		}
		if !utf8.ValidString(v) || strings.TrimSpace(v) == "" {
			d.exact = false
			return
		}
	}
	if len(values) > 0 {
		d.fields = append(d.fields, field{name, values})
	}
}

func (d *draft) get(name string) []string {
	for _, f := range d.fields {
		if f.name == name {
			return f.values
		}
	}
	return nil
}

// keyWithout is equal for drafts of one rule that differ at most in that field.
func (d *draft) keyWithout(name string) string {
	var b strings.Builder
	b.WriteString(d.heading + "\x00" + d.rule)
	for _, f := range d.fields {
		b.WriteString("\x00" + f.name)
		if f.name != name {
			b.WriteString("\x01" + strings.Join(f.values, "\x01"))
		}
	}
	return b.String()
}

// mergeOn joins exact drafts that differ only in one field: what takes 80 and
// what takes 443, and goes to the same place, is one entry.
func mergeOn(drafts []*draft, name string) []*draft {
	first := map[string]*draft{}
	out := drafts[:0:0]
	for _, d := range drafts {
		key := d.keyWithout(name)
		to := first[key]
		if to == nil || !d.exact {
			out = append(out, d)
			if d.exact {
				first[key] = d
			}
			continue
		}
		to.join(d, name)
	}
	for _, d := range first {
		d.tidy(name)
	}
	return out
}

func (d *draft) join(o *draft, name string) {
	d.rowIDs = append(d.rowIDs, o.rowIDs...)
	for i := range d.fields {
		if d.fields[i].name == name {
			d.fields[i].values = append(d.fields[i].values, o.get(name)...)
		}
	}
}

func (d *draft) tidy(name string) {
	for i := range d.fields {
		if d.fields[i].name == name {
			d.fields[i].values = unique(d.fields[i].values)
		}
	}
}

// unique leaves out what stands earlier in the list.
func unique(values []string) []string {
	seen, out := make(map[string]bool, len(values)), values[:0:0]
	for _, v := range values {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// pin makes one draft of several: the ids of their rows, and the fields that
// all of them share, for the reader. Each row must have an id.
func pin(drafts []*draft) *draft {
	p := *drafts[0]
	p.exact, p.rowIDs, p.fields = true, nil, nil
	for _, d := range drafts {
		p.rowIDs = append(p.rowIDs, d.rowIDs...)
	}
	p.set("id", unique(p.rowIDs)...)
	for _, f := range drafts[0].fields {
		if f.name != "id" && shared(drafts, f) {
			p.fields = append(p.fields, f)
		}
	}
	return &p
}

// shared says whether all drafts have the field alike.
func shared(drafts []*draft, f field) bool {
	for _, d := range drafts {
		if !slices.Equal(d.get(f.name), f.values) {
			return false
		}
	}
	return true
}
