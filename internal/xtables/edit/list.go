package edit

import (
	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

// List reads the raw dump of a snapshot as the places of its world, with the
// words of every rule.
func List(raw []byte) (map[string][]change.Listed, error) {
	d, err := ReadFile(raw)
	if err != nil {
		return nil, err
	}
	w := take(d)
	prints, out := map[string][]string{}, map[string][]change.Listed{}
	for _, key := range w.order {
		w.places(key, prints)
	}
	for place, all := range prints {
		for _, print := range all {
			out[place] = append(out[place], change.Listed{Fingerprint: print, Text: "chain and policy " + print})
		}
	}
	for _, key := range w.order {
		for _, c := range w.chainsOf(key) {
			here := []change.Listed{}
			for i, r := range c.rules {
				here = append(here, change.Listed{Fingerprint: r.print, Text: w.ruleText(key, c, i)})
			}
			out[legacy(key.family, key.name)+" "+c.name] = here
		}
		if w.tables[key] == nil {
			out[legacy(key.family, key.name)][0].Text = "the whole table, which is not laid out as iptables does it"
		}
	}
	return out, nil
}

func legacy(family host.Family, table string) string { return "legacy " + string(family) + " " + table }

// take takes the tables of a dump apart.
func take(d *xtables.Dump) *world {
	w := &world{dump: d, tables: map[tableKey]*table{}, broken: map[tableKey]error{}}
	for _, t := range d.Tables {
		key := tableKey{t.Family, t.Name}
		w.order = append(w.order, key)
		part, err := takeApart(d, t)
		if err != nil {
			w.broken[key] = err
			continue
		}
		w.tables[key] = part
	}
	return w
}
