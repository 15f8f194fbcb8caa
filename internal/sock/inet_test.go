package sock

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestConnectionsByProcNet(t *testing.T) {
	s := labtest.New(t)
	s.MustDo(t, s.Loopback)
	s.MustDo(t, func(context.Context) error {
		l, err := net.Listen("tcp", "[::]:0")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		c, err := net.Dial("tcp4", strings.Replace(l.Addr().String(), "[::]", "127.0.0.1", 1))
		if err != nil {
			return err
		}
		t.Cleanup(func() { c.Close() })
		accepted, err := l.Accept() // until then it has no inode
		if err != nil {
			return err
		}
		t.Cleanup(func() { accepted.Close() })
		all, err := ListInet("tcp")
		if err != nil {
			return err
		}
		here, there := c.LocalAddr().String(), c.RemoteAddr().String()
		for _, want := range [][3]string{{here, there, "1"}, {there, here, "1"}, {l.Addr().String(), "[::]:0", "10"}} {
			if !slices.ContainsFunc(all, func(x Inet) bool {
				return x.Local.String() == want[0] && x.Remote.String() == want[1] && x.Inode != 0 && (x.State == stateListen) == (want[2] == "10")
			}) {
				t.Errorf("%v is not in %v", want, all)
			}
		}
		return nil
	})
}

func TestTornSocketLinesAreErrors(t *testing.T) {
	for _, text := range []string{"0: 0100007F:0016 00000000:0000 0A", "0: 0100007F 00000000:0000 0A 0:0 0:0 0 0 0 7", "0: 0100007F:0016 00000000:0000 zz 0:0 0:0 0 0 0 7"} {
		if got, err := parseSocket(strings.Fields(text)); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

// FuzzSocketLine feeds torn lines of /proc/net/tcp.
func FuzzSocketLine(f *testing.F) {
	f.Add("0: 0100007F:0016 00000000:0000 0A 0:0 0:0 0 0 0 7")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parseSocket(strings.Fields(text)); err == nil && (len(got) != 1 || !got[0].Local.IsValid()) {
			t.Errorf("%q is taken for %v", text, got)
		}
	})
}
