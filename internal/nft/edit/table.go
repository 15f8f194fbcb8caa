package edit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/nft"
)

// TableFiles names the raw dump and the names of the ipsets in it.
func (editor) TableFiles() []string { return []string{FileName, ipsetFile} }

// Tables gives the tables of a dump as World keeps it. What they name by a
// number that may be another by now (ipsets) has the number of now.
func (e editor) Tables(ctx context.Context, files map[string][]byte) ([]change.Table, error) {
	if files[FileName] == nil {
		return nil, nil // no nf_tables
	}
	d, err := ReadFile(files[FileName])
	if err != nil {
		return nil, err
	}
	names, err := readIPSets(files[ipsetFile])
	if err != nil {
		return nil, err
	}
	now := newIPSets(ctx)
	v := viewOf(d)
	out := make([]change.Table, 0, len(v.order))
	for _, t := range v.order {
		out = append(out, v.tableObject(t, names, now))
	}
	return out, nil
}

// ListTable reads the Raw of a table's object.
func (editor) ListTable(raw []byte) (map[string][]change.Listed, error) { return List(raw) }

func (v *view) tableObject(t *tableView, names map[uint16]string, now *ipsets) change.Table {
	out := change.Table{Unlike: t.unlike(), Besides: t.filled(), Shares: v.sharedHooks(t)}
	used, err := t.renumber(names, now)
	if err != nil && out.Unlike == "" {
		out.Unlike = err.Error()
	}
	out.Object = change.Object{
		Kind:        change.KindTable,
		Backend:     Backend,
		Family:      familyName(t.Family),
		Table:       t.Name,
		Fingerprint: t.fingerprint(),
		Text:        t.summary(),
		Raw:         WriteFile(&nft.Dump{Tables: []*nft.Table{t.Table}}),
		Names:       used,
	}
	return out
}

// unlike says what of a table nobody but its owner could make again.
func (t *tableView) unlike() string {
	if t.Flags&tableOwned != 0 {
		return fmt.Sprintf("it belongs to a process (netlink port %d, \"flags owner\"): only that process can change it; stop or reconfigure it", t.Owner)
	}
	if t.Flags&tablePersists != 0 {
		return "it was left by a process that owned it (\"flags persist\"): nobody else can make such a table"
	}
	return ""
}

// fingerprint is that of everything in the table that only commits change.
func (t *tableView) fingerprint() string {
	h := sha256.New()
	put := func(what string, prints []string) {
		fmt.Fprintf(h, "%d:%s %d\n", len(what), what, len(prints))
		for _, p := range prints {
			fmt.Fprintf(h, "%d:%s\n", len(p), p)
		}
	}
	_, _ = io.WriteString(h, string(familyName(t.Family))+" "+t.Name+"\n") // a hash takes everything
	put("", t.contents())
	for _, c := range t.Chains {
		if cv := t.chains[c.Name]; !cv.anonymous() {
			put("chain "+c.Name, cv.fingerprints())
		}
	}
	for _, s := range t.Sets {
		if settled(s) {
			put("set "+s.Name, t.printer.SetContents(s))
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// summary counts what is in the table.
func (t *tableView) summary() string {
	chains, rules, sets, elements := 0, 0, 0, 0
	for _, c := range t.Chains {
		if c.Flags&chainBinding == 0 {
			chains, rules = chains+1, rules+len(c.Rules)
		}
	}
	for _, s := range t.Sets {
		if s.Flags&unix.NFT_SET_ANONYMOUS == 0 {
			sets, elements = sets+1, elements+len(s.Elements)
		}
	}
	out := fmt.Sprintf("chains: %d, rules: %d", chains, rules)
	if sets > 0 {
		out += fmt.Sprintf(", sets: %d, elements: %d", sets, elements)
	}
	if len(t.Others) > 0 {
		out += fmt.Sprintf(", objects: %d", len(t.Others))
	}
	return out
}

// filled names the sets that packets or clocks fill: no fingerprint holds their elements.
func (t *tableView) filled() (out []string) {
	for _, s := range t.Sets {
		if !settled(s) && s.Flags&unix.NFT_SET_ANONYMOUS == 0 {
			out = append(out, fmt.Sprintf("set %s, which packets or clocks change, has %d elements again, with the time that they had left", s.Name, len(s.Elements)))
		}
	}
	return out
}

// sharedHooks names the tables of whose chains the order against those of t is
// by the time of their making (nf_register_net_hook: the kernel sorts by priority alone).
func (v *view) sharedHooks(t *tableView) (others []string) {
	for _, o := range v.order {
		name := string(familyName(o.Family)) + " " + o.Name
		if o != t && sharesHook(t, o) {
			others = append(others, name)
		}
	}
	return others
}

func sharesHook(a, b *tableView) bool {
	overlap := a.Family == b.Family || a.Family == unix.NFPROTO_INET && inetFamily(b.Family) || b.Family == unix.NFPROTO_INET && inetFamily(a.Family)
	if !overlap {
		return false
	}
	for _, c := range a.Chains {
		for _, d := range b.Chains {
			if c.Hook != nil && d.Hook != nil && c.Hook.Num == d.Hook.Num && c.Hook.Priority == d.Hook.Priority {
				return true
			}
		}
	}
	return false
}

func inetFamily(family uint8) bool { return family == unix.NFPROTO_IPV4 || family == unix.NFPROTO_IPV6 }
