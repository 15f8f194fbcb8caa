//go:build amd64

package trial

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/nft"
	"github.com/natwarden/natwarden/internal/xtables"
	"github.com/natwarden/natwarden/remediate"
)

// wholeTables has others rewrite the tables at random after a change, takes that
// back with --full, and takes that back as well: the tables that the change
// touched have the snapshot's bytes, the others those of the others; and in the end all have.
func (x *randomTrial) wholeTables(seed uint64, set ruleset, was map[string]string, done *remediate.Result, editors []change.Editor, options remediate.Options) {
	x.Helper()
	x.meddle(rand.New(rand.NewPCG(seed, 9)))
	meddled, touched := rulesOf(x.T), map[string]bool{}
	for _, s := range done.Steps {
		words := strings.Fields(strings.TrimPrefix(s.Object, "legacy "))
		touched[fmt.Sprint(strings.HasPrefix(s.Object, "legacy "), words[0], words[1])] = true
	}
	want := map[string]string{}
	for key, value := range was {
		if touched[tableOfMark(key)] {
			want[key] = value
		}
	}
	for key, value := range meddled {
		if !touched[tableOfMark(key)] {
			want[key] = value
		}
	}
	options.Full = true
	r, err := remediate.Rollback(context.Background(), "", x.open, editors, options)
	if err != nil || r.ExitCode != 0 || len(r.Left) > 0 {
		x.fail(seed, set, "rollback --full: exit %d: %v %v", r.ExitCode, err, r.Left)
		return
	}
	x.same(seed, set, want, "rollback --full")
	x.figures["whole-tables"] += len(r.Steps)
	options.Full = false
	if r.Restores == "" || len(r.Steps) == 0 {
		return
	}
	back, err := remediate.Rollback(context.Background(), r.Change, x.open, editors, options)
	if err != nil || back.ExitCode != 0 {
		x.fail(seed, set, "rollback of the rollback --full: exit %d: %v %v", back.ExitCode, err, back.Left)
	}
	x.same(seed, set, meddled, "the rollback of rollback --full")
}

// tableOfMark names the table of a key of rulesOf as wholeTables does.
func tableOfMark(key string) string {
	key = strings.TrimPrefix(key, "counters of ")
	words := strings.Fields(key)
	if words[0] == "legacy" {
		return fmt.Sprint(true, words[1], words[2])
	}
	return fmt.Sprint(false, map[string]host.Family{"1": host.Inet, "2": host.IP, "10": host.IP6}[words[1]], words[2])
}

// meddle is what others do to the rules. What nft or iptables refuse is not done.
func (x *randomTrial) meddle(rng *rand.Rand) {
	x.Helper()
	d, err := nft.Read(x.Context(), nft.Options{})
	if err != nil {
		x.Fatal(err)
	}
	families := map[uint8]string{1: "inet", 2: "ip", 10: "ip6"}
	for _, t := range d.Tables {
		table := families[t.Family] + " " + t.Name
		lines := []string{"", "flush table " + table, "delete table " + table, fmt.Sprintf("add chain %s by_others_%d", table, rng.IntN(100))}
		for _, c := range t.Chains {
			lines = append(lines, fmt.Sprintf("flush chain %s %s", table, c.Name), fmt.Sprintf("insert rule %s %s udp dport %d counter accept", table, c.Name, rng.IntN(60000)))
			for _, r := range c.Rules {
				lines = append(lines, fmt.Sprintf("delete rule %s %s handle %d", table, c.Name, r.Handle))
			}
		}
		for range 1 + rng.IntN(4) {
			x.others(lines[rng.IntN(len(lines))]+"\n", "nft", "-f", "-")
		}
	}
	x.meddleLegacy(rng)
}

func (x *randomTrial) meddleLegacy(rng *rand.Rand) {
	x.Helper()
	d, err := xtables.Read(x.Context())
	if err != nil {
		x.Fatal(err)
	}
	for _, t := range d.Tables {
		program := map[host.Family]string{host.IP: "iptables-legacy", host.IP6: "ip6tables-legacy"}[t.Family]
		lines := []string{"-F", "-N by-others", "-A OUTPUT -p tcp --dport 77 -j ACCEPT", "-D PREROUTING 1", "-I PREROUTING -p udp -j RETURN"}
		for range rng.IntN(4) {
			x.others("", append([]string{program, "-t", t.Name}, strings.Fields(lines[rng.IntN(len(lines))])...)...)
		}
	}
}

func (x *randomTrial) others(input string, argv ...string) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if cmd.Run() == nil {
		x.figures["meddled"]++
	}
}
