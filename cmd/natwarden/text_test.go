package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/remediate"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "text", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (go test -update writes it anew):\n%s\nwant:\n%s", name, got, want)
	}
}

func paged(write func(*page), change ...func(*page)) string {
	var b bytes.Buffer
	p := &page{w: bufio.NewWriter(&b), limit: 20}
	for _, c := range change {
		c(p)
	}
	write(p)
	_ = p.w.Flush() // into memory
	return b.String()
}

// sampleReport has a row of every verdict and hostile names.
func sampleReport() *audit.Report {
	r := fullReport()
	bad := r.Redirects[0]
	bad.Ref = &host.Ref{}
	bad.Rule.Comment, bad.Rule.Text = "\x1b[2Jx", "-A DOCKER ! -i docker0 -p tcp -m comment --comment \"\x1b[2J\u202ex\" -j DNAT --to-destination 10.77.2.2:8080"
	r.Redirects = []host.Redirect{
		bad,
		{ID: "b1", Kind: "redirect", State: host.Latent, Why: []string{"its interface eth7 is absent"}, Direction: "outbound", Family: "ip",
			Proto: "udp", Ports: "53", To: []string{":5353"}, Verdict: host.Violation, Advice: "ask ops"},
		{ID: "a1", Kind: "dnat", State: host.Active, Proto: "tcp", Ports: "443", To: []string{"10.0.0.1:443", "10.0.0.2:443"}, Verdict: host.Allowed, AllowedBy: "web"},
		{ID: "u1", Kind: "dnat", State: host.Active, Proto: "tcp", Ports: "8443", To: []string{"10.0.0.3"}, Verdict: host.Unreviewed, AllowedBy: "new"},
		{ID: "i1", Kind: "masquerade", State: host.Active, Proto: "any", Ports: "any", To: []string{":*"}, Verdict: host.Info, Info: true},
		{ID: "q1", Kind: "queue", State: host.Unknown, Why: []string{"expression \"foo\" is unknown"}, Proto: "tcp", Ports: "any", Verdict: host.Violation},
	}
	return r
}

func TestReportText(t *testing.T) {
	golden(t, "violations.txt", paged(func(p *page) { p.writeReport(sampleReport(), false) }))
	golden(t, "verbose.txt", paged(func(p *page) { p.writeReport(sampleReport(), false) }, func(p *page) { p.limit = 0 }))
	golden(t, "quiet.txt", paged(func(p *page) { p.writeReport(sampleReport(), true) }))
	empty := &audit.Report{Status: audit.Compliant, Host: audit.Host{Name: "web1"}, Policy: audit.PolicyRef{Path: "builtin"}}
	golden(t, "compliant.txt", paged(func(p *page) { p.writeReport(empty, false) }))
	blind := &audit.Report{Status: audit.Incomplete, Host: audit.Host{Name: "web1"}, Blind: []host.Blind{{Source: "nf_tables", What: "ip nat c rule 3", Why: "expression \"foo\" is unknown"}}}
	golden(t, "incomplete.txt", paged(func(p *page) { p.writeReport(blind, false) }))
}

func TestResultText(t *testing.T) {
	step := remediate.Step{IDs: []string{"x"}, Action: "delete", Object: "ip nat PREROUTING handle 7", Before: "tcp dport 80 dnat to 10.0.0.1", Why: "nothing in the rule is allowed",
		Reversible: true, Done: true, SideEffects: []string{"the limit state of 3 other rules starts anew"}}
	back, planned2 := step, step
	back.Action, back.Before, back.After = "add", "", step.Before
	planned2.Done, planned2.Reversible = false, false
	left := []remediate.Left{{ID: "y", Why: "it is in network namespace a, which is not in the scope: --netns names it"}}
	golden(t, "done.txt", paged(func(p *page) {
		p.writeResult(&remediate.Result{Status: remediate.Done, Change: "20261123T052000Z-9f2c", Steps: []remediate.Step{step}, Left: left}, remediated)
	}))
	golden(t, "plan.txt", paged(func(p *page) {
		p.writeResult(&remediate.Result{Status: remediate.Pending, Steps: []remediate.Step{planned2}}, planned)
	}))
	golden(t, "back.txt", paged(func(p *page) {
		p.writeResult(&remediate.Result{Status: remediate.Done, Change: "c", Steps: []remediate.Step{back}}, rolledBack)
	}))
}

// What a terminal would act on is never printed, and no line is wider than a
// terminal of old.
func TestTextIsSafeAndNarrow(t *testing.T) {
	r := sampleReport()
	nasty := strings.Repeat("\x00\x1b]0;x\a\u202e\xff", 40) + strings.Repeat("W", 300) + strings.Repeat("界", 100)
	for i := range r.Redirects {
		r.Redirects[i].Netns, r.Redirects[i].Advice, r.Redirects[i].To = nasty, nasty, []string{nasty}
		r.Redirects[i].Conditions = []string{nasty}
	}
	r.Host.Name, r.Blind[0].What, r.Listeners[0].Processes[0].Name = nasty, nasty, nasty
	text := paged(func(p *page) { p.writeReport(r, false) })
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if clean(line) != line {
			t.Errorf("a terminal would act on %q", line)
		}
		if w := width(line); w > columns {
			t.Errorf("%d columns: %s", w, line)
		}
	}
}

func TestColourOnlyWhereAsked(t *testing.T) {
	if text := paged(func(p *page) { p.writeReport(sampleReport(), false) }); strings.Contains(text, "\x1b") {
		t.Error("colour without being asked")
	}
	text := paged(func(p *page) { p.writeReport(sampleReport(), false) }, func(p *page) { p.colour = true })
	if !strings.HasPrefix(text, "\x1b[1;31mVIOLATIONS") {
		t.Errorf("the verdict is not red: %q", text[:30])
	}
}

func TestLongListsAreCut(t *testing.T) {
	text := paged(func(p *page) { p.writeReport(manyRows(50000), false) })
	if !strings.Contains(text, "… and 49,980 more (-o json has all)") {
		t.Errorf("not cut: %d bytes", len(text))
	}
}

func TestWrapKeepsEveryWord(t *testing.T) {
	for _, text := range []string{"", "a", "a bb ccc dddd", strings.Repeat("x", 100), "aa " + strings.Repeat("界", 30) + " b"} {
		lines := wrap(text, 10)
		if got, want := strings.ReplaceAll(strings.Join(lines, ""), " ", ""), strings.ReplaceAll(text, " ", ""); got != want {
			t.Errorf("wrap(%q) = %q", text, lines)
		}
		for _, l := range lines {
			if width(l) > 10 {
				t.Errorf("wrap(%q) has a line of %d columns", text, width(l))
			}
		}
	}
}

func TestCounts(t *testing.T) {
	for n, want := range map[int]string{0: "0 entries", 1: "1 entry", 1000: "1,000 entries", 1234567: "1,234,567 entries"} {
		if got := count(n, "entry"); got != want {
			t.Errorf("count(%d) = %q, want %q", n, got, want)
		}
	}
	if got := fmt.Sprint(list(nil), list([]string{"a"}), list([]string{"a", "b", "c"})); got != "a a, b and c" && got != "aa, b and c" {
		t.Errorf("list: %q", got)
	}
}
