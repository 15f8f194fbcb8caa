package path_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/path"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// load makes the host under test what the scenario says. It is false where the
// loaders refuse it.
func (l *diffLab) load(t testing.TB, s *scenario) bool {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	run := func(input string, argv ...string) bool {
		_, err := l.host.Run(ctx, input, argv...)
		if err != nil && os.Getenv("NATWARDEN_SHOW_REFUSED") != "" {
			t.Logf("%v", err)
		}
		return err == nil
	}
	empty := "*raw\nCOMMIT\n*mangle\nCOMMIT\n*nat\nCOMMIT\n*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\nCOMMIT\n"
	if !run(empty, "iptables-legacy-restore") || !run(empty, "ip6tables-legacy-restore") {
		t.Fatal("the legacy tables could not be emptied")
	}
	if l.routed {
		for _, family := range []string{"-4", "-6"} {
			run("rule del pref 101\nrule del pref 102\nrule del pref 103\n", "ip", family, "-force", "-batch", "-")
			run("route flush table 101\nroute flush table 102\nroute flush table 103\n", "ip", family, "-force", "-batch", "-")
		}
		l.routed = false
	}
	if !run("flush ruleset\n", "nft", "-f", "-") || l.ipsets && !run("", "ipset", "destroy") {
		return false
	}
	if l.ipsets = len(s.ipsets) > 0; l.ipsets && !run(strings.Join(s.ipsets, "\n")+"\n", "ipset", "restore") {
		return false
	}
	if !l.loadNFT(ctx, t, s) {
		return false
	}
	for _, key := range sortedKeys(s.tables) {
		parts := strings.Fields(key)
		program := map[string]string{"4": "iptables-", "6": "ip6tables-"}[parts[1]] + parts[0] + "-restore"
		if !run("*"+parts[2]+"\n"+strings.Join(s.tables[key], "\n")+"\nCOMMIT\n", program, "-n") {
			return false
		}
	}
	if len(s.routes) > 0 {
		l.routed = true
		v4, v6 := families(strings.Join(s.routes, "\n") + "\n")
		if !run(v4, "ip", "-batch", "-") || !run(v6, "ip", "-6", "-batch", "-") {
			return false
		}
	}
	l.host.MustDo(t, func(context.Context) error {
		_ = netlink.ConntrackTableFlush(netlink.ConntrackTable)
		return nil
	})
	return true
}

var refusedLine = regexp.MustCompile(`/dev/stdin:(\d+):`)

// loadNFT loads the nft part. Commands that nft refuses are left out.
func (l *diffLab) loadNFT(ctx context.Context, t testing.TB, s *scenario) bool {
	for range 20 {
		out, err := l.host.Run(ctx, "flush ruleset\n"+strings.Join(s.nft, "\n")+"\n", "nft", "-f", "-")
		if err == nil {
			return true
		}
		var bad []int
		for _, m := range refusedLine.FindAllStringSubmatch(out, -1) {
			n, _ := strconv.Atoi(m[1])
			if strings.Contains(out, "Could not process rule") && len(bad) > 0 {
				break // the kernel blames what follows as well
			}
			if n -= 2; n >= 0 && n < len(s.nft) && !slices.Contains(bad, n) {
				bad = append(bad, n)
			}
		}
		if os.Getenv("NATWARDEN_SHOW_REFUSED") != "" {
			t.Logf("%s", out)
		}
		if len(bad) == 0 {
			return false
		}
		slices.Sort(bad)
		for i, n := range slices.Backward(bad) {
			_ = i
			s.nft = slices.Delete(slices.Clone(s.nft), n, n+1)
		}
	}
	return false
}

// verdictOf holds what the walk says against what happened.
func verdictOf(a path.Answer, p *probe) string {
	if strings.HasPrefix(p.got, "error") || strings.HasPrefix(p.got, "closed") {
		return "unclear"
	}
	sure := len(a.Outcomes) == 1 && a.Outcomes[0].Certain
	for _, o := range a.Outcomes {
		if agrees(o, p) {
			if sure {
				return "right"
			}
			return "maybe"
		}
	}
	return "wrong"
}

func agrees(o path.Outcome, p *probe) bool {
	silent := p.got == "silence"
	turnedAway := p.got == "refused" || p.got == "unreachable"
	switch o.Kind {
	case path.Unknown:
		return true
	case path.Local:
		return p.got == "local "+o.AnsweredBy || p.got == "connected"
	case path.Forwarded:
		name := map[string]string{"a0": "A", "b0": "B"}[o.Out]
		if name == "" {
			return silent || turnedAway // back to the client, or by an interface without anybody
		}
		if at := netip.MustParseAddrPort(o.AnsweredBy).Addr(); homeless(at) && (silent || turnedAway) {
			return true
		}
		return p.got == name+" "+o.AnsweredBy
	}
	switch o.Nobody {
	case path.Dropped:
		return silent
	case path.Refused:
		return turnedAway || silent && p.Proto == host.UDP
	}
	return silent || turnedAway
}

// homeless says whether an address of the networks of A and B is nobody's.
func homeless(a netip.Addr) bool {
	for _, p := range []string{"10.2.0.0/24", "10.3.0.0/24", "fd02::/64", "fd03::/64"} {
		if prefix := netip.MustParsePrefix(p); prefix.Contains(a) {
			return a != prefix.Addr().Next().Next()
		}
	}
	return false
}

// tally counts pairs of a host and a packet.
type tally struct {
	pairs, hosts, right, maybe, wrong, unclear, decidable, decidableMaybe atomic.Int64
	classes                                                               classes      // pairs that were sent again, since they disagreed at first
	connected                                                             atomic.Int64 // a socket of the host answered, but a later packet got lost, so that which one is not known
}

func number(t testing.TB, name string, fallback int) int {
	if text := os.Getenv(name); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return n
	}
	return fallback
}

const packetsPerHost = 10

// TestTheKernelAgrees makes random hosts, sends them packets, and holds who
// answered against what the walk says. NATWARDEN_PAIRS says how many pairs of
// a host and a packet, NATWARDEN_SEED where to begin.
func TestTheKernelAgrees(t *testing.T) {
	pairs, seed := number(t, "NATWARDEN_PAIRS", 300), number(t, "NATWARDEN_SEED", 1)
	hosts := (pairs + packetsPerHost - 1) / packetsPerHost
	var sum tally
	var next atomic.Int64
	var wait sync.WaitGroup
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP); err != nil {
		t.Logf("SCTP is not compared: this kernel has none (%v)", err)
	} else {
		unix.Close(fd)
		t.Log("SCTP is not compared: no packets of it are sent yet")
	}
	labs := make([]*diffLab, min(3, hosts))
	for i := range labs {
		labs[i] = newDiffLab(t)
	}
	began := time.Now()
	for _, l := range labs {
		wait.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= hosts || t.Failed() && sum.wrong.Load() > 5 {
					return
				}
				l.compare(t, uint64(seed+n), &sum)
			}
		})
	}
	wait.Wait()
	decidable := max(1, sum.decidable.Load())
	t.Logf("seed %d: %d pairs of %d hosts in %s: %d certain and right, %d maybe, %d wrong, %d unclear (%d sent again, %d only connected); on hosts without undecidable matches %d of %d maybe (%.2f %%)",
		seed, sum.pairs.Load(), sum.hosts.Load(), time.Since(began).Round(time.Second), sum.right.Load(), sum.maybe.Load(), sum.wrong.Load(), sum.unclear.Load(), sum.classes.again(), sum.connected.Load(),
		sum.decidableMaybe.Load(), sum.decidable.Load(), 100*float64(sum.decidableMaybe.Load())/float64(decidable))
	for _, often := range sum.classes.often() {
		t.Errorf("sent again too often, so that chance may hide a disagreement: %s", often)
	}
	if sum.decidableMaybe.Load()*50 > decidable+50 {
		t.Errorf("more than 2 %% of the answers on hosts without undecidable matches are maybe")
	}
}

// patience is how long silence must last. A pair that disagrees is sent again
// with more of it.
const patience = 200 * time.Millisecond

func (l *diffLab) compare(t *testing.T, seed uint64, sum *tally) {
	s := generate(seed)
	g := &gen{Rand: newRand(seed)}
	number := uint32(seed) << 8
	probes := g.probes(packetsPerHost, &l.sport, &number)
	if !s.stateless { // its rules would rewrite the answers as well
		probes = append(probes[:packetsPerHost-2:packetsPerHost-2], g.ownProbes(2, &l.sport, &number)...)
	}
	answers, ok := l.try(t, s, probes, patience)
	if !ok {
		return
	}
	sum.hosts.Add(1)
	for i, p := range probes {
		v := verdictOf(answers[i], p)
		if sum.classes.count(answers[i], p, v); v == "wrong" || v == "unclear" {
			t.Logf("seed %d: sent again, %s: %s\n%s", seed, v, describe(p), words(answers[i]))
			if os.Getenv("NATWARDEN_SHOW_AGAIN") != "" {
				t.Logf("%s", s)
			}
		}
		for range 2 {
			if v == "wrong" || v == "unclear" {
				v = l.again(t, s, p, &answers[i])
			}
		}
		sum.count(s, v)
		if p.got == "connected" {
			sum.connected.Add(1)
		}
		if v == "maybe" && !s.open && os.Getenv("NATWARDEN_SHOW_MAYBE") != "" {
			t.Logf("seed %d: maybe %s\n%s", seed, describe(p), words(answers[i]))
		}
		if v == "wrong" && sum.wrong.Load() <= 3 {
			small := l.shrink(t, s, p)
			answer := answers[i]
			v := l.again(t, small, p, &answer)
			t.Errorf("%s %s: the walk says\n%s\n%s", v, describe(p), words(answer), small)
		}
	}
}

func (sum *tally) count(s *scenario, v string) {
	sum.pairs.Add(1)
	map[string]*atomic.Int64{"right": &sum.right, "maybe": &sum.maybe, "wrong": &sum.wrong, "unclear": &sum.unclear}[v].Add(1)
	if !s.open {
		sum.decidable.Add(1)
		if v == "maybe" {
			sum.decidableMaybe.Add(1)
		}
	}
}

func describe(p *probe) string {
	return fmt.Sprintf("%s %s:%d to %s:%d in %s: the kernel says %q", p.Proto, p.From, p.SPort, p.To, p.Port, p.In, p.got)
}

func words(a path.Answer) string {
	var b strings.Builder
	for _, o := range a.Outcomes {
		fmt.Fprintf(&b, "  certain=%v %s %s %s (%s) [%s]\n", o.Certain, o.Kind, o.AnsweredBy, o.Nobody, o.Reason, o.Condition)
	}
	for _, s := range a.Steps {
		fmt.Fprintf(&b, "  step %s %d %s: %s\n", s.Hook, s.Priority, s.Rule, s.Effect)
	}
	return b.String()
}

// try loads the scenario and sends the packets.
func (l *diffLab) try(t testing.TB, s *scenario, probes []*probe, patience time.Duration) ([]path.Answer, bool) {
	if !l.load(t, s) {
		return nil, false
	}
	defer l.listen(t, s.listeners)()
	w, done, err := l.world(t)
	defer done()
	if err != nil {
		t.Fatal(err)
	}
	answers := make([]path.Answer, len(probes))
	for i, p := range probes {
		answers[i] = path.Follow(w, p.Packet)
	}
	var clients, owns []*probe
	for _, p := range probes {
		if p.Own {
			owns = append(owns, p)
		} else {
			clients = append(clients, p)
		}
	}
	l.send(t, l.client, clients, patience)
	l.send(t, l.host, owns, patience)
	return answers, true
}

// again sends one packet to a fresh host, from a port of its own.
func (l *diffLab) again(t testing.TB, s *scenario, p *probe, a *path.Answer) string {
	p.got, p.state = "", 0
	answers, ok := l.try(t, s, []*probe{p}, 1200*time.Millisecond)
	if !ok {
		return "unclear"
	}
	*a = answers[0]
	return verdictOf(answers[0], p)
}

// shrink leaves out what the disagreement does not need.
func (l *diffLab) shrink(t testing.TB, s *scenario, p *probe) *scenario {
	still := func(c *scenario) bool {
		var a path.Answer
		return l.again(t, c, p, &a) == "wrong"
	}
	for changed := true; changed; {
		changed = false
		for i := len(s.nft) - 1; i >= 0; i-- {
			if strings.Contains(s.nft[i], `0" } accept`) || strings.Contains(s.nft[i], `1" } accept`) || strings.Contains(s.nft[i], "established,related accept") {
				continue // without these the host hears no replies, which is another matter
			}
			c := *s
			c.nft = slices.Delete(slices.Clone(s.nft), i, i+1)
			if still(&c) {
				s, changed = &c, true
			}
		}
		for _, key := range sortedKeys(s.tables) {
			for i := len(s.tables[key]) - 1; i >= 0; i-- {
				c := *s
				c.tables = maps.Clone(s.tables)
				if c.tables[key] = slices.Delete(slices.Clone(s.tables[key]), i, i+1); len(c.tables[key]) == 0 {
					delete(c.tables, key)
				}
				if still(&c) {
					s, changed = &c, true
				}
			}
		}
		for i := len(s.routes) - 1; i >= 0; i-- {
			c := *s
			c.routes = slices.Delete(slices.Clone(s.routes), i, i+1)
			if still(&c) {
				s, changed = &c, true
			}
		}
	}
	return s
}
