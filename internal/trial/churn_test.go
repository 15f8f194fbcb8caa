//go:build amd64

package trial

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// envChurn is how many remediations there are in all.
const envChurn = "NATWARDEN_CHURN"

const churnShards = 4

// TestChurn remediates while another process adds, deletes and reorders rules of
// the same chains, of both subsystems, as fast as it can: no rule goes that was
// not in the plan, and no run says that it is done when it is not.
func TestChurn(t *testing.T) {
	sum := inShards(t, "TestChurnInside", churnShards)
	if sum["commits"] < 10*sum["rounds"] {
		t.Error("too little happened for the test to mean anything")
	}
	// Nearly all do, however busy the machine is; at full speed it depends on that.
	for _, pace := range paces {
		all := sum["rounds-at-"+pace.name]
		if pace.pause > 0 && sum["done-at-"+pace.name] < all*3/4 {
			t.Errorf("at %s only %d of %d changes came through", pace.name, sum["done-at-"+pace.name], all)
		}
	}
}

// churnPolicy allows what the churner makes, and one rule besides.
const churnPolicy = `version: 1
allow:
  redirects:
    - id: others
      reason: on trial
      owner: ops@example.org
      permanent: true
      match: {proto: tcp, ports: "20000-29999"}
    - id: kept
      reason: on trial
      owner: ops@example.org
      permanent: true
      match: {proto: tcp, ports: "600"}
`

// victims are violations and rules that are to stay, by port, in their order.
var victims = []struct {
	port    string
	verdict string // of nft
	target  string // of iptables
	stays   bool
}{
	{"500", "accept", "ACCEPT", true},
	{"80", "dnat to 10.77.2.2:8080", "DNAT --to-destination 10.77.2.2:8080", false},
	{"600", "dnat to 10.77.2.6", "DNAT --to-destination 10.77.2.6", true},
	{"81", "redirect to :8081", "REDIRECT --to-ports 8081", false},
	{"501", "accept", "ACCEPT", true},
}

// TestChurnInside is one shard of TestChurn.
func TestChurnInside(t *testing.T) {
	b := &bench{T: t, folder: inside(t)}
	rounds := 24
	if n, err := strconv.Atoi(os.Getenv(envChurn)); err == nil {
		rounds = n
	}
	if err := os.WriteFile(policyFile, []byte(churnPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "", "ip link set lo up")
	must(t, "table ip nat { chain pre { type nat hook prerouting priority -100; }; }", "nft -f -")
	must(t, "", "iptables-legacy -t nat -L -n")
	shard, err := strconv.Atoi(os.Getenv(envShard))
	if err != nil {
		t.Fatal(err)
	}
	c := &churning{bench: b, figures: map[string]int{}, last: map[string]int{}, shard: shard}
	for _, name := range []string{"nf_tables", "x_tables"} {
		c.churners = append(c.churners, startChurner(t, name))
	}
	for range (rounds + churnShards - 1) / churnShards {
		c.round()
		if t.Failed() {
			break
		}
	}
	for what, n := range c.figures {
		fmt.Printf("FIGURE %s %d\n", what, n)
	}
}

type churning struct {
	*bench
	churners []*churner
	figures  map[string]int
	last     map[string]int // commits of each churner so far
	shard    int
}

// plant makes the victims anew among the churner's rules.
func (c *churning) plant() {
	c.Helper()
	for _, churner := range c.churners {
		_, there := churner.there()
		for _, v := range victims {
			if slices.Contains(there, v.port) {
				continue
			}
			if churner.name == "nf_tables" {
				must(c.T, "", "nft add rule ip nat pre tcp dport "+v.port+" counter "+v.verdict)
			} else {
				must(c.T, "", "iptables-legacy -w 30 -t nat -A PREROUTING -p tcp --dport "+v.port+" -j "+v.target)
			}
		}
	}
}

// paces are the pauses of the others between two commands: one, ten and about a
// hundred writes a second, as fail2ban, kube-proxy or a starting Docker make them,
// and as fast as each can.
var paces = []struct {
	name  string
	pause time.Duration
}{{"1/s", time.Second}, {"10/s", 100 * time.Millisecond}, {"100/s", 8 * time.Millisecond}, {"full", 0}}

// round is one remediation under fire, and its rollback.
func (c *churning) round() {
	c.Helper()
	c.fresh()
	c.plant()
	pace := paces[(c.figures["rounds"]+c.shard)%len(paces)]
	for _, churner := range c.churners {
		churner.goOn(pace.pause)
	}
	time.Sleep(20 * time.Millisecond)
	began := time.Now()
	r := c.plain("remediate", "--netns", "current", "--policy", policyFile, "--no-confirm", "--yes", "-o", "json")
	took := time.Since(began)
	c.judge(r, false, pace.name)
	c.figures["rounds"]++
	c.figures["rounds-at-"+pace.name]++
	c.figures["ms-at-"+pace.name] += int(took.Milliseconds())
	c.figures["longest-ms-at-"+pace.name] = max(c.figures["longest-ms-at-"+pace.name], int(took.Milliseconds()))
	c.figures["retried-at-"+pace.name] += c.retries(r)
	if r.code != 0 {
		fmt.Printf("WHY %s %s\n", pace.name, why(r.out))
		return
	}
	for _, churner := range c.churners {
		churner.goOn(pace.pause)
	}
	back := c.plain("rollback", "--yes", "-o", "json")
	c.judge(back, true, pace.name)
	if back.code != 0 {
		fmt.Printf("WHY %s rollback: %s\n", pace.name, why(back.out))
	}
}

// why is what natwarden said on standard error, and what it left.
func why(out string) string {
	said, document, _ := strings.Cut(out, `{"schema_version"`)
	_, left, _ := strings.Cut(document, `"left":`)
	return strings.Join(strings.Fields(said+" left: "+left), " ")
}

// words name an exit code in the figures.
var words = map[int]string{0: "done", 1: "error", 2: "left", 3: "blind", 4: "rolled-back", 5: "half", 7: "refused", 75: "busy"}

// judge holds the host, at rest, against what the churner knows and against
// what natwarden says.
func (c *churning) judge(r ran, back bool, pace string) {
	c.Helper()
	what := words[r.code]
	if back {
		what = "rollback-" + what
	}
	c.figures[what]++
	c.figures[what+"-at-"+pace]++
	if !slices.Contains([]int{0, 1, 2, 3, 4, 7, 75}, r.code) {
		c.Errorf("an exit code that nothing explains: %s", r)
	}
	for _, churner := range c.churners {
		want := churner.pause()
		own, others := churner.there()
		if !maps.Equal(want, own) {
			c.Errorf("%s: the other's rules are %v, and were to be %v: %s", churner.name, own, want, r)
		}
		c.figures["commits"] += churner.commits - c.last[churner.name]
		if !back {
			c.figures["commits-at-"+pace] += churner.commits - c.last[churner.name]
		}
		c.last[churner.name] = churner.commits
		c.judgeOthers(churner.name, r, back, others)
	}
}

func (c *churning) judgeOthers(name string, r ran, back bool, others []string) {
	c.Helper()
	var all, stay []string
	for _, v := range victims {
		all = append(all, v.port)
		if v.stays {
			stay = append(stay, v.port)
		}
	}
	slices.Sort(others)
	slices.Sort(all)
	slices.Sort(stay)
	gone, there := slices.Equal(others, stay), slices.Equal(others, all)
	// What was left is not the victims': a program that somebody attached to the
	// machine meanwhile, for one.
	done := r.code == 0 || r.code == 2 && strings.Contains(r.out, `"status":"done"`)
	undone := r.code == 1 || r.code == 4 || r.code == 7 || r.code == 75
	switch {
	case !gone && !there && r.code != 2 && r.code != 3:
		c.Errorf("%s: neither before nor after: %v: %s", name, others, r)
	case !back && done && !gone, back && r.code == 0 && !there:
		c.Errorf("%s: a false success: %v: %s", name, others, r)
	case !back && undone && !there, back && undone && !gone:
		c.Errorf("%s: it says that nothing was changed: %v: %s", name, others, r)
	}
}

// tries is how often a transaction was made anew, by what natwarden says.
var tries = regexp.MustCompile(`it took (\d+) tries|\(tried (\d+) times\)`)

func (c *churning) retries(r ran) (n int) {
	for _, m := range tries.FindAllStringSubmatch(r.out, -1) {
		var tried int
		if _, err := fmt.Sscan(m[1]+m[2], &tried); err != nil {
			c.Fatal(err)
		}
		n += tried - 1
	}
	return n
}
