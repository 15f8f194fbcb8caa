package edit

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xtables"
)

func TestTheRawFileComesBackAsItWas(t *testing.T) {
	s := space(t)
	s.MustRun(t, "", "ip6tables-legacy", "-A", "INPUT", "-j", "ACCEPT")
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		w, err := e.World(ctx)
		if err != nil {
			return err
		}
		d, err := ReadFile(w.Files["x_tables.raw"])
		if err != nil {
			return err
		}
		if want := dump(t, s); !reflect.DeepEqual(d.Tables, want.Tables) {
			t.Error("the file holds other tables than the kernel")
		}
		for file, want := range map[string]string{"iptables-legacy.v4.save": "[5:300] -A PREROUTING -d 10.77.1.1/32", "iptables-legacy.v6.save": "-A INPUT -j ACCEPT"} {
			if text := string(w.Files[file]); !strings.Contains(text, want) {
				t.Errorf("%s lacks %q:\n%s", file, want, text)
			}
			if _, err := xtables.ParseSave(bytes.NewReader(w.Files[file]), file); err != nil {
				t.Error(err)
			}
		}
		return nil
	})
}

// small is a raw file of two small tables and a set, made by hand.
func small() []byte {
	entry := make([]byte, 112+40) // a standard target without matches
	entry[88], entry[90], entry[112] = 112, 152, 40
	return WriteFile(&xtables.Dump{Tables: []*xtables.Table{
		{Family: host.IP, Name: "filter", ValidHooks: 2, Blob: entry},
		{Family: host.IP, Name: "empty"},
	}, SetNames: map[uint16]string{3: "web"}})
}

func TestADamagedRawFileIsAnError(t *testing.T) {
	whole := small()
	if d, err := ReadFile(whole); err != nil || len(d.Tables) != 2 || d.SetNames[3] != "web" {
		t.Fatalf("the whole file gives %+v, %v", d, err)
	}
	for n := range whole {
		if _, err := ReadFile(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken for a file", n, len(whole))
		}
	}
	if _, err := ReadFile(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a byte too many is accepted")
	}
}

func FuzzReadFile(f *testing.F) {
	f.Add(small())
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ReadFile(data)
		if err != nil {
			return
		}
		if again := WriteFile(d); !bytes.Equal(again, data) {
			t.Errorf("%x is written again as %x", data, again)
		}
		for _, table := range d.Tables {
			part, err := takeApart(d, table)
			if err != nil {
				continue
			}
			b, err := part.build()
			if err != nil || !bytes.Equal(b.Blob, table.Blob) || b.HookEntry != table.HookEntry {
				t.Errorf("taken apart and put together, %x is %+v, %v", table.Blob, b, err)
			}
		}
	})
}

// A journal may be damaged: what is put back is checked before the kernel sees it.
func FuzzRestored(f *testing.F) {
	entry := make([]byte, 112+40)
	entry[88], entry[90], entry[112] = 112, 152, 40
	f.Add(entry, "", false)
	f.Add(entry, "WEB", true)
	f.Fuzz(func(t *testing.T, raw []byte, jump string, six bool) {
		o := &change.Object{Kind: "rule", Backend: "x_tables", Family: host.IP, Table: "nat", Chain: "c", Raw: raw,
			Names: map[string]string{jumpName: jump}}
		if six {
			o.Family = host.IP6
		}
		sets := setFinder{known: map[string]uint16{"web": 3}}
		if e, err := restored(o, &sets); err == nil {
			t.Errorf("%+v was restored with a fingerprint that is empty", e)
		}
		if _, err := xtables.CheckEntry(o.Family, raw); err == nil {
			o.Fingerprint = xtables.Fingerprint(o.Family, raw, jump, func(uint16) string { return "" })
			if e, err := restored(o, &sets); err == nil && len(e.raw) != len(raw) {
				t.Errorf("%+v has other bytes", e)
			}
		}
	})
}
