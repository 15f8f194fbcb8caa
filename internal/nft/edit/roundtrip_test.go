package edit

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/nft"
)

// picked chooses rules of a dump.
type picked func(t *tableView, c *chainView, i int) bool

func everyRule(*tableView, *chainView, int) bool { return true }

// refsTo names the picked rules of the chains that stand by themselves.
func refsTo(d *nft.Dump, pick picked) []host.Ref {
	var refs []host.Ref
	for _, t := range viewOf(d).order {
		for _, raw := range t.Chains {
			c := t.chains[raw.Name]
			for i, r := range c.Rules {
				if !c.anonymous() && pick(t, c, i) {
					refs = append(refs, host.Ref{Backend: Backend, Family: familyName(t.Family), Table: t.Name, Chain: c.Name,
						Handle: r.Handle, Index: i + 1, Fingerprint: c.fingerprints()[i]})
				}
			}
		}
	}
	return refs
}

func dump(ctx context.Context) (*nft.Dump, error) { return nft.Read(ctx, nft.Options{Objects: true}) }

// bytesOf is what must come back: the raw bytes of every rule in order, and the
// elements of every set. Counters are among the bytes.
func bytesOf(d *nft.Dump) map[string][]string {
	out := map[string][]string{}
	for _, t := range d.Tables {
		for _, c := range t.Chains {
			key := fmt.Sprintf("%d %s %s", t.Family, t.Name, c.Name)
			out[key] = []string{}
			for _, r := range c.Rules {
				out[key] = append(out[key], fmt.Sprintf("%x %x", r.Exprs, r.Userdata))
			}
		}
		for _, s := range t.Sets {
			key := fmt.Sprintf("%d %s @%s", t.Family, t.Name, s.Name)
			out[key] = []string{fmt.Sprintf("%x %d %d %d %d %x", s.Flags, s.KeyType, s.KeyLen, s.DataType, s.DataLen, s.Userdata)}
			for _, e := range s.Elements {
				out[key] = append(out[key], fmt.Sprintf("%x", withoutExpiration(e)))
			}
			slices.Sort(out[key][1:])
		}
	}
	return out
}

func withoutExpiration(e []byte) []byte {
	return rewriteOne(e, unix.NFTA_SET_ELEM_EXPIRATION, func([]byte) []byte { return nil })
}

// thereAndBack proves, applies and takes back the steps that end refs.
func thereAndBack(t *testing.T, s labtest.Space, refs func(d *nft.Dump) []host.Ref) {
	t.Helper()
	s.MustDo(t, func(ctx context.Context) error {
		e := New()
		before, err := dump(ctx)
		if err != nil {
			return err
		}
		named := refs(before)
		if len(named) == 0 {
			t.Fatal("the test names nothing")
		}
		steps, refusals, err := e.Steps(ctx, named, make([]string, len(named)))
		if err != nil {
			return err
		}
		for _, r := range refusals {
			t.Errorf("refused: %s", r.Why)
		}
		mustCheck(ctx, t, e, steps)
		checked, err := dump(ctx)
		if err != nil {
			return err
		}
		if checked.Generation != before.Generation {
			t.Errorf("checking moved the generation from %d to %d", before.Generation, checked.Generation)
		}
		mustEdit(ctx, t, e, before.Generation, steps)
		without, err := dump(ctx)
		if err != nil {
			return err
		}
		if reflect.DeepEqual(bytesOf(without), bytesOf(before)) {
			t.Error("applying the steps changed nothing")
		}
		back := change.Invert(steps)
		mustCheck(ctx, t, e, back)
		mustEdit(ctx, t, e, without.Generation, back)
		after, err := dump(ctx)
		if err != nil {
			return err
		}
		compare2(t, bytesOf(before), bytesOf(after))
		compare2(t, worldOf(before).Places, worldOf(after).Places)
		return nil
	})
}

func mustCheck(ctx context.Context, t *testing.T, e change.Editor, steps []change.Step) {
	t.Helper()
	failed, err := e.Check(ctx, steps)
	if err != nil {
		t.Fatal(err)
	}
	for i, why := range failed {
		t.Errorf("check of %s %s: %s", steps[i].Action, objectName(steps[i].Object()), why)
	}
}

func mustEdit(ctx context.Context, t *testing.T, e change.Editor, generation uint32, steps []change.Step) {
	t.Helper()
	out, err := e.Edit(ctx, generation, steps)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Notes)+len(out.Undone) > 0 {
		t.Errorf("notes %q, undone %v", out.Notes, out.Undone)
	}
}

func compare2(t *testing.T, want, got map[string][]string) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(want[key], got[key]) {
			t.Errorf("%s is not as it was:\n%s\nwas\n%s", key, lines(got[key]), lines(want[key]))
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s is new", key)
		}
	}
}

func lines(s []string) string {
	var b bytes.Buffer
	for _, l := range s {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	return b.String()
}

const kinds = `
table ip t {
	counter hits { packets 5 bytes 6 }
	set seen { type ipv4_addr; size 65535; flags dynamic; }
	set fresh { type ipv4_addr; size 65535; flags dynamic,timeout; timeout 1m; }
	map backends { type inet_service : ipv4_addr; elements = { 80 : 10.0.0.1 }; }
	chain other { }
	chain mangle { type filter hook prerouting priority -150; policy accept;
		tcp dport { 1000, 2000 } meta mark set 7 counter packets 3 bytes 4
		tcp dport 3129 tproxy to 127.0.0.1:3129 accept
		ip daddr set 10.9.9.9
		tcp flags syn tcp option maxseg size set 1400
		osf name "Linux" accept
		osf ttl skip version "Linux:3.0" accept
		limit rate 5/second burst 7 packets accept
		update @seen { ip saddr limit rate 12/minute burst 30 packets } accept
		add @fresh { ip saddr timeout 5s } accept
		update @fresh { ip saddr } accept
		tcp dport 80 meter old { ip saddr limit rate 5/second } accept
		quota over 100 mbytes drop
		quota 500 bytes used 20 bytes accept
	}
	chain nat { type nat hook prerouting priority -100; policy accept;
		tcp dport 80 counter packets 12 bytes 3456 dnat to 10.0.0.1:8080 comment "web"
		tcp dport { 1, 2, 3 } redirect to :8080
		tcp dport { 10-20, 21-29, 40, 65000-65535 } counter dnat to 10.0.0.2
		dnat to tcp dport map { 80 : 10.0.0.1, 81 : 10.0.0.2 }
		dnat to ip daddr map { 10.0.0.0-10.0.0.9 : 1.1.1.1, 10.0.0.10-10.0.0.19 : 2.2.2.2, 10.0.0.30 : 3.3.3.3 }
		tcp dport vmap { 5 : accept, 6 : jump other, 7 : drop }
		ip daddr . tcp dport { 1.2.3.4 . 80, 5.6.7.8 . 81 } redirect
		dnat to ip daddr . tcp dport map { 1.2.3.0/24 . 80-90 : 10.0.0.5 . 8080, 2.0.0.0/8 . 1 : 10.0.0.6 . 9 }
		dnat to tcp dport map @backends
		dnat to numgen inc mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }
		tcp dport 99 jump { ip saddr { 9.9.9.9, 9.9.9.10 } tcp dport 99 redirect to :1; tcp dport 99 redirect to :2; }
		tcp dport 7 counter name hits redirect
		tcp dport 7 counter name hits redirect
		tcp dport 100 log prefix "x" redirect to :100-200 random
		ip saddr != { 1.1.1.1, 2.2.2.2 } accept
	}
}
table ip6 t {
	chain nat { type nat hook prerouting priority -100;
		tcp dport 80 dnat to [fd00::1]:8080
		ip6 daddr { fd00::/64, fd01::-fd01::5 } dnat to fd02::1
	}
	chain m { type filter hook prerouting priority -150;
		tcp dport 80 tproxy to [::1]:99 accept
	}
}
table inet t {
	chain nat { type nat hook output priority -100;
		meta l4proto { tcp, udp } th dport 53 dnat ip to 127.0.0.1:5353
		tcp dport 80 dnat ip6 to [fd00::1]:8080
	}
}
table netdev t {
	chain in { type filter hook ingress device lo priority 5;
		ip daddr 1.2.3.4 fwd to lo
		ip daddr 1.2.3.5 ip daddr set 1.2.3.6
	}
}
table bridge t {
	chain c { type filter hook prerouting priority 0;
		ether daddr set 02:00:00:00:00:01 meta pkttype set host accept
	}
}
`

func TestEveryKindOfRuleComesBack(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, kinds, "nft", "-f", "-")
	for name, pick := range map[string]picked{
		"all":   everyRule,
		"first": func(_ *tableView, _ *chainView, i int) bool { return i == 0 },
		"last":  func(_ *tableView, c *chainView, i int) bool { return i == len(c.Rules)-1 },
		"odd":   func(_ *tableView, _ *chainView, i int) bool { return i%2 == 1 },
		"runs":  func(_ *tableView, _ *chainView, i int) bool { return i%5 < 3 },
	} {
		t.Run(name, func(t *testing.T) {
			thereAndBack(t, s, func(d *nft.Dump) []host.Ref { return refsTo(d, pick) })
		})
	}
}

func TestEveryRuleComesBackByItself(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, kinds, "nft", "-f", "-")
	var n int
	s.MustDo(t, func(ctx context.Context) error {
		d, err := dump(ctx)
		n = len(refsTo(d, everyRule))
		return err
	})
	for i := 0; i < n; i += 3 { // the commits take their time
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			thereAndBack(t, s, func(d *nft.Dump) []host.Ref { return refsTo(d, everyRule)[i : i+1] })
		})
	}
}
