package edit

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestASnapshotLoadsAsItIs(t *testing.T) {
	from, to := labtest.New(t, "iptables-legacy-restore", "ip6tables-legacy-restore"), labtest.New(t)
	from.MustRun(t, `*nat
:PREROUTING ACCEPT [7:420]
:A-B - [0:0]
-A PREROUTING -p tcp -m multiport --dports 80,443 -j A-B
-A A-B -p tcp -m comment --comment "a b" -j DNAT --to-destination 10.0.0.2:8080-8090
-A A-B -m limit --limit 5/min -j RETURN
COMMIT
*filter
:INPUT DROP [0:0]
-A INPUT -m conntrack --ctstate NEW -j ACCEPT
COMMIT
`, "iptables-legacy-restore", "-c")
	from.MustRun(t, "*mangle\n-A PREROUTING -p tcp --dport 81 -j TPROXY --on-port 1 --tproxy-mark 0x1/0x1\nCOMMIT\n", "ip6tables-legacy-restore")
	var is, became *change.World
	from.MustDo(t, func(ctx context.Context) (err error) { is, err = New("").World(ctx); return err })
	to.MustDo(t, func(ctx context.Context) error {
		lacking, err := Load(ctx, is.Files[FileName])
		if err != nil || len(lacking) > 0 {
			t.Errorf("%q %v", lacking, err)
		}
		if became, err = New("").World(ctx); err != nil {
			return err
		}
		if _, err := Load(ctx, is.Files[FileName]); err == nil || !strings.Contains(err.Error(), "only an empty one") {
			t.Errorf("loaded into what is not empty: %v", err)
		}
		return nil
	})
	if !reflect.DeepEqual(is.Places, became.Places) || len(is.Places) < 6 {
		t.Errorf("%v\nwas\n%v", became.Places, is.Places)
	}
}

func TestATableThatTheKernelRefusesIsNamed(t *testing.T) {
	from, to := labtest.New(t, "iptables-legacy-restore", "ipset"), labtest.New(t)
	from.MustRun(t, "", "ipset", "create", "web", "hash:ip")
	from.MustRun(t, "*nat\n-A PREROUTING -p tcp -m set --match-set web src -j REDIRECT --to-ports 8080\nCOMMIT\n*filter\n-A INPUT -p tcp -j ACCEPT\nCOMMIT\n", "iptables-legacy-restore")
	var is *change.World
	from.MustDo(t, func(ctx context.Context) (err error) { is, err = New("").World(ctx); return err })
	to.MustDo(t, func(ctx context.Context) error {
		lacking, err := Load(ctx, is.Files[FileName])
		if err != nil || len(lacking) != 1 || !strings.HasPrefix(lacking[0], "legacy ip nat: ") {
			t.Errorf("%q %v", lacking, err)
		}
		return nil
	})
}
