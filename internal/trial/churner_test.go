//go:build amd64

package trial

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// churnArgument makes the test binary the process that rewrites rules.
const churnArgument = "churn"

// backend says how the rules of one subsystem are written and listed.
type backend struct {
	name string
	add  func(rng *rand.Rand, port int) []string // a program and its arguments
	del  func(port, handle int) []string
	list []string
}

// Ports of the churner's rules. The policy of the trial allows them, so that
// those that translate are redirects as well.
const (
	churnFrom = 20000
	churnTo   = 29999
)

// backends are where the churner works, by name.
func backends() map[string]backend {
	allow := func(rng *rand.Rand) bool { return rng.IntN(2) == 0 }
	nft := func(rng *rand.Rand, port int) []string {
		verb, verdict := "add", "accept"
		if rng.IntN(2) == 0 {
			verb = "insert"
		}
		if allow(rng) {
			verdict = "dnat to 10.9.9.9"
		}
		return strings.Fields(fmt.Sprintf(`nft -e -a %s rule ip nat pre tcp dport %d counter %s`, verb, port, verdict))
	}
	legacy := func(rng *rand.Rand, port int) []string {
		where, target := "-A PREROUTING", "ACCEPT"
		if rng.IntN(2) == 0 {
			where = "-I PREROUTING"
		}
		if allow(rng) {
			target = "DNAT --to-destination 10.9.9.9"
		}
		return strings.Fields(fmt.Sprintf("iptables-legacy -w 30 -t nat %s -p tcp --dport %d -j %s", where, port, target))
	}
	return map[string]backend{
		"nf_tables": {"nf_tables", nft,
			func(_, handle int) []string {
				return strings.Fields(fmt.Sprintf("nft delete rule ip nat pre handle %d", handle))
			},
			strings.Fields("nft -n list chain ip nat pre")},
		"x_tables": {"x_tables", legacy, nil, strings.Fields("iptables-legacy -w 30 -t nat -S PREROUTING")},
	}
}

var (
	handleOf = regexp.MustCompile(`# handle (\d+)`)
	portOf   = regexp.MustCompile(`dport (\d+)`)
)

// rule is one of the churner's own, with what takes it away.
type rule struct {
	port   int
	delete []string
}

// churnMain adds, deletes and reorders rules with the pause between two that a
// line names. At the next line it answers with the ports of the rules that stand
// there by its own books and how often it has written, as JSON, and waits for one
// more; so at the start.
func churnMain(name string) error {
	b, ok := backends()[name]
	if !ok {
		return fmt.Errorf("no backend %q", name)
	}
	lines := make(chan time.Duration)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			pause, err := time.ParseDuration(in.Text())
			if err != nil {
				break
			}
			lines <- pause
		}
		os.Exit(0)
	}()
	var own []rule
	commits := 0
	rng := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	pause := <-lines
	for next := churnFrom; ; {
		select {
		case <-time.After(pause):
		case <-lines:
			at := books{Ports: []int{}, Commits: commits}
			for _, r := range own {
				at.Ports = append(at.Ports, r.port)
			}
			if err := json.NewEncoder(os.Stdout).Encode(at); err != nil {
				return err
			}
			pause = <-lines
			continue
		}
		var err error
		switch {
		case len(own) < 6 || len(own) < 14 && rng.IntN(2) == 0:
			own, err = b.grow(rng, own, next)
			if next++; next > churnTo {
				next = churnFrom
			}
		case rng.IntN(2) == 0: // one moves
			i := rng.IntN(len(own))
			port := own[i].port
			if own, err = shrink(own, i); err == nil {
				commits++
				own, err = b.grow(rng, own, port)
			}
		default:
			own, err = shrink(own, rng.IntN(len(own)))
		}
		if err != nil {
			return err
		}
		commits++
	}
}

// books are what the churner knows of its work.
type books struct {
	Ports   []int
	Commits int
}

func (b backend) grow(rng *rand.Rand, own []rule, port int) ([]rule, error) {
	argv := b.add(rng, port)
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return own, fmt.Errorf("%s: %w: %s", argv, err, out)
	}
	if b.del == nil { // the same words with -D for -A or -I
		for i, word := range argv {
			if word == "-A" || word == "-I" {
				argv[i] = "-D"
			}
		}
		return append(own, rule{port, argv}), nil
	}
	handle := 0
	if m := handleOf.FindSubmatch(out); m != nil {
		_, _ = fmt.Sscan(string(m[1]), &handle)
	}
	if handle == 0 {
		return own, fmt.Errorf("nft names no handle: %s", out)
	}
	return append(own, rule{port, b.del(port, handle)}), nil
}

func shrink(own []rule, i int) ([]rule, error) {
	argv := own[i].delete
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return own, fmt.Errorf("a rule of port %d is not there to be deleted: %s: %w: %s", own[i].port, argv, err, out)
	}
	return append(own[:i], own[i+1:]...), nil
}

// churner is that process, seen from the test.
type churner struct {
	*testing.T
	backend
	to   io.Writer
	from *bufio.Reader

	commits int // until the last pause
}

func startChurner(t *testing.T, name string) *churner {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], churnArgument, name)
	to, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	from, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close(); _ = cmd.Wait() })
	return &churner{T: t, backend: backends()[name], to: to, from: bufio.NewReader(from)}
}

// goOn lets it run, with a pause between two commands.
func (c *churner) goOn(pause time.Duration) {
	c.Helper()
	if _, err := fmt.Fprintln(c.to, pause); err != nil {
		c.Fatal(err)
	}
}

// pause stops it between two commands and gives the ports that it believes to
// be there.
func (c *churner) pause() map[int]int {
	c.Helper()
	c.goOn(0)
	line, err := c.from.ReadBytes('\n')
	var at books
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		c.Fatalf("%s: the churner ended: %v (what it said stands above)", c.name, err)
	}
	c.commits = at.Commits
	return count(at.Ports)
}

func count(ports []int) map[int]int {
	out := map[int]int{}
	for _, p := range ports {
		out[p]++
	}
	return out
}

// there are the ports of the chain's rules now: the churner's, and the others in order.
func (c *churner) there() (own map[int]int, others []string) {
	c.Helper()
	out, err := exec.CommandContext(c.Context(), c.list[0], c.list[1:]...).CombinedOutput()
	if err != nil {
		c.Fatalf("%s: %v\n%s", c.list, err, out)
	}
	var ports []int
	for line := range strings.Lines(string(out)) {
		m := portOf.FindStringSubmatch(line)
		port := 0
		if m != nil {
			_, _ = fmt.Sscan(m[1], &port)
		}
		switch {
		case port >= churnFrom && port <= churnTo:
			ports = append(ports, port)
		case m != nil:
			others = append(others, m[1])
		}
	}
	return count(ports), others
}
