package remediate_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/nft"
	nftedit "github.com/natwarden/natwarden/internal/nft/edit"
	"github.com/natwarden/natwarden/internal/walk"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
	xtedit "github.com/natwarden/natwarden/internal/xtables/edit"
	"github.com/natwarden/natwarden/remediate"
)

// house has a redirect in every form whose removal differs: rules of both
// backends, a named map, an anonymous map, an interval map, an anonymous chain.
const house = `
table inet t {
	map named {
		type inet_service : ipv4_addr . inet_service
		elements = { 1000 : 10.0.0.1 . 80, 1001 : 10.0.0.2 . 80 }
	}
	map spans {
		type inet_service : ipv4_addr
		flags interval
		elements = { 100-109 : 10.0.0.5, 110-119 : 10.0.0.6, 300-400 : 10.0.0.7 }
	}
	chain pre {
		type nat hook prerouting priority -100
		tcp dport 500 counter accept
		meta nfproto ipv4 dnat ip to tcp dport map @named
		dnat ip to tcp dport map { 2000 : 10.0.0.1 . 81, 2001 : 10.0.0.2 . 81 }
		udp dport { 53, 54 } redirect to :5353
		meta nfproto ipv4 dnat ip to tcp dport map @spans
		tcp dport 3000 jump {
			dnat ip to 1.2.3.4
		}
		tcp dport 501 counter accept
	}
}
`

func build(t *testing.T) labtest.Space {
	t.Helper()
	s := labtest.New(t, "nft", "iptables-legacy", "iptables-nft", "iptables-legacy-save")
	s.MustRun(t, house, "nft", "-f", "-")
	for _, program := range []string{"iptables-nft", "iptables-legacy"} {
		for _, rest := range []string{"--dport 80 -j DNAT --to-destination 192.168.1.10:8080", "--dport 22 -j ACCEPT",
			"--dport 81 -j REDIRECT --to-ports 8081", "--dport 80 -j DNAT --to-destination 192.168.1.10:8080"} {
			s.MustRun(t, "", append([]string{program, "-t", "nat", "-A", "PREROUTING", "-p", "tcp"}, strings.Fields(rest)...)...)
		}
	}
	return s
}

// listing is the host in the words of its own tools, without handles.
func listing(t *testing.T, s labtest.Space) string {
	t.Helper()
	out := s.MustRun(t, "", "nft", "list", "ruleset")
	for line := range strings.Lines(s.MustRun(t, "", "iptables-legacy-save", "-t", "nat")) {
		if !strings.HasPrefix(line, "#") {
			out += line
		}
	}
	return out
}

// rows reads and judges: every redirect is a violation unless allowed says otherwise.
func rows(t *testing.T, s labtest.Space, allowed func(*host.Redirect) bool) []host.Redirect {
	t.Helper()
	space := &host.Space{}
	s.MustDo(t, func(ctx context.Context) error {
		d, err := nft.Read(ctx, nft.Options{Objects: true})
		if err != nil {
			return err
		}
		x, err := xtables.Read(ctx)
		if err != nil {
			return err
		}
		legacy, _ := xtables.Decode(x, xt.Env{Now: time.Now()})
		space.AddTables(nft.Decode(d, nft.Env{Now: time.Now()}).Tables...)
		space.AddTables(legacy...)
		return nil
	})
	out := walk.Redirects(space, walk.Options{})
	for i := range out {
		out[i].Verdict = host.Violation
		if allowed(&out[i]) {
			out[i].Verdict = host.Allowed
		}
	}
	return out
}

func nobody(*host.Redirect) bool { return false }

func editors(t *testing.T) []change.Editor {
	t.Helper()
	return []change.Editor{nftedit.New(), xtedit.New(t.TempDir() + "/xtables.lock")}
}

// bed is a lab with all that a run needs.
type bed struct {
	labtest.Space
	editors []change.Editor
	o       remediate.Options
}

func newBed(t *testing.T) bed {
	t.Helper()
	return bed{build(t), editors(t), remediate.Options{StateDir: t.TempDir() + "/state", Version: "test"}}
}

func (b bed) run(t *testing.T, rows []host.Redirect, want int) *remediate.Result {
	t.Helper()
	r, err := remediate.Run(context.Background(), rows, nil, []remediate.Space{{Handle: b.Handle()}}, b.editors, b.o)
	if r.ExitCode != want {
		t.Fatalf("exit code %d, want %d: %v\n%+v", r.ExitCode, want, err, r)
	}
	return r
}

func (b bed) rollback(t *testing.T, want int) *remediate.Result {
	t.Helper()
	r, err := b.tryRollback()
	if r.ExitCode != want {
		t.Fatalf("exit code %d, want %d: %v\n%+v", r.ExitCode, want, err, r)
	}
	return r
}

func (b bed) tryRollback() (*remediate.Result, error) {
	open := func(context.Context, string) (netns.Handle, error) {
		return netns.Open(fmt.Sprintf("/proc/self/fd/%d", b.Handle().Fd()))
	}
	return remediate.Rollback(context.Background(), "", open, b.editors, b.o)
}

func TestEveryFormGoesAndComesBack(t *testing.T) {
	b := newBed(t)
	before, all := listing(t, b.Space), rows(t, b.Space, nobody)
	done := b.run(t, all, 0)
	if left := rows(t, b.Space, nobody); len(left) != 0 {
		t.Errorf("still there: %+v", left)
	}
	for _, s := range done.Steps {
		if s.Before == "" || !s.Done || !s.Reversible {
			t.Errorf("step %+v", s)
		}
	}
	back := b.rollback(t, 0)
	if after := listing(t, b.Space); after != before {
		t.Errorf("before\n%s\nafter the rollback\n%s\nnotes %q", before, after, back.Notes)
	}
	again := rows(t, b.Space, nobody)
	if got, want := idsOf(again), idsOf(all); !slices.Equal(got, want) {
		t.Errorf("ids %q, before %q", got, want)
	}
	if b.rollback(t, 0).Status != remediate.Nothing {
		t.Error("the second rollback did something")
	}
}

func idsOf(rows []host.Redirect) []string {
	var out []string
	for _, r := range rows {
		out = append(out, r.ID)
	}
	slices.Sort(out)
	return out
}

func TestWhatIsAllowedStays(t *testing.T) {
	for _, kept := range []string{"1000", "2001", "100-109", "110-119", "300-400", "22"} {
		t.Run(kept, func(t *testing.T) {
			b := newBed(t)
			before := listing(t, b.Space)
			allowed := func(r *host.Redirect) bool { return r.Ports == kept }
			b.run(t, rows(t, b.Space, allowed), 0)
			left := rows(t, b.Space, allowed)
			if kept != "22" && (len(left) != 1 || left[0].Ports != kept) || kept == "22" && len(left) > 0 {
				t.Errorf("left: %+v\n%s", left, listing(t, b.Space))
			}
			back := b.rollback(t, 0)
			if after := listing(t, b.Space); after != before {
				t.Errorf("before\n%s\nafter the rollback\n%s\nnotes %q", before, after, back.Notes)
			}
		})
	}
}

// meddler changes the host between the plan and the edit, as a busy daemon does.
type meddler struct {
	change.Editor
	edit func()
}

func (m *meddler) Edit(ctx context.Context, generation uint32, steps []change.Step) (change.Outcome, error) {
	if m.edit != nil {
		m.edit()
	}
	return m.Editor.Edit(ctx, generation, steps)
}

func TestOthersWriteMeanwhile(t *testing.T) {
	b := newBed(t)
	m := &meddler{Editor: b.editors[0]}
	times := 0
	m.edit = func() {
		if times++; times == 1 {
			b.MustRun(t, "", "nft", "insert", "rule", "inet", "t", "pre", "tcp", "dport", "7", "counter", "accept")
		}
	}
	b.editors[0] = m
	b.run(t, rows(t, b.Space, nobody), 0)
	if times != 2 || !strings.Contains(listing(t, b.Space), "dport 7 ") {
		t.Errorf("edited %d times\n%s", times, listing(t, b.Space))
	}
}

func TestReloadedRulesAreNotMistaken(t *testing.T) {
	b := newBed(t)
	found := rows(t, b.Space, nobody)
	b.MustRun(t, "", "nft", "delete", "table", "inet", "t")
	b.MustRun(t, strings.Replace(house, "tcp dport 500", "tcp dport 499 accept; tcp dport 500", 1), "nft", "-f", "-")
	before := listing(t, b.Space)
	b.run(t, found, 7)
	if after := listing(t, b.Space); after != before {
		t.Errorf("a refused run changed\n%s\nto\n%s", before, after)
	}
}

// A rule that somebody adds right behind the edit is not planned either: the
// change is taken back, and what they added stays.
func TestACollateralLossIsRolledBack(t *testing.T) {
	b := newBed(t)
	before := listing(t, b.Space)
	m := &after{Editor: b.editors[1]}
	m.edited = func() {
		b.MustRun(t, "", "iptables-legacy", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "ACCEPT")
	}
	b.editors[1] = m
	r := b.run(t, rows(t, b.Space, nobody), 4)
	want := strings.Replace(before, "COMMIT\n", "-A OUTPUT -p tcp -m tcp --dport 9 -j ACCEPT\nCOMMIT\n", 1)
	if after := listing(t, b.Space); after != want || r.Status != remediate.RolledBack {
		t.Errorf("want\n%s\ngot\n%s", want, after)
	}
	if b.rollback(t, 0).Status != remediate.Nothing {
		t.Error("the rollback after the automatic one did something")
	}
}

// after changes the host once, right behind the editor's own edit.
type after struct {
	change.Editor
	edited func()
}

func (a *after) Edit(ctx context.Context, generation uint32, steps []change.Step) (change.Outcome, error) {
	out, err := a.Editor.Edit(ctx, generation, steps)
	if a.edited != nil {
		a.edited()
		a.edited = nil
	}
	return out, err
}
