package edit

import (
	"context"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

// FileName is the name under which World gives the raw tables.
const FileName = "x_tables.raw"

// The texts that World gives beside it.
const (
	text4 = "iptables-legacy.v4.save"
	text6 = "iptables-legacy.v6.save"
)

// World reads all tables. Places are named "legacy ip nat PREROUTING", so
// that they are never mistaken for those of nf_tables; "legacy ip nat" holds
// the chains with their policies. A table that is laid out as no iptables does
// it counts as one place, by its bytes.
func (e *editor) World(ctx context.Context) (*change.World, error) {
	w, err := look(ctx)
	if err != nil {
		return nil, err
	}
	out := &change.World{Backend: xtables.Source, Places: map[string][]string{}, Files: map[string][]byte{}}
	for _, key := range w.order {
		w.places(key, out.Places)
	}
	if len(w.order) == 0 {
		return out, nil
	}
	out.Files[FileName] = WriteFile(w.dump)
	for file, family := range map[string]host.Family{text4: host.IP, text6: host.IP6} {
		if text := xtables.FamilyText(w.dump, family, w.env()); text != "" {
			out.Files[file] = []byte(text)
		}
	}
	return out, nil
}

func (w *world) places(key tableKey, places map[string][]string) {
	prefix := "legacy " + string(key.family) + " " + key.name
	t := w.tables[key]
	if t == nil {
		places[prefix] = []string{fingerprintOf(w.blob(key))}
		return
	}
	chains := make([]string, 0, len(t.chains))
	for _, c := range t.chains {
		chains = append(chains, strings.TrimRight(c.name+" "+c.policyName(), " "))
		prints := make([]string, 0, len(c.rules))
		for _, r := range c.rules {
			prints = append(prints, r.print)
		}
		places[prefix+" "+c.name] = prints
	}
	places[prefix] = chains
}
