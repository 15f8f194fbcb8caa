package nft

import (
	"bytes"
	"testing"
)

func TestWalkTellsATornList(t *testing.T) {
	list := AppendText(AppendU32(nil, 5, 7), 6|0x8000, "web")
	for n := range len(list) + 1 {
		var seen []uint16
		err := Walk(list[:n], func(typ uint16, _ []byte) { seen = append(seen, typ) })
		if whole := n == 0 || n == 8 || n == len(list); (err == nil) != whole {
			t.Errorf("the first %d bytes: %v, types %v", n, err, seen)
		}
	}
	if U32(Find(list, 5)) != 7 || Text(Find(list, 6)) != "web" || Find(list, 7) != nil {
		t.Errorf("found %d, %q, %v", U32(Find(list, 5)), Text(Find(list, 6)), Find(list, 7))
	}
}

func TestLastAttributeMayLackItsPadding(t *testing.T) {
	list := AppendAttr(nil, 1, []byte("abcde"))
	if got := Find(list[:9], 1); string(got) != "abcde" {
		t.Errorf("got %q", got)
	}
	if err := Walk(list[:9], func(uint16, []byte) {}); err != nil {
		t.Error(err)
	}
}

func FuzzWalk(f *testing.F) {
	f.Add(AppendNest(AppendU64(nil, 1, 2), 3, AppendText(nil, 4, "x")))
	f.Add([]byte{4, 0, 1, 0})
	f.Add([]byte{3, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var rebuilt []byte
		err := Walk(b, func(typ uint16, data []byte) {
			rebuilt = AppendAttr(rebuilt, typ, data)
			if Find(b, typ) == nil {
				t.Errorf("type %d was walked but not found", typ)
			}
			_ = Walk(data, func(uint16, []byte) {})
		})
		if err == nil && len(rebuilt) != align(len(b)) {
			t.Errorf("%d bytes were rebuilt as %d", len(b), len(rebuilt))
		}
		_ = Messages(b, func(m Message) error {
			if !bytes.Contains(b, m.Body) {
				t.Error("a message outside of the datagram")
			}
			return nil
		})
		_, _ = Expressions(b)
		table := &Table{Name: "t", Sets: []*Set{{Name: "__set0", Flags: 1, Attrs: b, Elements: [][]byte{b}}}, Chains: []*Chain{{Name: "c", Flags: 4}}}
		rule := &Rule{}
		_, _, _ = ParseRule(b, rule)
		rule.Exprs = b
		table.Chains[0].Rules = []*Rule{rule}
		Fingerprint(table, table.Chains[0], rule)
	})
}
