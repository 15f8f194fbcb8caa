//go:build amd64

package trial

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/nft"
	nftedit "github.com/natwarden/natwarden/internal/nft/edit"
	"github.com/natwarden/natwarden/internal/walk"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
	xtedit "github.com/natwarden/natwarden/internal/xtables/edit"
	"github.com/natwarden/natwarden/remediate"
)

// envRandom is how many rule sets there are, envSeed where they begin.
const (
	envRandom    = "NATWARDEN_RANDOM"
	envSeed      = "NATWARDEN_SEED"
	randomShards = 4
)

// TestRandom takes a random part of random rule sets away and rolls that back:
// the raw bytes of every rule, element and table and their order are what they were.
func TestRandom(t *testing.T) {
	sum := inShards(t, "TestRandomInside", randomShards)
	if sum["back"] < sum["rulesets"]*8/10 || sum["steps"] < 3*sum["rulesets"] {
		t.Error("too little was taken away for the test to mean anything")
	}
}

// TestRandomInside is one shard of TestRandom.
func TestRandomInside(t *testing.T) {
	folder := inside(t)
	shard, err := strconv.Atoi(os.Getenv(envShard))
	if err != nil {
		t.Fatal(err)
	}
	n, first := 100, 0
	if many, err := strconv.Atoi(os.Getenv(envRandom)); err == nil {
		n = many
	}
	if seed, err := strconv.Atoi(os.Getenv(envSeed)); err == nil {
		first = seed
	}
	must(t, "", "ip link set lo up")
	must(t, "", "ip link add dev e0 type veth peer name e1")
	h, err := netns.Current()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	x := &randomTrial{T: t, space: h, folder: folder, figures: map[string]int{}}
	for seed := first + shard; seed < first+n; seed += randomShards {
		x.one(uint64(seed))
		if x.bad > 3 {
			break
		}
	}
	for what, n := range x.figures {
		fmt.Printf("FIGURE %s %d\n", what, n)
	}
}

type randomTrial struct {
	*testing.T
	space   netns.Handle
	folder  string
	figures map[string]int
	bad     int
}

// load makes the rule set the host's. What this kernel or nft do not take is
// left out as a whole, and counted.
func (x *randomTrial) load(r ruleset) bool {
	for _, one := range [][2]string{{"flush ruleset\n" + r.nft, "nft -f -"}, {r.legacy, "iptables-legacy-restore -c"}, {r.legacy6, "ip6tables-legacy-restore -c"}} {
		input := one[0]
		if input == "" {
			input = "*nat\nCOMMIT\n*mangle\nCOMMIT\n"
		}
		words := strings.Fields(one[1])
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Stdin = strings.NewReader(input)
		if out, err := cmd.CombinedOutput(); err != nil {
			x.figures["not-loaded"]++
			if x.figures["not-loaded"] < 3 {
				x.Logf("%s: %v\n%.300s", words[0], err, out)
			}
			return false
		}
	}
	return true
}

// one is one rule set there and back.
func (x *randomTrial) one(seed uint64) {
	x.Helper()
	set := draw(seed)
	if !x.load(set) {
		return
	}
	x.figures["rulesets"]++
	was := rulesOf(x.T)
	rng := rand.New(rand.NewPCG(seed, 8))
	rows := x.violations(rng)
	state := filepath.Join(x.folder, fmt.Sprintf("random%d", seed))
	defer os.RemoveAll(state)
	options := remediate.Options{StateDir: state, Version: "test"}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	editors := []change.Editor{nftedit.New(), xtedit.New("")}
	done, err := remediate.Run(ctx, rows, nil, []remediate.Space{{Handle: x.space}}, editors, options)
	if !slices.Contains([]int{0, 2, 3}, done.ExitCode) {
		x.figures[fmt.Sprintf("exit-%d", done.ExitCode)]++
		x.same(seed, set, was, fmt.Sprintf("a change that was not made (exit %d, %v)", done.ExitCode, err))
		if done.ExitCode != 7 {
			x.fail(seed, set, "exit %d: %v", done.ExitCode, err)
		}
		return
	}
	x.figures["steps"] += len(done.Steps)
	if done.Change == "" {
		x.figures["nothing-to-do"]++
		return
	}
	if now := rulesOf(x.T); len(differences(now, was)) == 0 {
		x.fail(seed, set, "the change changed nothing: %+v", done.Steps)
	}
	if seed%3 == 2 {
		x.figures["back"]++
		x.wholeTables(seed, set, was, done, editors, options)
		return
	}
	back, err := remediate.Rollback(ctx, "", x.open, editors, options)
	if err != nil || back.ExitCode != 0 {
		x.fail(seed, set, "rollback: exit %d: %v %v", back.ExitCode, err, back.Left)
	}
	x.figures["back"]++
	x.same(seed, set, was, "the rollback")
}

func (x *randomTrial) open(context.Context, string) (netns.Handle, error) {
	return netns.Open("/proc/self/ns/net")
}

func (x *randomTrial) same(seed uint64, set ruleset, was map[string]string, after string) {
	x.Helper()
	if diff := differences(rulesOf(x.T), was); len(diff) > 0 {
		x.fail(seed, set, "after %s the host is not what it was:\n%s", after, strings.Join(diff, "\n"))
	}
}

func (x *randomTrial) fail(seed uint64, set ruleset, format string, args ...any) {
	x.Helper()
	x.bad++
	x.Errorf("seed %d: %s\n%s\n%s\n%s", seed, fmt.Sprintf(format, args...), set.nft, set.legacy, set.legacy6)
}

// rulesOf is the rules' part of marks, with the counters.
func rulesOf(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	markNFT(t.Context(), t, out)
	d, err := xtables.Read(t.Context())
	if err != nil || len(d.Blind) > 0 {
		t.Fatal(err, d.Blind)
	}
	for _, table := range d.Tables {
		markTable(out, table)
	}
	return out
}

// violations are a random part of the redirects, element by element, and of the
// rules that are none.
func (x *randomTrial) violations(rng *rand.Rand) []host.Redirect {
	x.Helper()
	space := &host.Space{}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d, err := nft.Read(x.Context(), nft.Options{Objects: true})
	if err != nil {
		x.Fatal(err)
	}
	old, err := xtables.Read(x.Context())
	if err != nil {
		x.Fatal(err)
	}
	legacy, _ := xtables.Decode(old, xt.Env{Now: time.Now()})
	space.AddTables(nft.Decode(d, nft.Env{Now: time.Now()}).Tables...)
	space.AddTables(legacy...)
	rows := walk.Redirects(space, walk.Options{})
	share := 1 + rng.IntN(4)
	named := map[string]bool{}
	for i := range rows {
		rows[i].Verdict, rows[i].State, rows[i].Info = host.Violation, host.Active, false
		if rng.IntN(4) >= share {
			rows[i].Verdict = host.Allowed
		}
		named[place(rows[i].Ref)] = true
	}
	for _, ref := range append(refsOfNFT(d), refsOfLegacy(x.T, old)...) {
		if !named[place(&ref)] && rng.IntN(8) < share {
			rows = append(rows, host.Redirect{ID: fmt.Sprintf("other-%d", len(rows)), Mechanism: "rule", Kind: "dnat", State: host.Active,
				Verdict: host.Violation, Ref: &ref, Rule: &host.RuleRef{Text: "rule"}})
		}
	}
	return rows
}

// refsOfNFT names every rule outside anonymous chains.
func refsOfNFT(d *nft.Dump) (out []host.Ref) {
	families := map[uint8]host.Family{unix.NFPROTO_IPV4: host.IP, unix.NFPROTO_IPV6: host.IP6, unix.NFPROTO_INET: host.Inet}
	for _, table := range d.Tables {
		for _, c := range table.Chains {
			for i, r := range c.Rules {
				if c.Flags&4 == 0 { // NFT_CHAIN_BINDING
					out = append(out, host.Ref{Backend: nftedit.Backend, Family: families[table.Family], Table: table.Name, Chain: c.Name,
						Handle: r.Handle, Index: i + 1, Fingerprint: nft.Fingerprint(table, c, r)})
				}
			}
		}
	}
	return out
}

func refsOfLegacy(t *testing.T, d *xtables.Dump) (out []host.Ref) {
	t.Helper()
	for _, table := range d.Tables {
		chains, err := table.Chains()
		if err != nil {
			t.Fatal(err)
		}
		starts := table.Starts(chains)
		for _, c := range chains {
			for i, print := range d.Fingerprints(table, c, starts) {
				out = append(out, host.Ref{Backend: xtables.Source, Family: table.Family, Table: table.Name, Chain: c.Name, Index: i + 1, Fingerprint: print})
			}
		}
	}
	return out
}

func place(r *host.Ref) string {
	return fmt.Sprint(r.Backend, r.Family, r.Table, r.Chain, " ", r.Index)
}
