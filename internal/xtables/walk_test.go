package xtables_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
)

// blobs are tables of real kernels under testdata, as hooks and entries.
func blobs(t testing.TB) map[host.Family]*xtables.Table {
	t.Helper()
	out := map[host.Family]*xtables.Table{}
	for family, file := range map[host.Family]string{host.IP: "nat4.blob", host.IP6: "nat6.blob"} {
		data, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		table := xtables.Table{Family: family, Name: "nat", ValidHooks: 0b11011, Blob: data[40:]}
		for i := range 5 {
			table.HookEntry[i] = binary.LittleEndian.Uint32(data[4*i:])
			table.Underflow[i] = binary.LittleEndian.Uint32(data[20+4*i:])
		}
		if out[family], err = xtables.NewTable(table); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestKeepBlobs writes the tables under testdata anew when asked to.
func TestKeepBlobs(t *testing.T) {
	if os.Getenv("NATWARDEN_UPDATE") == "" {
		t.Skip("set NATWARDEN_UPDATE=1 to write testdata anew from this kernel")
	}
	for _, table := range read(t, withRules(t)).Tables {
		if table.Name != "nat" {
			continue
		}
		var b []byte
		for _, offsets := range [][5]uint32{table.HookEntry, table.Underflow} {
			for _, n := range offsets {
				b = binary.LittleEndian.AppendUint32(b, n)
			}
		}
		file := map[host.Family]string{host.IP: "nat4.blob", host.IP6: "nat6.blob"}[table.Family]
		if err := os.WriteFile(filepath.Join("testdata", file), append(b, table.Blob...), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestATornTableIsAnError(t *testing.T) {
	for family, whole := range blobs(t) {
		for n := range len(whole.Blob) {
			torn := *whole
			torn.Blob = whole.Blob[:n]
			table, err := xtables.NewTable(torn)
			if err == nil {
				_, err = table.Chains()
			}
			if err == nil {
				t.Errorf("%s: %d of %d bytes are taken for a table", family, n, len(whole.Blob))
			}
		}
	}
}

// What is not understood must show: with a match and a target that nobody
// knows, the rule stays, opaque, and the table is blind.
func TestUnknownMatchAndTarget(t *testing.T) {
	table := blobs(t)[host.IP]
	table.Blob = []byte(strings.ReplaceAll(strings.ReplaceAll(string(table.Blob), "addrtype\x00", "addrxxxx\x00"), "DNAT\x00", "DNAX\x00"))
	tables, blind := xtables.Decode(&xtables.Dump{Tables: []*xtables.Table{table}}, xt.Env{})
	if len(blind) != 3 || !strings.Contains(blind[1].Why, `match "addrxxxx" revision 1`) || blind[1].What != "ip nat PREROUTING rule 3" ||
		!strings.Contains(blind[0].Why, `target "DNAX"`) || blind[2].What != "ip nat WEB rule 1" {
		t.Errorf("blind is %+v", blind)
	}
	rules := tables[0].Chains[0].Rules
	b := rules[0].Branches[0]
	if b.Verdict != host.Uncertain || len(b.Effects) != 1 || b.Effects[0].Unknown == "" || len(rules[0].Opaque) != 1 || rules[0].Text == "" {
		t.Errorf("the rule with an unknown target is %+v", rules[0])
	}
	if c := rules[2].Branches[0].Match.Conditions; len(c) != 1 || len(rules[2].Opaque) != 1 || rules[2].Branches[0].Chain != "WEB" {
		t.Errorf("the rule with an unknown match is %+v", rules[2])
	}
}

// A table whose chains are laid out as no iptables does it is blind, not empty.
func TestAForeignLayoutIsBlind(t *testing.T) {
	table := blobs(t)[host.IP]
	table.Underflow[0] = table.HookEntry[0]
	tables, blind := xtables.Decode(&xtables.Dump{Tables: []*xtables.Table{table}}, xt.Env{})
	if len(tables) != 0 || len(blind) != 1 || blind[0].What != "ip nat" {
		t.Errorf("tables %v, blind %v", tables, blind)
	}
}

func FuzzEntries(f *testing.F) {
	for family, table := range blobs(f) {
		f.Add(family == host.IP6, table.Blob, table.HookEntry[0], table.Underflow[0])
	}
	f.Fuzz(func(t *testing.T, six bool, blob []byte, entry, underflow uint32) {
		table := xtables.Table{Family: host.IP, Name: "nat", ValidHooks: 1, Blob: blob}
		table.HookEntry[0], table.Underflow[0] = entry, underflow
		if six {
			table.Family = host.IP6
		}
		whole, err := xtables.NewTable(table)
		if err != nil {
			return
		}
		d := &xtables.Dump{Tables: []*xtables.Table{whole}}
		xtables.Decode(d, xt.Env{})
		xtables.Text(d, xt.Env{})
		if chains, err := whole.Chains(); err == nil {
			for _, c := range chains {
				d.Fingerprints(whole, c, whole.Starts(chains))
			}
		}
	})
}
