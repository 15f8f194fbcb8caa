package edit

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/nft"
)

func TestTenThousandOfFiftyThousandComeBack(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := labtest.New(t, "iptables-nft-restore")
	const chains = 20
	var rules strings.Builder
	rules.WriteString("*nat\n")
	for c := range chains {
		fmt.Fprintf(&rules, ":C%d -\n-A PREROUTING -j C%d\n", c, c)
	}
	for i := range 50000 {
		fmt.Fprintf(&rules, "-A C%d -d 172.%d.%d.%d/32 -p tcp -m tcp --dport %d -j DNAT --to-destination 10.0.0.1:8080\n", i%chains, 16+i>>16, i>>8&255, i&255, 1024+i%60000)
	}
	rules.WriteString("COMMIT\n")
	s.MustRun(t, rules.String(), "iptables-nft-restore")
	start := time.Now()
	thereAndBack(t, s, func(d *nft.Dump) []host.Ref {
		return refsTo(d, func(_ *tableView, _ *chainView, i int) bool { return i%5 == 1 })
	})
	t.Logf("10,000 of 50,000 rules checked, removed and put back in %s", time.Since(start).Round(time.Millisecond))
}
