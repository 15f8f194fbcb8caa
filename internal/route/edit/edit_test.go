package edit

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/route"
)

const redirects = `link add dev e0 type veth peer name e1
addr add 10.77.1.1/24 dev e0
addr add 10.77.2.1/24 dev e1
addr add fd77:1::1/64 dev e0 nodad
link set lo up
link set e0 up
link set e1 up
route add local 203.0.113.0/24 dev lo
-6 route add local 2001:db8::/32 dev lo metric 77
rule add pref 100 lookup local
rule del pref 0
rule add pref 10 iif e0 ipproto tcp dport 80 lookup 200
rule add pref 12 fwmark 0x20/0xff tos 0x10 ipproto udp lookup 200
route add default via 10.77.2.2 table 200 mtu 1400
neigh add proxy 10.77.1.78 dev e0
-6 neigh add proxy fd77:1::78 dev e0`

func network(t *testing.T) labtest.Space {
	s := labtest.New(t, "ip", "sysctl")
	for _, line := range strings.Split(redirects, "\n") {
		s.MustRun(t, "", append([]string{"ip"}, strings.Fields(line)...)...)
	}
	s.MustRun(t, "", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.e0.proxy_ndp=1", "net.ipv4.conf.e0.proxy_arp=1")
	return s
}

// listing is what ip and sysctl say, in an order that does not depend on time.
func listing(t *testing.T, s labtest.Space) string {
	var out []string
	for _, argv := range []string{"ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all", "ip neigh show proxy", "ip -6 neigh show proxy", "sysctl net.ipv4.conf.e0.proxy_arp"} {
		lines := strings.Split(s.MustRun(t, "", strings.Fields(argv)...), "\n")
		slices.Sort(lines)
		out = append(out, lines...)
	}
	return strings.Join(out, "\n")
}

func TestRedirectsGoAndComeBack(t *testing.T) {
	s := network(t)
	before := listing(t, s)
	var steps []change.Step
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		if len(refs) != 7 {
			t.Errorf("%d redirects found, want 7: %v", len(refs), ids)
		}
		var refused []change.Refusal
		var err error
		steps, refused, err = New().Steps(ctx, refs, ids)
		if failed, _ := New().Check(ctx, steps); len(failed)+len(refused) > 0 {
			t.Errorf("refused %v, failed %v", refused, failed)
		}
		if err != nil {
			return err
		}
		_, err = New().Edit(ctx, 0, steps)
		return err
	})
	s.MustDo(t, func(ctx context.Context) error {
		if refs, ids := found(ctx, t); len(refs) != 0 {
			t.Errorf("still there: %v", ids)
		}
		_, err := New().Edit(ctx, 0, change.Invert(steps))
		return err
	})
	if after := listing(t, s); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestAFailingStepUndoesTheOthers(t *testing.T) {
	s := network(t)
	before := listing(t, s)
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		steps, _, err := New().Steps(ctx, refs, ids)
		if err != nil {
			return err
		}
		steps = append(steps, change.Step{Action: change.Delete, Before: &change.Object{Kind: "nonsense", Text: "nonsense"}})
		if _, err := New().Edit(ctx, 0, steps); err == nil {
			t.Error("a step that cannot be done went unnoticed")
		}
		return nil
	})
	if after := listing(t, s); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

func TestWhatIsGoneIsStale(t *testing.T) {
	s := network(t)
	s.MustDo(t, func(ctx context.Context) error {
		refs, ids := found(ctx, t)
		steps, _, err := New().Steps(ctx, refs[:1], ids[:1])
		if err != nil {
			return err
		}
		if _, err := New().Edit(ctx, 0, steps); err != nil {
			return err
		}
		if _, _, err := New().Steps(ctx, refs[:1], ids[:1]); !errors.Is(err, change.ErrStale) {
			t.Errorf("got %v, want ErrStale", err)
		}
		return nil
	})
}

func TestTheWorldNamesEveryObject(t *testing.T) {
	s := network(t)
	s.MustDo(t, func(ctx context.Context) error {
		w, err := New().World(ctx)
		if err != nil {
			return err
		}
		got := slices.Sorted(maps.Keys(w.Places))
		if want := []string{"rtnetlink neighbour", "rtnetlink route", "rtnetlink rule"}; !slices.Equal(got, want) {
			t.Errorf("places %v, want %v", got, want)
		}
		return nil
	})
}

func TestOnlyKnownSysctlsAreSet(t *testing.T) {
	for _, key := range []string{"", "ipv4/conf/../../../kernel/core_pattern", "ipv4/conf//proxy_arp", "ipv4/conf/../proxy_arp", "ipv4/ip_forward"} {
		if err := setSysctl(&change.Object{Names: map[string]string{"key": key}, Raw: []byte("1")}); err == nil {
			t.Errorf("sysctl %q was set", key)
		}
	}
}

// found lists the redirects that can be ended.
func found(ctx context.Context, t *testing.T) (refs []host.Ref, ids []string) {
	var space host.Space
	if _, err := (route.Source{}).Read(ctx, &space); err != nil {
		t.Error(err)
	}
	for _, r := range space.Redirects {
		if r.State == host.Active && r.Ref != nil {
			refs, ids = append(refs, *r.Ref), append(ids, r.Kind)
		}
	}
	return refs, ids
}
