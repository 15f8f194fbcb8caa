package edit

import (
	"context"
	"net/netip"
	"testing"

	"github.com/natwarden/natwarden/internal/flow"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func tuple(proto host.Proto, src, dst string) flow.Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return flow.Tuple{Proto: proto, Src: s.Addr(), SrcPort: s.Port(), Dst: d.Addr(), DstPort: d.Port()}
}

func TestAFlowIsFoundByEitherDirection(t *testing.T) {
	s := labtest.New(t, "conntrack", "nft")
	for _, c := range []struct {
		name, insert string
		tuple        flow.Tuple
		found        bool
		asked        string
	}{
		{"by its answer", web, tuple(host.TCP, "10.77.2.2:8080", "10.77.1.2:40000"), true, "10.77.1.1:80"},
		{"by its question", "", tuple(host.TCP, "10.77.1.2:40000", "10.77.1.1:80"), true, "10.77.1.1:80"},
		{"IPv6", web6, tuple(host.TCP, "[2001:db8:1::1]:8080", "[2001:db8::2]:40000"), true, "[2001:db8::1]:80"},
		{"not translated", plain, tuple(host.TCP, "10.77.1.1:80", "10.77.1.2:40002"), true, "10.77.1.1:80"},
		{"in a zone", "-p tcp --state ESTABLISHED -u SEEN_REPLY,ASSURED -s 10.77.1.9 -d 10.77.1.1 --sport 40000 --dport 80 -g 10.77.2.2:8080 -w 5",
			tuple(host.TCP, "10.77.2.2:8080", "10.77.1.9:40000"), true, "10.77.1.1:80"},
		{"another port", "", tuple(host.TCP, "10.77.2.2:8081", "10.77.1.2:40000"), false, ""},
		{"another protocol", "", tuple(host.UDP, "10.77.2.2:8080", "10.77.1.2:40000"), false, ""},
	} {
		if c.insert != "" {
			insert(t, s, c.insert)
		}
		s.MustDo(t, func(ctx context.Context) error {
			f, found, err := flow.Find(ctx, c.tuple)
			if err == nil && (found != c.found || found && netip.AddrPortFrom(f.Orig.Dst, f.Orig.DstPort).String() != c.asked) {
				t.Errorf("%s: %+v %v", c.name, f, found)
			}
			return err
		})
	}
}
