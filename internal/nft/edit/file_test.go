package edit

import (
	"bytes"
	"context"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/nft"
)

func TestTheRawFileHoldsTheWholeDump(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, kinds, "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		w, err := New().World(ctx)
		if err != nil {
			return err
		}
		d, err := ReadFile(w.Files[FileName])
		if err != nil {
			return err
		}
		again := worldOf(d)
		if again.Generation != w.Generation || !bytes.Equal(again.Files[FileName], w.Files[FileName]) {
			t.Error("the file read and written again is another")
		}
		compare2(t, w.Places, again.Places)
		return nil
	})
}

// smallDump is a table with one of everything.
func smallDump() *nft.Dump {
	name := func(typ uint16, s string) []byte { return nft.AppendText(nil, typ, s) }
	t := &nft.Table{Family: 2, Name: "t", Attrs: name(1, "t")}
	c := &nft.Chain{Name: "c", Attrs: append(name(1, "t"), name(3, "c")...)}
	c.Rules = []*nft.Rule{{Attrs: append(name(1, "t"), name(2, "c")...)}}
	t.Chains = []*nft.Chain{c}
	t.Sets = []*nft.Set{{Name: "s", Attrs: append(name(1, "t"), name(2, "s")...), Elements: [][]byte{endAt([]byte("k"))}}}
	t.Others = [][]byte{name(1, "t")}
	return &nft.Dump{Generation: 7, Tables: []*nft.Table{t}}
}

func TestADamagedRawFileIsRefused(t *testing.T) {
	good := WriteFile(smallDump())
	if _, err := ReadFile(good); err != nil {
		t.Fatal(err)
	}
	for n := range len(good) {
		if _, err := ReadFile(good[:n]); err == nil {
			t.Errorf("cut after %d of %d bytes, it was read", n, len(good))
		}
	}
	if _, err := ReadFile(append(bytes.Clone(good), 0)); err == nil {
		t.Error("with a byte too many it was read")
	}
	swapped := bytes.Replace(good, []byte("t\x00\x00\x00"), []byte("u\x00\x00\x00"), 1)
	if _, err := ReadFile(swapped); err == nil {
		t.Error("with chains of another table it was read")
	}
}

func FuzzReadFile(f *testing.F) {
	f.Add(WriteFile(smallDump()))
	f.Add(WriteFile(&nft.Dump{}))
	f.Add([]byte(fileHead + byteOrder()))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ReadFile(b)
		if err != nil {
			return
		}
		if !bytes.Equal(WriteFile(d), b) {
			t.Error("read and written again it is another file")
		}
		worldOf(d)
		for _, tv := range viewOf(d).order {
			for _, c := range tv.chains {
				for _, r := range c.Rules {
					left, _ := tv.collect(r, cut{})
					left.fingerprint(c, r)
					compat(tv.Family, r.Exprs)
					acceptable(r.Exprs)
				}
			}
			for _, s := range tv.Sets {
				for _, e := range s.Elements {
					without(s, s.Elements, value(keyOf(e)))
				}
			}
		}
	})
}
