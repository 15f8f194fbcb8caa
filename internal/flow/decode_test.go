package flow

import (
	"net/netip"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

func tuple(src, dst string, proto byte, sport, dport uint16) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	kinds := [2]uint16{ipV4Src, ipV4Dst}
	if s.Is6() {
		kinds = [2]uint16{ipV6Src, ipV6Dst}
	}
	ip := appendAttr(nil, kinds[0], s.AsSlice())
	ip = appendAttr(ip, kinds[1], d.AsSlice())
	p := appendAttr(nil, protoNum, []byte{proto})
	p = appendAttr(p, protoSrcPort, []byte{byte(sport >> 8), byte(sport)})
	p = appendAttr(p, protoDstPort, []byte{byte(dport >> 8), byte(dport)})
	b := appendAttr(nil, tupleIP|nested, ip)
	return appendAttr(b, tupleProto|nested, p)
}

// entry is an IPCTNL_MSG_CT_NEW of a DNATed TCP flow.
func entry() []byte {
	b := appendAttr(genmsg(2), attrTupleOrig|nested, tuple("10.77.1.2", "10.77.1.1", 6, 40000, 80))
	b = appendAttr(b, attrTupleReply|nested, tuple("10.77.2.2", "10.77.1.2", 6, 8080, 40000))
	b = appendAttr(b, attrStatus, []byte{0, 0, 1, 0xae})
	b = appendAttr(b, attrTimeout, []byte{0, 0, 0, 100})
	b = appendAttr(b, attrMark, []byte{0, 0, 0, 7})
	b = appendAttr(b, attrZone, []byte{0, 5})
	return appendAttr(b, attrID, []byte{1, 2, 3, 4})
}

func TestDecode(t *testing.T) {
	f, err := decode(entry())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := f.String(), "tcp 10.77.1.2:40000 -> 10.77.1.1:80 (answered by 10.77.2.2:8080)"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if f.Status != 0x1ae || f.Timeout != 100*time.Second || f.Mark != 7 || f.Zone != 5 || f.ID != 0x01020304 || f.Orig.Proto != host.TCP {
		t.Errorf("read %+v", f)
	}
	if !f.Translated() || !IsKey(f.Key) {
		t.Errorf("not translated, or the key is none: %+v", f)
	}
}

func TestTornEntriesAreErrors(t *testing.T) {
	whole := entry()
	for n := range len(whole) {
		if n == 76 || n == 4 { // after the first tuple, before it: no tuples
			continue
		}
		if f, err := decode(whole[:n]); err == nil && (f.ID != 0 || !f.Reply.Src.IsValid()) {
			t.Errorf("cut to %d bytes: %+v", n, f)
		}
	}
	for name, b := range map[string][]byte{
		"nothing":         {},
		"no tuples":       genmsg(2),
		"short status":    appendAttr(entry(), attrStatus, []byte{1}),
		"short zone":      appendAttr(entry(), attrZone, []byte{1}),
		"address of five": appendAttr(genmsg(2), attrTupleOrig, appendAttr(nil, tupleIP, appendAttr(nil, ipV4Src, []byte{1, 2, 3, 4, 5}))),
		"v6 in v4":        appendAttr(genmsg(2), attrTupleOrig, appendAttr(nil, tupleIP, appendAttr(nil, ipV4Src, make([]byte, 16)))),
		"short port":      appendAttr(genmsg(2), attrTupleOrig, appendAttr(nil, tupleProto, appendAttr(nil, protoDstPort, []byte{1}))),
	} {
		if f, err := decode(b); err == nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// A key that does not name one flow would take others, or the whole table.
func TestKeysNameOneFlow(t *testing.T) {
	f, err := decode(entry())
	if err != nil {
		t.Fatal(err)
	}
	tupleOnly := appendAttr(genmsg(2), attrTupleOrig|nested, tuple("10.77.1.2", "10.77.1.1", 6, 40000, 80))
	for name, key := range map[string][]byte{
		"nothing": nil, "a family": genmsg(2), "no id": tupleOnly, "cut short": f.Key[:len(f.Key)-1],
		"no tuple": appendAttr(genmsg(2), attrID, []byte{1, 2, 3, 4}),
	} {
		if IsKey(key) {
			t.Errorf("%s is a key", name)
		}
		if _, err := (&Conn{}).Delete(key); err == nil {
			t.Errorf("%s was sent to the kernel", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(entry())
	f.Add(appendAttr(genmsg(10), attrTupleOrig|nested, tuple("::1", "::2", 17, 1, 2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decode(b)
		if err != nil {
			return
		}
		if !got.Orig.Dst.IsValid() || !got.Reply.Dst.IsValid() || got.String() == "" {
			t.Errorf("half a flow: %+v", got)
		}
	})
}
