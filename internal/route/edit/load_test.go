package edit

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/route"
)

func TestASnapshotLoadsAsItIs(t *testing.T) {
	from, to := labtest.New(t, "ip"), labtest.New(t, "ip")
	for _, s := range []labtest.Space{from, to} {
		s.MustRun(t, "", "ip", "link", "add", "h0", "index", "7", "type", "veth", "peer", "name", "p0")
		s.MustRun(t, "", "ip", "link", "set", "h0", "up")
		s.MustRun(t, "", "ip", "link", "set", "lo", "up")
	}
	for _, words := range []string{"rule add pref 5 fwmark 1 lookup 100", "route add local default dev lo table 100", "route add local 192.0.2.0/24 dev lo",
		"neigh add proxy 192.0.2.7 dev h0", "-6 rule add pref 6 from 2001:db8::/32 lookup 101", "rule del pref 0", "rule add pref 10 lookup local"} {
		from.MustRun(t, "", append([]string{"ip"}, strings.Fields(words)...)...)
	}
	var is, became *change.World
	from.MustDo(t, func(ctx context.Context) (err error) { is, err = New().World(ctx); return err })
	to.MustDo(t, func(ctx context.Context) error {
		lacking, err := Load(ctx, is.Files[rawFile])
		if err != nil || len(lacking) > 0 {
			t.Errorf("%q %v", lacking, err)
		}
		became, err = New().World(ctx)
		return err
	})
	if !reflect.DeepEqual(is.Places, became.Places) || len(is.Places["rtnetlink "+route.KindRule]) < 7 || len(is.Places["rtnetlink "+route.KindRoute]) < 2 {
		t.Errorf("%v\nwas\n%v", became.Places, is.Places)
	}
}

func TestWhatCannotBeLoadedIsNamed(t *testing.T) {
	from, to := labtest.New(t, "ip"), labtest.New(t)
	from.MustRun(t, "", "ip", "link", "add", "h0", "index", "7", "type", "veth", "peer", "name", "p0")
	from.MustRun(t, "", "ip", "link", "set", "h0", "up")
	from.MustRun(t, "", "ip", "neigh", "add", "proxy", "192.0.2.7", "dev", "h0")
	var is *change.World
	from.MustDo(t, func(ctx context.Context) (err error) { is, err = New().World(ctx); return err })
	to.MustDo(t, func(ctx context.Context) error {
		lacking, err := Load(ctx, is.Files[rawFile])
		if err != nil || len(lacking) != 1 || !strings.HasPrefix(lacking[0], "neighbour ") {
			t.Errorf("%q %v", lacking, err)
		}
		return nil
	})
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("rule 2\nab\nroute 0\n\n"))
	f.Add([]byte("rule 99\nab\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		objects, err := parseFile(b)
		var again []byte
		for _, o := range objects {
			again = append(again, frame(route.Object{Kind: o.Kind, Raw: o.Raw})...)
		}
		if more, errAgain := parseFile(again); err == nil && (errAgain != nil || len(more) != len(objects)) {
			t.Errorf("%q: %d objects, then %d: %v", b, len(objects), len(more), errAgain)
		}
	})
}
