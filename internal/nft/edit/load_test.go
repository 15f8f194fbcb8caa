package edit

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/nft"
)

// loaded loads what one space holds into another and gives both worlds.
func loaded(t *testing.T, from, to labtest.Space) (is, became *change.World, lacking []string) {
	t.Helper()
	from.MustDo(t, func(ctx context.Context) (err error) { is, err = New().World(ctx); return err })
	to.MustDo(t, func(ctx context.Context) (err error) {
		if lacking, err = Load(ctx, is.Files[FileName]); err != nil {
			return err
		}
		became, err = New().World(ctx)
		return err
	})
	return is, became, lacking
}

// What the round trips are tried on, objects and flags of all kinds with it, can
// be loaded from a dump and reads the same.
func TestADumpLoadsAsItIs(t *testing.T) {
	const rules = `
table ip filter { chain c { type filter hook input priority 0; policy drop; meta iif 1 accept; }; }
table inet x {
	counter hits { packets 3 bytes 4 }
	quota little { over 25 mbytes }
	limit slow { rate 5/second }
	set web { type inet_service; flags interval; elements = { 80, 443, 9000-9005 }; }
	set seen { type ipv4_addr; flags dynamic,timeout; timeout 1m; }
	map where { type inet_service : verdict; elements = { 80 : jump a, 81 : goto b }; }
	map counted { type inet_service : counter; elements = { 80 : "hits" }; }
	chain a { counter name hits accept; }
	chain b { tcp dport { 1, 2, 3 } accept; tcp dport vmap { 80 : accept, 81 : drop }; limit name slow drop; }
	chain in { type filter hook input priority 5; tcp dport vmap @where; tcp dport @web quota name little drop; ip saddr @seen accept; counter name tcp dport map @counted; jump { accept; }; }
	chain out { type filter hook output priority 0; add @seen { ip daddr }; meta mark set tcp dport map { 80 : 1, 81-90 : 2 }; }
}
table ip6 n { chain p { type nat hook prerouting priority -100; tcp dport 80 redirect to :8080; tcp dport 90-99 dnat to [2001:db8::1]:80; }; }
table netdev d { chain i { type filter hook ingress device "lo" priority 0; tcp dport 99 drop; }; }
table arp q { chain i { type filter hook input priority 0; arp operation request counter packets 5 bytes 6 accept; }; }
table bridge z { flags dormant; chain f { type filter hook forward priority 0; }; }
`
	from, to := labtest.New(t, "nft"), labtest.New(t, "nft")
	from.MustRun(t, rules, "nft", "-f", "-")
	is, became, lacking := loaded(t, from, to)
	compare2(t, is.Places, became.Places)
	if len(lacking) > 0 || len(is.Places) < 15 {
		t.Errorf("lacking %q, of %d places", lacking, len(is.Places))
	}
	if a, b := from.MustRun(t, "", "nft", "-s", "list", "ruleset"), to.MustRun(t, "", "nft", "-s", "list", "ruleset"); a != b {
		t.Errorf("became\n%s\nwas\n%s", b, a)
	}
	to.MustDo(t, func(ctx context.Context) error {
		if _, err := Load(ctx, is.Files[FileName]); err == nil || !strings.Contains(err.Error(), "only an empty one") {
			t.Errorf("loaded into what is not empty: %v", err)
		}
		return nil
	})
}

func TestWhatIptablesWroteLoads(t *testing.T) {
	from, to := labtest.New(t, "iptables-nft-restore"), labtest.New(t)
	from.MustRun(t, `*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -p tcp -m multiport --dports 80,443 -j DNAT --to-destination 10.0.0.2:8080
-A PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 8081
COMMIT
*mangle
-A PREROUTING -p tcp --dport 82 -j TPROXY --on-port 1 --tproxy-mark 0x1/0x1
-A PREROUTING -m comment --comment "x y" -m conntrack --ctstate NEW -j MARK --set-mark 5
COMMIT
`, "iptables-nft-restore")
	is, became, lacking := loaded(t, from, to)
	compare2(t, is.Places, became.Places)
	if len(lacking) > 0 || len(is.Places) < 4 {
		t.Errorf("lacking %q, of %d places", lacking, len(is.Places))
	}
}

// What the namespace cannot hold is left out and named; the rest is there.
func TestWhatCannotBeLoadedIsNamed(t *testing.T) {
	from, to := labtest.New(t, "nft"), labtest.New(t)
	from.MustRun(t, `table ip d { chain i { type filter hook forward priority 0; tcp dport 1 drop; tcp dport 2 drop; }; }`, "nft", "-f", "-")
	var d *nft.Dump
	from.MustDo(t, func(ctx context.Context) (err error) { d, err = dump(ctx); return err })
	d.Tables[0].Chains[0].Rules[0].Attrs = rewriteOne(d.Tables[0].Chains[0].Rules[0].Attrs, unix.NFTA_RULE_EXPRESSIONS, func(list []byte) []byte {
		return rewrite(list, func(_ uint16, elem []byte) []byte {
			return rewriteOne(elem, unix.NFTA_EXPR_NAME, func([]byte) []byte { return []byte("strange\x00") })
		})
	})
	to.MustDo(t, func(ctx context.Context) error {
		lacking, err := Load(ctx, WriteFile(d))
		if len(lacking) != 1 || !strings.HasPrefix(lacking[0], "ip d: rule 1 of chain i: ") {
			t.Errorf("%q", lacking)
		}
		w, errWorld := New().World(ctx)
		if errWorld == nil && len(w.Places["ip d i"]) != 1 {
			t.Errorf("%v", w.Places)
		}
		return errors.Join(err, errWorld)
	})
}

// Real rule sets load as they are, where this machine's kernel takes them at all.
func TestSharedRuleSetsLoad(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(labtest.Shared(t, "corpora"), "*", "*", "*.nft"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no rule set: %v", err)
	}
	slices.Sort(files)
	step := max(1, len(files)/60) // from everywhere
	tried := 0
	for i := 0; i < len(files); i += step {
		file := files[i]
		if tried == 40 {
			break
		}
		from, to := labtest.New(t, "nft"), labtest.New(t)
		if _, err := from.Run(t.Context(), "", "nft", "-f", file); err != nil {
			continue
		}
		tried++
		is, became, lacking := loaded(t, from, to)
		for _, why := range lacking {
			t.Errorf("%s: %s", filepath.Base(file), why)
		}
		compare2(t, is.Places, became.Places)
	}
	if tried == 0 {
		t.Error("none of the shared rule sets could be loaded by nft")
	}
}
