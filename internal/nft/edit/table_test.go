package edit

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/change/changetest"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/nft"
)

// tablesOf gives the tables of a space as objects, and the files that hold them.
func tablesOf(ctx context.Context, t *testing.T) (map[string]change.Table, *change.World) {
	t.Helper()
	w, err := New().World(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return changetest.Tables(ctx, t, New(), w.Files), w
}

// everything is rules of all kinds, with objects and flags.
const everything = kinds + `
table inet x {
	counter hits { packets 3 bytes 4
	}
	quota little { over 25 mbytes used 1 mbytes
	}
	limit slow { rate 5/second
	}
	set seen { type ipv4_addr; flags dynamic,timeout; timeout 10m; elements = { 192.0.2.1 expires 5m }
	}
	map where { type inet_service : verdict; elements = { 80 : jump a, 81 : goto b }
	}
	map counted { type inet_service : counter; elements = { 80 : "hits" }
	}
	chain a { counter name hits accept
	}
	chain b { limit name slow drop
	}
	chain in { type filter hook input priority 5; policy drop;
		tcp dport vmap @where; quota name little drop; ip saddr @seen accept; counter name tcp dport map @counted; jump { accept; }
	}
	chain out { type filter hook output priority 0
		add @seen { ip daddr }; counter packets 7 bytes 8; quota over 1 mbytes used 5 bytes accept
	}
}
table netdev d { chain i { type filter hook ingress device "lo" priority 0; tcp dport 99 drop; }; }
table ip sleeping { flags dormant; comment "mine"; chain f { type nat hook prerouting priority -100; accept; }; }
table ip bystander { chain c { type filter hook input priority 5; tcp dport 1 counter packets 9 bytes 10 accept; }; }
`

func TestWholeTablesComeBack(t *testing.T) {
	for name, spoil := range map[string]string{
		"nothing":  "",
		"flushed":  "flush table ip t; flush table inet x; flush table ip6 t; flush table inet t",
		"deleted":  "delete table inet x; delete table ip t; delete table netdev d; delete table ip sleeping",
		"rewrote":  "delete table ip t; table ip t { set s { type mark; elements = { 1 }; }; chain mine { type filter hook forward priority 1; mark @s drop; }; }",
		"elements": "delete element inet x where { 80 }; flush set inet x seen; add element inet x where { 99 : drop }; add chain inet x extra; delete rule inet x out handle 99999",
	} {
		t.Run(name, func(t *testing.T) {
			s := labtest.New(t, "nft")
			s.MustRun(t, everything, "nft", "-f", "-")
			var before map[string]change.Table
			var was map[string][]string
			s.MustDo(t, func(ctx context.Context) error {
				before, _ = tablesOf(ctx, t)
				d, err := dump(ctx)
				was = bytesOf(d)
				return err
			})
			names := slices.Sorted(maps.Keys(before))
			names = slices.DeleteFunc(names, func(name string) bool { return name == "ip bystander" })
			for _, line := range strings.Split(spoil, ";") {
				_, _ = s.Run(t.Context(), line+"\n", "nft", "-f", "-") // what is in braces is taken apart: not here
			}
			if strings.Contains(spoil, "{") {
				_, _ = s.Run(t.Context(), spoil+"\n", "nft", "-f", "-")
			}
			s.MustRun(t, "add rule ip bystander c tcp dport 2 accept", "nft", "-f", "-")
			restoreAndBack(t, s, before, was, names)
		})
	}
}

// restoreAndBack restores tables, compares raw bytes, and takes that back.
func restoreAndBack(t *testing.T, s labtest.Space, before map[string]change.Table, was map[string][]string, names []string) {
	t.Helper()
	s.MustDo(t, func(ctx context.Context) error {
		now, w := tablesOf(ctx, t)
		d, err := dump(ctx)
		if err != nil {
			return err
		}
		others := bytesOf(d)
		steps := changetest.Restoring(now, before, names...)
		mustCheck(ctx, t, New(), steps)
		if g, err := nft.Generation(ctx); err != nil || g != w.Generation {
			t.Errorf("to check changed the generation from %d to %d, %v", w.Generation, g, err)
		}
		mustEdit(ctx, t, New(), w.Generation, steps)
		restored, _ := tablesOf(ctx, t)
		for _, name := range names {
			if a, b := before[name].Object, restored[name].Object; a.Fingerprint != b.Fingerprint {
				t.Errorf("table %s has another fingerprint", name)
			}
		}
		if d, err = dump(ctx); err != nil {
			return err
		}
		is := bytesOf(d)
		bystanders(was, others)
		compare2(t, was, is)
		_, w = tablesOf(ctx, t)
		mustEdit(ctx, t, New(), w.Generation, change.Invert(steps))
		if d, err = dump(ctx); err != nil {
			return err
		}
		compare2(t, others, bytesOf(d))
		return nil
	})
}

// bystanders takes what stands in the table that is not restored from others.
func bystanders(into, others map[string][]string) {
	for place, lines := range others {
		if strings.Contains(place, "bystander") {
			into[place] = lines
		}
	}
}

func TestATableThatChangedIsStale(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain c { \nmark 1 accept\nmark 2 accept\n }; }", "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		before, _ := tablesOf(ctx, t)
		s.MustRun(t, "", "nft", "flush", "table", "ip", "t")
		now, w := tablesOf(ctx, t)
		steps := changetest.Restoring(now, before, "ip t")
		s.MustRun(t, "", "nft", "add", "chain", "ip", "t", "d")
		if _, err := New().Edit(ctx, w.Generation, steps); !errors.Is(err, change.ErrStale) {
			t.Errorf("another generation: %v", err)
		}
		out, err := New().Edit(ctx, 0, steps)
		if err != nil || !strings.Contains(out.Undone[0], "not as it was read") {
			t.Errorf("another table: %+v, %v", out, err)
		}
		if failed, err := New().Check(ctx, steps); err != nil || failed[0] == "" {
			t.Errorf("check: %v, %v", failed, err)
		}
		if s.MustRun(t, "", "nft", "list", "table", "ip", "t") == "" || len(tablesOrNone(ctx, t)) != 1 {
			t.Error("the table is gone")
		}
		return nil
	})
}

func tablesOrNone(ctx context.Context, t *testing.T) map[string]change.Table {
	t.Helper()
	all, _ := tablesOf(ctx, t)
	return all
}

// A table that the kernel does not take keeps all from happening, and is named
// with what of it was refused.
func TestATableThatTheKernelRefusesIsNamed(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain c { \nmark 1 accept\n }; }\ntable ip u { chain i { type filter hook forward priority 0; mark 1 drop; }; }", "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		d, err := dump(ctx)
		if err != nil {
			return err
		}
		rule := d.Tables[1].Chains[0].Rules[0]
		rule.Attrs = rewriteOne(rule.Attrs, unix.NFTA_RULE_EXPRESSIONS, func(list []byte) []byte {
			return rewrite(list, func(_ uint16, elem []byte) []byte {
				return rewriteOne(elem, unix.NFTA_EXPR_NAME, func([]byte) []byte { return []byte("strange\x00") })
			})
		})
		before := changetest.Tables(ctx, t, New(), map[string][]byte{FileName: WriteFile(d)})
		s.MustRun(t, "", "nft", "flush", "ruleset")
		now, w := tablesOf(ctx, t)
		steps := changetest.Restoring(now, before, "ip t", "ip u")
		failed, err := New().Check(ctx, steps)
		if err != nil || len(failed) != 1 || !strings.Contains(failed[1], "ip u: rule 1 of chain i: ") {
			t.Errorf("check: %v, %v", failed, err)
		}
		if _, err := New().Edit(ctx, w.Generation, steps); err == nil || !strings.Contains(err.Error(), "restore table ip u") {
			t.Errorf("edit: %v", err)
		}
		if now := tablesOrNone(ctx, t); len(now) != 0 {
			t.Errorf("half of it happened: %v", slices.Sorted(maps.Keys(now)))
		}
		return nil
	})
}

func TestATableWithAnOwnerIsNotRestored(t *testing.T) {
	s := labtest.New(t)
	s.MustDo(t, func(ctx context.Context) error {
		defer ownedTable(ctx, t).Close()
		if why := tablesOrNone(ctx, t)["ip mine"].Unlike; !strings.Contains(why, "flags owner") {
			t.Errorf("an owned table can be given back, it says: %q", why)
		}
		return nil
	})
}

// The rules of a snapshot hold numbers of ipsets, which are others when the sets
// were made anew.
func TestATableFindsItsIpsetsByName(t *testing.T) {
	s := labtest.New(t, "iptables-nft-restore", "ipset")
	s.MustRun(t, "", "ipset", "create", "wanted", "hash:ip")
	s.MustRun(t, "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m set --match-set wanted src -j DNAT --to-destination 10.0.0.1\nCOMMIT\n", "iptables-nft-restore")
	save := func() string { return s.MustRun(t, "", "iptables-nft-save", "-t", "nat") }
	text := save()
	var w *change.World
	s.MustDo(t, func(ctx context.Context) error { _, w = tablesOf(ctx, t); return nil })
	if len(w.Files[ipsetFile]) == 0 {
		t.Fatal("no names of ipsets were kept")
	}
	s.MustRun(t, "", "nft", "flush", "ruleset")
	s.MustRun(t, "", "ipset", "destroy", "wanted")
	s.MustRun(t, "", "ipset", "create", "other", "hash:ip") // takes the old number
	s.MustDo(t, func(ctx context.Context) error {
		if why := changetest.Tables(ctx, t, New(), w.Files)["ip nat"].Unlike; !strings.Contains(why, `ipset "wanted"`) {
			t.Errorf("without its ipset the table is unlike %q", why)
		}
		nameless := map[string][]byte{FileName: w.Files[FileName]}
		if why := changetest.Tables(ctx, t, New(), nameless)["ip nat"].Unlike; !strings.Contains(why, "name was not kept") {
			t.Errorf("without names the table is unlike %q", why)
		}
		return nil
	})
	s.MustRun(t, "", "ipset", "create", "wanted", "hash:ip")
	s.MustDo(t, func(ctx context.Context) error {
		now, world := tablesOf(ctx, t)
		before := changetest.Tables(ctx, t, New(), w.Files)
		steps := changetest.Restoring(now, before, "ip nat")
		mustCheck(ctx, t, New(), steps)
		mustEdit(ctx, t, New(), world.Generation, steps)
		if a, b := before["ip nat"].Object, tablesOrNone(ctx, t)["ip nat"].Object; a.Fingerprint != b.Fingerprint {
			t.Error("it has another fingerprint")
		}
		return nil
	})
	if again := save(); stripped(again) != stripped(text) {
		t.Errorf("became\n%s\nwas\n%s", again, text)
	}
}

func stripped(save string) string {
	lines := slices.DeleteFunc(strings.Split(save, "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
	return strings.Join(lines, "\n")
}

// Two tables with chains at one hook and priority run in the order of their making.
func TestATableNamesThoseBesideWhichItRuns(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, `table ip a { chain c { type filter hook input priority 0; }; }
table inet b { chain c { type filter hook input priority 0; }; }
table ip6 c { chain c { type filter hook input priority 0; }; }
table ip d { chain c { type filter hook input priority 1; }; }
`, "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		all, _ := tablesOf(ctx, t)
		for name, want := range map[string][]string{"ip a": {"inet b"}, "inet b": {"ip a", "ip6 c"}, "ip6 c": {"inet b"}, "ip d": nil} {
			if got := all[name].Shares; !slices.Equal(got, want) {
				t.Errorf("%s shares with %q, want %q", name, got, want)
			}
		}
		return nil
	})
}

// What is damaged is not sent, whoever damaged it.
func TestADamagedTableIsNotRestored(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, "table ip t { chain c { \nmark 1 accept\nmark 2 accept\n }; }", "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		before, _ := tablesOf(ctx, t)
		s.MustRun(t, "", "nft", "flush", "table", "ip", "t")
		now, _ := tablesOf(ctx, t)
		for at := 0; at < len(before["ip t"].Object.Raw); at += 5 {
			spoiled := before["ip t"]
			spoiled.Object.Raw = slices.Clone(spoiled.Object.Raw)
			spoiled.Object.Raw[at] ^= 0x41
			failed, err := New().Check(ctx, changetest.Restoring(now, map[string]change.Table{"ip t": spoiled}, "ip t"))
			if err == nil && len(failed) == 0 && !harmless(spoiled.Object.Raw, before["ip t"].Object.Raw) {
				t.Fatalf("byte %d of %d: taken", at, len(spoiled.Object.Raw))
			}
		}
		return nil
	})
}

// harmless says whether two raw tables have the same fingerprint: handles and
// counters are not in it.
func harmless(a, b []byte) bool {
	one, errOne := ReadFile(a)
	other, errOther := ReadFile(b)
	if errOne != nil || errOther != nil || len(one.Tables) != 1 || len(other.Tables) != 1 {
		return false
	}
	return viewOf(one).order[0].fingerprint() == viewOf(other).order[0].fingerprint()
}
