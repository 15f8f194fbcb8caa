package edit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/nft"
)

func TestEveryNATTargetOfIptablesComesBack(t *testing.T) {
	dir := labtest.Shared(t)
	s := labtest.New(t, "iptables-nft-restore", "ip6tables-nft-restore")
	for program, file := range map[string]string{"iptables-nft-restore": "matrix.iptables-save", "ip6tables-nft-restore": "matrix.ip6tables-save"} {
		rules, err := os.ReadFile(filepath.Join(dir, "captures/xt-matrix", file))
		if err != nil {
			t.Fatal(err)
		}
		s.MustRun(t, string(rules), program)
	}
	thereAndBack(t, s, func(d *nft.Dump) []host.Ref { return refsTo(d, everyRule) })
}

const xtKinds = `*nat
-A PREROUTING -p tcp -m multiport --dports 80,443 -m comment --comment "two ports" -j DNAT --to-destination 10.0.0.1
-A PREROUTING -p udp -m multiport ! --sports 80,443 -j REDIRECT --to-ports 53
-A PREROUTING -p tcp -m statistic --mode nth --every 3 --packet 1 -m addrtype --dst-type LOCAL -j DNAT --to-destination 10.0.0.2
-A PREROUTING -p tcp -m set --match-set wanted dst -j DNAT --to-destination 10.0.0.3
-A PREROUTING -p tcp --dport 9 -m recent --name seen --rcheck --seconds 9 -j REDIRECT
-A PREROUTING ! -p tcp -m limit --limit 5/hour -j DNAT --to-destination 10.0.0.4
COMMIT
*mangle
-A PREROUTING -p tcp -m socket --transparent -j MARK --set-mark 1
-A PREROUTING -p udp --dport 53 -j TPROXY --on-port 3130 --on-ip 127.0.0.1 --tproxy-mark 1
-A PREROUTING -p tcp --dport 25 -j SET --add-set wanted src
-A PREROUTING -p tcp --dport 26 -j TEE --gateway 10.0.0.9
-A PREROUTING -p tcp --dport 27 -j NFQUEUE --queue-num 3
COMMIT
`

func withIPTables(t *testing.T) labtest.Space {
	t.Helper()
	s := labtest.New(t, "iptables-nft-restore", "ipset")
	s.MustRun(t, "", "ipset", "create", "wanted", "hash:ip")
	s.MustRun(t, xtKinds, "iptables-nft-restore")
	return s
}

func TestExtensionsOfIptablesComeBack(t *testing.T) {
	thereAndBack(t, withIPTables(t), func(d *nft.Dump) []host.Ref { return refsTo(d, everyRule) })
}

// Matches of ebtables ask for the rule's ethertype (NFTA_RULE_COMPAT).
func TestExtensionsOfEbtablesComeBack(t *testing.T) {
	s := labtest.New(t, "ebtables-nft")
	for _, rule := range []string{
		"-A PREROUTING -p IPv4 --ip-proto tcp --ip-dport 8080 -j redirect --redirect-target ACCEPT",
		"-A PREROUTING -p IPv6 --ip6-proto udp --ip6-dport 53 -j redirect",
		"-A PREROUTING -p ARP --arp-op Request -j dnat --to-destination 00:11:22:33:44:55",
		"-A PREROUTING -p ! IPv4 -j mark --mark-set 1",
	} {
		s.MustRun(t, "", append([]string{"ebtables-nft", "-t", "nat"}, strings.Fields(rule)...)...)
	}
	thereAndBack(t, s, func(d *nft.Dump) []host.Ref { return refsTo(d, everyRule) })
}

func TestAnIpsetIsFoundByItsName(t *testing.T) {
	s := withIPTables(t)
	useSet := func(tv *tableView, c *chainView, i int) bool { return len(indices(c.Rules[i].Exprs)) > 0 }
	var steps []change.Step
	s.MustDo(t, func(ctx context.Context) error {
		steps = stepsTo(ctx, t, useSet)
		mustEdit(ctx, t, New(), 0, steps)
		return nil
	})
	if len(steps) != 2 || len(steps[0].Before.Names) != 1 {
		t.Fatalf("%d steps, want 2 with the set's name", len(steps))
	}
	s.MustRun(t, "", "ipset", "destroy", "wanted")
	s.MustDo(t, func(ctx context.Context) error {
		failed, err := New().Check(ctx, change.Invert(steps))
		if len(failed) != 2 || !strings.Contains(failed[0], `ipset "wanted"`) {
			t.Errorf("without the set: %v", failed)
		}
		return err
	})
	s.MustRun(t, "", "ipset", "create", "other", "hash:ip") // takes the old number
	s.MustRun(t, "", "ipset", "create", "wanted", "hash:ip")
	s.MustDo(t, func(ctx context.Context) error {
		mustEdit(ctx, t, New(), 0, change.Invert(steps))
		return nil
	})
	if got := s.MustRun(t, "", "iptables-nft-save"); !strings.Contains(got, "--match-set wanted dst") || !strings.Contains(got, "--add-set wanted src") {
		t.Errorf("the rules use another set:\n%s", got)
	}
}

// stepsTo makes the steps that delete the picked rules.
func stepsTo(ctx context.Context, t *testing.T, pick picked) []change.Step {
	t.Helper()
	d, err := dump(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stepsOf(ctx, t, refsTo(d, pick))
}

func stepsOf(ctx context.Context, t *testing.T, refs []host.Ref) []change.Step {
	t.Helper()
	steps, refusals, err := New().Steps(ctx, refs, make([]string, len(refs)))
	if err != nil || len(refusals) > 0 {
		t.Fatal(err, refusals)
	}
	return steps
}

// elementRefs names elements of the sets of one rule by the first bytes of
// their keys.
func elementRefs(d *nft.Dump, pick picked, set string, keys ...string) []host.Ref {
	var out []host.Ref
	for _, ref := range refsTo(d, pick) {
		for _, key := range keys {
			ref.Set, ref.Anonymous, ref.Key = set, strings.HasPrefix(set, "__"), []byte(key)
			out = append(out, ref)
		}
	}
	return out
}

func TestElementsComeAndGo(t *testing.T) {
	const rules = `table ip t {
		map ports { type inet_service : ipv4_addr; elements = { 80 : 10.0.0.1, 81 : 10.0.0.2, 82 : 10.0.0.3 }; }
		map spans { type ipv4_addr : ipv4_addr; flags interval; elements = { 10.0.0.0-10.0.0.9 : 1.1.1.1, 10.0.0.10-10.0.0.19 : 2.2.2.2, 10.0.0.30 : 3.3.3.3, 250.0.0.0-255.255.255.255 : 4.4.4.4 }; }
		map boxes { type ipv4_addr . inet_service : ipv4_addr; flags interval; elements = { 10.0.0.0-10.0.0.9 . 80-90 : 1.1.1.1, 10.0.0.0-10.0.0.9 . 91-99 : 1.1.1.2 }; }
		map timed { type inet_service : ipv4_addr; flags timeout; elements = { 80 timeout 1h expires 30m : 10.0.0.1, 81 : 10.0.0.2 }; }
		set counted { type inet_service; counter; elements = { 1 counter packets 3 bytes 4 comment "one", 2 }; }
		map jumps { type inet_service : verdict; elements = { 5 : jump c, 6 : drop }; }
		chain c { }
		chain nat { type nat hook prerouting priority -100;
			dnat to tcp dport map @ports
			dnat to ip daddr map @spans
			dnat to ip daddr . tcp dport map @boxes
			dnat to tcp dport map @timed
			tcp dport @counted redirect
			tcp dport vmap @jumps
		}
	}`
	cases := map[string]struct {
		rule int
		set  string
		keys []string
	}{
		"one":                 {0, "ports", []string{"\x00\x50"}},
		"all":                 {0, "ports", []string{"\x00\x50", "\x00\x51", "\x00\x52"}},
		"interval":            {1, "spans", []string{"\x0a\x00\x00\x0a"}},
		"first interval":      {1, "spans", []string{"\x0a\x00\x00\x00"}},
		"open interval":       {1, "spans", []string{"\xfa\x00\x00\x00"}},
		"all intervals":       {1, "spans", []string{"\x0a\x00\x00\x1e", "\x0a\x00\x00\x00", "\x0a\x00\x00\x0a", "\xfa\x00\x00\x00"}},
		"concatenation":       {2, "boxes", []string{"\x0a\x00\x00\x00\x00\x50\x00\x00\x0a\x00\x00\x09\x00\x5a\x00\x00"}},
		"timeout":             {3, "timed", []string{"\x00\x50", "\x00\x51"}},
		"counter and comment": {4, "counted", []string{"\x00\x01"}},
		"verdict":             {5, "jumps", []string{"\x00\x05"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := labtest.New(t, "nft")
			s.MustRun(t, rules, "nft", "-f", "-")
			before := s.MustRun(t, "", "nft", "-s", "list", "ruleset")
			thereAndBack(t, s, func(d *nft.Dump) []host.Ref {
				nth := func(_ *tableView, cv *chainView, i int) bool { return cv.Name == "nat" && i == c.rule }
				return elementRefs(d, nth, c.set, c.keys...)
			})
			if after := s.MustRun(t, "", "nft", "-s", "list", "ruleset"); c.set != "timed" && after != before {
				t.Errorf("listing:\n%s\nwas:\n%s", after, before)
			}
		})
	}
}

func TestATimeoutGoesOnWhereItWas(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, `table ip t {
		set s { type inet_service; flags timeout; elements = { 80 timeout 1h expires 30m }; }
		chain c { tcp dport @s accept; }
	}`, "nft", "-f", "-")
	thereAndBack(t, s, func(d *nft.Dump) []host.Ref { return elementRefs(d, everyRule, "s", "\x00\x50") })
	s.MustDo(t, func(ctx context.Context) error {
		d, err := dump(ctx)
		if err != nil {
			return err
		}
		left := nft.U64(nft.Find(d.Tables[0].Sets[0].Elements[0], unix.NFTA_SET_ELEM_EXPIRATION))
		if left > 30*60*1000 || left < 29*60*1000 {
			t.Errorf("%d ms are left, want a little less than half an hour", left)
		}
		return nil
	})
}

func TestAnAnonymousMapLosesSomeKeys(t *testing.T) {
	cases := map[string]struct {
		rule, set, want string
		keys            []string
	}{
		"map":             {"counter packets 3 bytes 9 dnat to tcp dport map { 80 : 10.0.0.1, 81 : 10.0.0.2, 82 : 10.0.0.3 }", "__map0", "map { 81 : 10.0.0.2 }", []string{"\x00\x50", "\x00\x52"}},
		"set":             {"tcp dport { 1, 2, 3 } redirect", "__set0", "{ 1, 3 }", []string{"\x00\x02"}},
		"joined interval": {"dnat to ip daddr map { 10.0.0.0-10.0.0.9 : 1.1.1.1, 10.0.0.10-10.0.0.19 : 2.2.2.2, 10.0.0.30 : 3.3.3.3 }", "__map0", "map { 10.0.0.0-10.0.0.9 : 1.1.1.1, 10.0.0.30 : 3.3.3.3 }", []string{"\x0a\x00\x00\x0a"}},
		"vmap":            {"tcp dport vmap { 1 : accept, 2 : drop }", "__map0", "vmap { 2 : drop }", []string{"\x00\x01"}},
		"in a chain":      {"tcp dport 7 jump { tcp dport { 7, 8 } redirect; }", "__set0", "tcp dport { 8 } redirect", []string{"\x00\x07"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := labtest.New(t, "nft")
			s.MustRun(t, "table ip t { chain c { type nat hook prerouting priority 0;\nmark 1 accept\n"+c.rule+"\nmark 2 accept\n}; }", "nft", "-f", "-")
			refs := func(d *nft.Dump) []host.Ref {
				return elementRefs(d, func(_ *tableView, _ *chainView, i int) bool { return i == 1 }, c.set, c.keys...)
			}
			thereAndBack(t, s, refs)
			s.MustDo(t, func(ctx context.Context) error {
				d, err := dump(ctx)
				if err != nil {
					return err
				}
				steps := stepsOf(ctx, t, refs(d))
				if len(steps) != 1 || steps[0].Action != change.Edit {
					t.Fatalf("%d steps, want one edit", len(steps))
				}
				mustEdit(ctx, t, New(), 0, steps)
				return nil
			})
			if got := s.MustRun(t, "", "nft", "list", "ruleset"); !strings.Contains(got, c.want) || strings.Index(got, c.want) > strings.Index(got, "0x00000002") {
				t.Errorf("want %q between the marks:\n%s", c.want, got)
			}
		})
	}
}

func TestARuleOfAnAnonymousChainGoesAlone(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain c { type nat hook prerouting priority 0;\nmark 7 jump { tcp dport 1 redirect to :10\ntcp dport { 2, 3 } redirect to :20\n }; }; }", "nft", "-f", "-")
	inner := func(n ...int) func(*nft.Dump) []host.Ref {
		return func(d *nft.Dump) []host.Ref {
			var refs []host.Ref
			tv := viewOf(d).order[0]
			c := tv.chains[d.Tables[0].Chains[1].Name]
			for _, i := range n {
				refs = append(refs, host.Ref{Family: host.IP, Table: "t", Chain: c.Name, Handle: c.Rules[i].Handle, Fingerprint: c.fingerprints()[i]})
			}
			return refs
		}
	}
	thereAndBack(t, s, inner(0))
	thereAndBack(t, s, inner(1))
	thereAndBack(t, s, inner(0, 1))
}

func TestAllKeysMeanTheRule(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain c { type nat hook prerouting priority 0;\ntcp dport { 1, 2 } redirect\n }; }", "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		d, err := dump(ctx)
		if err != nil {
			return err
		}
		steps := stepsOf(ctx, t, elementRefs(d, everyRule, "__set0", "\x00\x01", "\x00\x02"))
		if len(steps) != 1 || steps[0].Action != change.Delete || len(steps[0].IDs) != 2 {
			t.Errorf("steps: %+v", steps)
		}
		return nil
	})
}

func TestStaleRefsAreRefused(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { map m { type inet_service : ipv4_addr; elements = { 1 : 1.1.1.1 }; }\nchain c { tcp dport 1 accept\n tcp dport 1 accept\n }; }", "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		d, err := dump(ctx)
		if err != nil {
			return err
		}
		good := refsTo(d, everyRule)[0]
		for name, spoil := range map[string]func(*host.Ref){
			"chain":       func(r *host.Ref) { r.Chain = "gone" },
			"handle":      func(r *host.Ref) { r.Handle += 100 }, // and two rules are alike
			"fingerprint": func(r *host.Ref) { r.Fingerprint = "other" },
			"set":         func(r *host.Ref) { r.Set = "gone" },
			"element":     func(r *host.Ref) { r.Set, r.Key = "m", []byte("\x00\x09") },
		} {
			ref := good
			spoil(&ref)
			if _, _, err := New().Steps(ctx, []host.Ref{ref}, []string{"x"}); !errors.Is(err, change.ErrStale) {
				t.Errorf("%s: %v, want ErrStale", name, err)
			}
		}
		return nil
	})
}

// A chain that was loaded anew has other handles: a rule that is the only one of
// its kind is known by its content, one of several is not.
func TestARuleIsFoundAfterAReload(t *testing.T) {
	s := labtest.New(t, "nft")
	load := func(rules string) {
		s.MustRun(t, "flush ruleset\ntable ip t { chain c { "+rules+"\n }; }", "nft", "-f", "-")
	}
	load("tcp dport 1 accept; tcp dport 2 accept; tcp dport 3 accept; tcp dport 3 accept")
	var refs []host.Ref
	s.MustDo(t, func(ctx context.Context) error {
		d, err := dump(ctx)
		refs = refsTo(d, everyRule)
		return err
	})
	load("tcp dport 2 accept; tcp dport 9 drop; tcp dport 1 accept; tcp dport 3 accept; tcp dport 3 accept; tcp dport 3 accept")
	s.MustDo(t, func(ctx context.Context) error {
		for i, want := range []int{3, 1} { // the handle of the first is now that of another rule
			steps, _, err := New().Steps(ctx, refs[i:i+1], []string{"x"})
			if err != nil || len(steps) != 1 || steps[0].Place.Index != want || steps[0].Before.Fingerprint != refs[i].Fingerprint {
				t.Errorf("rule %d: %+v %v", i+1, steps, err)
			}
		}
		twin := refs[2]
		twin.Handle = 100
		if _, _, err := New().Steps(ctx, []host.Ref{twin}, []string{"x"}); !errors.Is(err, change.ErrGone) {
			t.Errorf("one of three alike: %v, want ErrGone", err)
		}
		return nil
	})
}

func TestAnotherGenerationIsStale(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain c { tcp dport 1 accept\n }; }", "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		d, err := dump(ctx)
		if err != nil {
			return err
		}
		steps := stepsTo(ctx, t, everyRule)
		if _, err := New().Edit(ctx, d.Generation+1, steps); !errors.Is(err, change.ErrStale) {
			t.Errorf("a wrong generation: %v, want ErrStale", err)
		}
		// The kernel itself refuses, too, where the change comes after the reading.
		v := viewOf(d)
		v.generation--
		b := newBatch(ctx, v)
		if err := b.apply(numbered(steps)); err != nil {
			return err
		}
		if _, err := b.send(ctx, true); !errors.Is(err, change.ErrStale) {
			t.Errorf("sent with an old generation: %v, want ErrStale", err)
		}
		after, err := dump(ctx)
		if err == nil && after.Generation != d.Generation {
			t.Error("something was changed")
		}
		return err
	})
}

func TestAStepThatCannotBeTakenBackIsNamed(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain c { \nmark 1 accept\nmark 2 accept\nmark 3 accept\n }; }", "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		before, err := dump(ctx)
		if err != nil {
			return err
		}
		steps := stepsTo(ctx, t, everyRule)
		unknown := nft.AppendNest(nil, unix.NFTA_LIST_ELEM, nft.AppendText(nil, unix.NFTA_EXPR_NAME, "nosuch"))
		steps[1].Before.Raw = nft.AppendNest(nil, unix.NFTA_RULE_EXPRESSIONS, unknown)
		failed, err := New().Check(ctx, steps)
		if err != nil {
			return err
		}
		if len(failed) != 1 || failed[1] == "" {
			t.Errorf("failed: %v, want step 1 alone", failed)
		}
		if _, err := New().Edit(ctx, before.Generation, change.Invert(steps)); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("adding it: %v", err)
		}
		after, err := dump(ctx)
		if err == nil && after.Generation != before.Generation {
			t.Error("something was changed")
		}
		return err
	})
}

// ownedTable makes a table with "flags owner" that belongs to a socket of the
// test's own, which it gives.
func ownedTable(ctx context.Context, t *testing.T) *nft.Conn {
	t.Helper()
	c, err := nft.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b := newBatch(ctx, &view{})
	table := nft.AppendU32(nft.AppendText(nil, unix.NFTA_TABLE_NAME, "mine"), unix.NFTA_TABLE_FLAGS, tableOwned)
	b.add(0, unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, unix.NFPROTO_IPV4, table)
	chain := nft.AppendText(nft.AppendText(nil, unix.NFTA_CHAIN_TABLE, "mine"), unix.NFTA_CHAIN_NAME, "c")
	b.add(0, unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, unix.NFPROTO_IPV4, chain)
	rule := nft.AppendText(nft.AppendText(nil, unix.NFTA_RULE_TABLE, "mine"), unix.NFTA_RULE_CHAIN, "c")
	rule = nft.AppendNest(rule, unix.NFTA_RULE_EXPRESSIONS, nil)
	b.add(0, unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE, unix.NFPROTO_IPV4, rule)
	g, err := nft.Generation(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b.view.generation = g
	if err := c.Send(b.datagram(true)); err != nil {
		t.Fatal(err)
	}
	if a, err := b.listen(ctx, c, true); err != nil || len(a.failed) > 0 {
		t.Fatal(err, a.failed)
	}
	return c
}

func TestATableOfAnotherProcessIsLeftAlone(t *testing.T) {
	s := labtest.New(t)
	s.MustDo(t, func(ctx context.Context) error {
		defer ownedTable(ctx, t).Close()
		d, err := dump(ctx)
		if err != nil {
			return err
		}
		steps, refusals, err := New().Steps(ctx, refsTo(d, everyRule), []string{"x"})
		if err != nil {
			return err
		}
		if len(steps) != 0 || len(refusals) != 1 || !strings.Contains(refusals[0].Why, "flags owner") {
			t.Errorf("%d steps, refusals %v", len(steps), refusals)
		}
		return nil
	})
}

func TestANameThatIsTakenIsNotTakenAgain(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain c { \nmark 1 accept\ntcp dport { 1, 2 } accept\n }; }", "nft", "-f", "-")
	var back []change.Step
	var places map[string][]string
	s.MustDo(t, func(ctx context.Context) error {
		d, err := dump(ctx)
		if err != nil {
			return err
		}
		places = worldOf(d).Places
		steps := stepsTo(ctx, t, func(_ *tableView, _ *chainView, i int) bool { return i == 1 })
		back = change.Invert(steps)
		mustEdit(ctx, t, New(), 0, steps)
		return nil
	})
	s.MustRun(t, "", "nft", "add rule ip t c tcp dport { 7, 8 } accept") // its set is __set0 now
	s.MustDo(t, func(ctx context.Context) error {
		mustCheck(ctx, t, New(), back)
		mustEdit(ctx, t, New(), 0, back)
		d, err := dump(ctx)
		if err != nil {
			return err
		}
		if got := worldOf(d).Places["ip t c"]; len(got) != 3 || got[0] != places["ip t c"][0] || got[1] != places["ip t c"][1] {
			t.Errorf("fingerprints %q, want %q and another", got, places["ip t c"])
		}
		return nil
	})
	if got := s.MustRun(t, "", "nft", "list", "ruleset"); !strings.Contains(got, "{ 1, 2 }") || !strings.Contains(got, "{ 7, 8 }") {
		t.Error(got)
	}
}

func TestEditsAndDeletionsSideBySideComeBack(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, `table ip t { chain c { type nat hook prerouting priority 0;
		tcp dport { 1, 2 } redirect
		tcp dport 3 redirect
		tcp dport { 4, 5 } redirect
		tcp dport 6 redirect
		tcp dport 6 redirect
	}; }`, "nft", "-f", "-")
	thereAndBack(t, s, func(d *nft.Dump) []host.Ref {
		nth := func(want ...int) picked {
			return func(_ *tableView, _ *chainView, i int) bool { return slices.Contains(want, i) }
		}
		refs := refsTo(d, nth(1, 3))
		refs = append(refs, elementRefs(d, nth(0), "__set0", "\x00\x01")...)
		return append(refs, elementRefs(d, nth(2), "__set1", "\x00\x05")...)
	})
}

func TestALargeAnonymousSetComesBack(t *testing.T) {
	s := labtest.New(t, "nft")
	var b strings.Builder
	b.WriteString("table ip t { chain c { type nat hook prerouting priority 0;\ndnat to ip daddr . tcp dport map {")
	for i := range 5000 {
		fmt.Fprintf(&b, "10.0.%d.%d . 80 : 10.9.9.9,", i>>8, i&255)
	}
	b.WriteString("}\n}; }")
	s.MustRun(t, b.String(), "nft", "-f", "-")
	thereAndBack(t, s, func(d *nft.Dump) []host.Ref { return refsTo(d, everyRule) })
}

func TestWhatIsGoneAlreadyIsUndone(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { set s { type mark; elements = { 1, 2 }; }\nchain c { mark @s accept\n mark 9 accept\n }; }", "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		d, err := dump(ctx)
		if err != nil {
			return err
		}
		first := func(_ *tableView, _ *chainView, i int) bool { return i == 0 }
		second := func(_ *tableView, _ *chainView, i int) bool { return i == 1 }
		mark := binary.NativeEndian.AppendUint32(nil, 1)
		steps := stepsOf(ctx, t, append(refsTo(d, second), elementRefs(d, first, "s", string(mark))...))
		mustEdit(ctx, t, New(), 0, steps)
		out, err := New().Edit(ctx, 0, steps)
		if err != nil || len(out.Undone) != 2 {
			t.Errorf("a second time: undone %v, %v", out.Undone, err)
		}
		if _, err := New().Edit(ctx, d.Generation+1, steps); !errors.Is(err, change.ErrStale) {
			t.Errorf("a second time with a guard: %v, want ErrStale", err)
		}
		mustEdit(ctx, t, New(), 0, change.Invert(steps))
		out, err = New().Edit(ctx, 0, change.Invert(steps)[:1])
		if err != nil || len(out.Undone) != 1 {
			t.Errorf("putting an element back twice: undone %v, %v", out.Undone, err)
		}
		return nil
	})
}
