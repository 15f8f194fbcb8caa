package remediate_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/remediate"
)

// world is a ruleset by chain: "ip t pre" and "inet u pre" of nft, "legacy
// PREROUTING", each with its rules in the words of its own tool.
type world map[string][]string

func (w world) clone() world {
	out := world{}
	for c, rules := range w {
		out[c] = slices.Clone(rules)
	}
	return out
}

// heads are the base chains; every other chain is only jumped to.
var heads = map[string]string{
	"ip t pre":          "type nat hook prerouting priority -100;",
	"inet u pre":        "type nat hook prerouting priority -90;",
	"legacy PREROUTING": "",
}

// drawer makes rules, each with a port of its own unless it is drawn twice.
type drawer struct {
	*rand.Rand
	port  int
	drawn map[string][]string // by the first word of the chain
}

func (d *drawer) rule(chain string) string {
	kind, _, _ := strings.Cut(chain, " ")
	if drawn := d.drawn[kind]; len(drawn) > 0 && d.IntN(12) == 0 {
		return drawn[d.IntN(len(drawn))]
	}
	d.port++
	var text string
	if strings.HasPrefix(chain, "legacy") {
		text = fmt.Sprintf("-p tcp -m tcp --dport %d -j ", d.port) + []string{"ACCEPT", "RETURN",
			"REDIRECT --to-ports 8080", "DNAT --to-destination 10.0.0.9:80", fmt.Sprintf("DNAT --to-destination 10.0.0.8:%d", d.port)}[d.IntN(5)]
	} else {
		family := "" // of the address, where the table is of both
		if strings.HasPrefix(chain, "inet") {
			family = "ip "
		}
		text = fmt.Sprintf("tcp dport %d ", d.port) + []string{"accept", "return", "redirect to :8080",
			"dnat " + family + "to 10.0.0.9:80", fmt.Sprintf("dnat %sto tcp sport map { %d : 10.0.0.1, %d : 10.0.0.2 }", family, d.port, d.port+1)}[d.IntN(5)]
	}
	d.drawn[kind] = append(d.drawn[kind], text)
	return text
}

func (d *drawer) world() world {
	w := world{}
	for _, chain := range []string{"ip t pre", "ip t aux", "inet u pre", "legacy PREROUTING", "legacy aux"} {
		w[chain] = []string{}
		for range d.IntN(9) {
			w[chain] = append(w[chain], d.rule(chain))
		}
	}
	w["ip t pre"] = append(w["ip t pre"], "jump aux")
	w["legacy PREROUTING"] = append(w["legacy PREROUTING"], "-j aux")
	return w
}

// load makes the host what w says, in one step for each subsystem: as a daemon
// does that makes its tables anew, with new handles.
func (w world) load(t *testing.T, s labtest.Space) {
	t.Helper()
	var b strings.Builder
	b.WriteString("add table ip t\ndelete table ip t\nadd table inet u\ndelete table inet u\n")
	for _, table := range []string{"ip t", "inet u"} {
		fmt.Fprintf(&b, "table %s {\n", table)
		for _, chain := range slices.Sorted(maps.Keys(w)) { // aux before pre, which jumps to it
			if name, ours := strings.CutPrefix(chain, table+" "); ours {
				fmt.Fprintf(&b, "chain %s { %s\n%s\n}\n", name, heads[chain], strings.Join(w[chain], "\n"))
			}
		}
		b.WriteString("}\n")
	}
	s.MustRun(t, b.String(), "nft", "-f", "-")
	b.Reset()
	b.WriteString("*nat\n:PREROUTING ACCEPT\n")
	rules := ""
	for chain := range w {
		if name, ours := strings.CutPrefix(chain, "legacy "); ours {
			if name != "PREROUTING" {
				fmt.Fprintf(&b, ":%s -\n", name)
			}
			for _, r := range w[chain] {
				rules += fmt.Sprintf("-A %s %s\n", name, r)
			}
		}
	}
	b.WriteString(rules)
	s.MustRun(t, b.String()+"COMMIT\n", "iptables-legacy-restore")
}

var aChain = regexp.MustCompile(`^(table|chain) (\S+ ?\S*) \{$`)

// readWorld reads the host by its own tools.
func readWorld(t *testing.T, s labtest.Space) world {
	t.Helper()
	w := world{}
	table, chain := "", ""
	for line := range strings.Lines(s.MustRun(t, "", "nft", "-s", "list", "ruleset")) {
		line = strings.TrimSpace(line)
		m := aChain.FindStringSubmatch(line)
		switch {
		case m != nil && m[1] == "table":
			table = m[2]
		case m != nil:
			chain = table + " " + m[2]
			w[chain] = []string{}
		case line != "" && line != "}" && !strings.HasPrefix(line, "type "):
			w[chain] = append(w[chain], line)
		}
	}
	for line := range strings.Lines(s.MustRun(t, "", "iptables-legacy-save", "-t", "nat")) {
		line = strings.TrimSpace(line)
		if name, is := strings.CutPrefix(line, ":"); is {
			name, _, _ = strings.Cut(name, " ")
			if !slices.Contains([]string{"INPUT", "OUTPUT", "POSTROUTING"}, name) {
				w["legacy "+name] = []string{}
			}
		}
		if rule, is := strings.CutPrefix(line, "-A "); is {
			name, rest, _ := strings.Cut(rule, " ")
			w["legacy "+name] = append(w["legacy "+name], rest)
		}
	}
	return w
}

// meddle is what others do meanwhile: they add, delete, move rules and make chains.
func (d *drawer) meddle(w world) world {
	out := w.clone()
	for range 1 + d.IntN(8) {
		chains := slices.Sorted(maps.Keys(out))
		chain := chains[d.IntN(len(chains))]
		rules := out[chain]
		jumps := func(r string) bool { return strings.Contains(r, "aux") }
		switch n := d.IntN(10); {
		case n < 4: // add
			rules = slices.Insert(rules, d.IntN(len(rules)+1), d.rule(chain))
		case n < 7 && len(rules) > 0: // delete
			if i := d.IntN(len(rules)); !jumps(rules[i]) {
				rules = slices.Delete(rules, i, i+1)
			}
		case n < 9 && len(rules) > 1: // move
			i := d.IntN(len(rules))
			r := rules[i]
			rules = slices.Delete(rules, i, i+1)
			rules = slices.Insert(rules, d.IntN(len(rules)+1), r)
		case strings.HasSuffix(chain, "aux"): // a chain goes, with what jumps to it
			pre := strings.Replace(strings.Replace(chain, "legacy aux", "legacy PREROUTING", 1), " aux", " pre", 1)
			out[pre] = slices.DeleteFunc(out[pre], jumps)
			delete(out, chain)
			continue
		default: // and one comes
			table := chain[:strings.LastIndex(chain, " ")+1]
			out[table+"new"] = []string{d.rule(chain)}
		}
		out[chain] = rules
	}
	return out
}

// apply brings the host from one world to another by single commands, so that
// what stays keeps its handle.
func (w world) apply(t *testing.T, s labtest.Space, from world) {
	t.Helper()
	for _, chain := range slices.Sorted(maps.Keys(w)) {
		if strings.HasPrefix(chain, "legacy") || slices.Equal(w[chain], from[chain]) {
			continue
		}
		if from[chain] == nil {
			s.MustRun(t, "add chain "+chain+"\n", "nft", "-f", "-")
		}
		s.MustRun(t, steps(chain, handles(t, s, chain), w[chain]), "nft", "-f", "-")
	}
	for chain := range from {
		if _, stays := w[chain]; !stays && !strings.HasPrefix(chain, "legacy") {
			s.MustRun(t, "flush chain "+chain+"\ndelete chain "+chain+"\n", "nft", "-f", "-")
		}
	}
}

// numbered is a rule with its handle.
type numbered struct{ text, handle string }

func handles(t *testing.T, s labtest.Space, chain string) (out []numbered) {
	t.Helper()
	for line := range strings.Lines(s.MustRun(t, "", append([]string{"nft", "-s", "-a", "list", "chain"}, strings.Fields(chain)...)...)) {
		text, handle, is := strings.Cut(strings.TrimSpace(line), " # handle ")
		if is && !strings.HasSuffix(text, "{") {
			out = append(out, numbered{text, handle})
		}
	}
	return out
}

// steps deletes what goes and adds what comes: what stays of a longest common
// sequence keeps its handle.
func steps(chain string, is []numbered, want []string) string {
	var b strings.Builder
	i := 0
	for _, text := range want {
		found := slices.IndexFunc(is[i:], func(n numbered) bool { return n.text == text })
		if found < 0 || found > 3 {
			if i < len(is) {
				fmt.Fprintf(&b, "insert rule %s handle %s %s\n", chain, is[i].handle, text)
			} else {
				fmt.Fprintf(&b, "add rule %s %s\n", chain, text)
			}
			continue
		}
		for _, gone := range is[i : i+found] {
			fmt.Fprintf(&b, "delete rule %s handle %s\n", chain, gone.handle)
		}
		i += found + 1
	}
	for _, gone := range is[i:] {
		fmt.Fprintf(&b, "delete rule %s handle %s\n", chain, gone.handle)
	}
	return b.String()
}

// cases is how many random worlds a test tries; NATWARDEN_CASES says more.
func cases(t *testing.T, few int) (n int, seed uint64) {
	t.Helper()
	n, seed = few, 1
	if text := os.Getenv("NATWARDEN_CASES"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("NATWARDEN_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return n, seed
}

// Whatever others did meanwhile, nothing of theirs is lost or moved by a
// rollback, and what had its place is back in it.
func TestRollbackIntoAChangedWorld(t *testing.T) {
	s := labtest.New(t, "nft", "iptables-legacy", "iptables-legacy-save", "iptables-legacy-restore")
	n, seed := cases(t, 20)
	back, left := 0, 0
	for i := range n {
		b, l := oneWorld(t, s, seed+uint64(i))
		back, left = back+b, left+l
		if t.Failed() {
			t.Fatalf("NATWARDEN_SEED=%d NATWARDEN_CASES=1 tries it again", seed+uint64(i))
		}
	}
	t.Logf("%d worlds: %d rules are back, %d were left", n, back, left)
	if n >= 20 && (back == 0 || left == 0) {
		t.Error("the worlds were too tame")
	}
}

func oneWorld(t *testing.T, s labtest.Space, seed uint64) (back, left int) {
	t.Helper()
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, 7)), port: 100, drawn: map[string][]string{}}
	first := d.world()
	first.load(t, s)
	before := readWorld(t, s)
	b := bed{s, editors(t), remediate.Options{StateDir: quickDir(t) + "/state", Version: "test"}}
	all := rows(t, s, func(*host.Redirect) bool { return d.IntN(2) == 0 })
	if !slices.ContainsFunc(all, func(r host.Redirect) bool { return r.Verdict == host.Violation }) {
		return 0, 0
	}
	// A row may be one element of a rule that has more: then the rule is edited.
	done, err := remediate.Run(context.Background(), all, nil, []remediate.Space{{Handle: s.Handle()}}, b.editors, b.o)
	if err != nil || done.Change == "" {
		if err == nil {
			return 0, 0 // all of them are of chains that nothing reaches
		}
		t.Errorf("%v\n%+v", err, done)
		return 0, 0
	}
	after := readWorld(t, s)
	changed := d.meddle(after)
	if d.IntN(2) == 0 {
		changed.load(t, s)
	} else {
		changed.apply(t, s, after)
	}
	now := readWorld(t, s)
	r := b.rollbackAny(t)
	check := checker{t: t, before: before, after: after, now: now, end: readWorld(t, s), result: r}
	check.all()
	return check.back, len(r.Left)
}

// quickDir is a folder in memory where there is one: a thousand worlds would
// wait for the disk most of the time.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "natwarden-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// rollbackAny rolls back; what cannot be put back makes it 2.
func (b bed) rollbackAny(t *testing.T) *remediate.Result {
	t.Helper()
	r, err := b.tryRollback()
	if r.ExitCode != 0 && r.ExitCode != 2 {
		t.Errorf("exit code %d: %v\n%+v", r.ExitCode, err, r)
	}
	return r
}

// checker holds the host after a rollback against those of before.
type checker struct {
	t                       *testing.T
	before, after, now, end world
	result                  *remediate.Result
	back                    int
}

func (c *checker) all() {
	for chain, rules := range c.now {
		if _, there := c.end[chain]; !there {
			c.t.Errorf("chain %s is gone", chain)
		}
		c.nothingLost(chain, rules)
	}
	for chain := range c.end {
		if _, there := c.now[chain]; !there {
			c.t.Errorf("chain %s is new", chain)
		}
	}
	for chain := range c.before {
		c.placed(chain)
	}
	if c.t.Failed() {
		c.t.Logf("before %q\nafter %q\nmeanwhile %q\nend %q\n%+v", c.before, c.after, c.now, c.end, c.result)
	}
}

// nothingLost: the rules of meanwhile stand in the order in which they were. A
// rule that lost an element stands in its place as the whole rule.
func (c *checker) nothingLost(chain string, rules []string) {
	whole := map[string]string{}
	for i, text := range c.edited(chain) {
		whole[i] = text
	}
	i := 0
	for _, text := range c.end[chain] {
		if i < len(rules) && (text == rules[i] || text == whole[rules[i]]) {
			i++
		}
	}
	if i < len(rules) {
		c.t.Errorf("%s: %q of others is gone or was moved", chain, rules[i])
	}
}

// edited maps rules that lost an element to the whole ones.
func (c *checker) edited(chain string) map[string]string {
	out := map[string]string{}
	for _, s := range c.result.Steps {
		if s.Action == "edit" && strings.HasPrefix(s.Object, chain+" ") {
			for _, was := range c.before[chain] {
				for _, is := range c.after[chain] {
					if was != is && portOf(was) == portOf(is) {
						out[is] = was
					}
				}
			}
		}
	}
	return out
}

func portOf(rule string) string {
	f := strings.Fields(rule)
	if i := slices.IndexFunc(f, func(w string) bool { return strings.HasSuffix(w, "dport") }); i >= 0 && i+1 < len(f) {
		return f[i+1]
	}
	return rule
}

// placed: what was taken away is back as often as it was, between its nearest
// neighbours that are there; or it is said why not.
func (c *checker) placed(chain string) {
	was, end := c.before[chain], c.end[chain]
	taken := tally(was)
	for text, n := range tally(c.after[chain]) {
		taken[text] -= n
	}
	for i, text := range was {
		if taken[text] <= 0 || portOf(text) == "" {
			continue
		}
		have := tally(end)[text]
		if have < tally(was)[text] && have <= tally(c.now[chain])[text] {
			if tally(c.now[chain])[text] < tally(was)[text] && !c.said(chain) {
				c.t.Errorf("%s: %q is not back, and nothing is said of it", chain, text)
			}
			continue
		}
		c.back++
		if slices.Max(slices.Collect(maps.Values(tally(was)))) > 1 || have > 1 {
			continue // which of several is which cannot be told
		}
		c.between(chain, was, end, i)
	}
}

func (c *checker) between(chain string, was, end []string, i int) {
	at := slices.Index(end, was[i])
	prev, next := -1, len(end)
	for j := i - 1; j >= 0 && prev < 0; j-- {
		prev = slices.Index(end, was[j])
	}
	for j := i + 1; j < len(was) && next == len(end); j++ {
		if k := slices.Index(end, was[j]); k >= 0 {
			next = k
		}
	}
	if prev < next && prev >= 0 && next < len(end) && (at <= prev || at >= next) && !c.moved(chain, was) {
		c.t.Errorf("%s: %q came back at %d, its neighbours stand at %d and %d", chain, was[i], at+1, prev+1, next+1)
	}
}

// moved says whether others changed the order of what stayed: then "between" is
// a matter of whom one asks. A rule that lost an element is whole again where it was moved to.
func (c *checker) moved(chain string, was []string) bool {
	last, whole := -1, c.edited(chain)
	for _, text := range c.now[chain] {
		i := slices.Index(was, cmp.Or(whole[text], text))
		if i >= 0 && i < last {
			return true
		}
		last = max(last, i)
	}
	return false
}

func (c *checker) said(chain string) bool {
	if strings.HasPrefix(chain, "legacy ") {
		chain = strings.Replace(chain, "legacy ", "legacy ip nat ", 1)
	}
	return slices.ContainsFunc(c.result.Left, func(l remediate.Left) bool { return strings.Contains(l.Why, chain) })
}

func tally(rules []string) map[string]int {
	out := map[string]int{}
	for _, r := range rules {
		out[r]++
	}
	return out
}
