package sock

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// message is a struct inet_diag_msg of a listening TCP socket on port 80.
func message(family byte, attrs ...byte) []byte {
	b := make([]byte, sizeofMsg)
	b[0], b[1] = family, stateListen
	binary.BigEndian.PutUint16(b[4:], 80)
	return append(b, attrs...)
}

func attr(kind uint16, payload ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(payload)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, payload...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func TestTornAnswersAreErrors(t *testing.T) {
	whole := message(unix.AF_INET, attr(attrSockopt, 1<<5, 0)...)
	if s, err := decode(whole); err != nil || !s.transparent || s.port != 80 {
		t.Fatalf("the whole message: %+v, %v", s, err)
	}
	for name, b := range map[string][]byte{
		"empty":               {},
		"short":               whole[:sizeofMsg-1],
		"attribute cut":       whole[:sizeofMsg+5],
		"attribute too short": message(unix.AF_INET, 3, 0, 22, 0),
		"another family":      message(unix.AF_UNIX),
		"half a local":        message(unix.AF_INET, attr(attrLocals, make([]byte, 100)...)...),
		"local of no family":  message(unix.AF_INET, attr(attrLocals, make([]byte, 128)...)...),
	} {
		if _, err := decode(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMultiHomedAddresses(t *testing.T) {
	locals := make([]byte, 256)
	binary.NativeEndian.PutUint16(locals, unix.AF_INET)
	copy(locals[4:], []byte{10, 0, 0, 1})
	binary.NativeEndian.PutUint16(locals[128:], unix.AF_INET6)
	copy(locals[128+8:], []byte{0x20, 0x01})
	s, err := decode(message(unix.AF_INET6, attr(attrLocals, locals...)...))
	if err != nil || len(s.addresses()) != 2 || s.addresses()[0].String() != "10.0.0.1" || s.addresses()[1].String() != "2001::" {
		t.Errorf("read %v, %v", s.addresses(), err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(message(unix.AF_INET, attr(attrSockopt, 1<<5, 0)...))
	f.Add(message(unix.AF_INET6, attr(attrV6Only, 1)...))
	f.Add(message(unix.AF_INET6, attr(attrLocals, make([]byte, 128)...)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decode(b)
		if err != nil {
			return
		}
		for _, a := range s.addresses() {
			if l := s.listener("tcp", a, addressText(a), ""); l.Address == "" || l.V6Only && l.DualStack {
				t.Errorf("half a listener: %+v", l)
			}
		}
	})
}
