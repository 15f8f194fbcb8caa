package nft

import (
	"context"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestAListingHoldsEveryRule(t *testing.T) {
	s := labtest.New(t, "nft", "iptables-nft")
	s.MustRun(t, `table inet fw { chain input { type filter hook input priority 0; policy drop;
  ct state established accept
  tcp dport { 22, 80 } counter accept comment "ours"
  jump more;
}
  chain more { ip saddr 10.0.0.0/8 log prefix "x" return; };
}`, "nft", "-f", "-")
	s.MustRun(t, "", "iptables-nft", "-A", "INPUT", "-p", "tcp", "-m", "multiport", "--dports", "1,2", "-j", "LOG", "--log-prefix", "y")
	s.MustDo(t, func(ctx context.Context) error {
		d, err := Read(ctx, Options{})
		if err != nil {
			return err
		}
		got := Listing(d, Env{})
		for _, want := range []string{`table inet "fw" {`, "policy drop", "ct state established accept", "tcp dport { 22, 80 }", `comment "ours"`, "jump more", "-A INPUT -p tcp -m multiport --dports 1,2 -j LOG"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is missing in\n%s", want, got)
			}
		}
		return nil
	})
}
