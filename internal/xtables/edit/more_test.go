package edit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// step makes the one step that deletes a rule.
func oneStep(ctx context.Context, t *testing.T, e change.Editor, s labtest.Space, table, chain string, index int) change.Step {
	t.Helper()
	refs := refsOf(t, dump(t, s), func(tb, c string, i int) bool { return tb == table && c == chain && i == index })
	steps, refused, err := e.Steps(ctx, refs, []string{"id"})
	if err != nil || len(steps) != 1 || len(refused) > 0 {
		t.Fatalf("steps %v, refused %v, error %v", steps, refused, err)
	}
	return steps[0]
}

// edit runs an edit that must succeed.
func mustEdit(ctx context.Context, t *testing.T, e change.Editor, steps ...change.Step) change.Outcome {
	t.Helper()
	out, err := e.Edit(ctx, 0, steps)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAnIpsetIsFoundAgainByItsName(t *testing.T) {
	s := labtest.New(t, "iptables-legacy", "ipset")
	for _, line := range []string{
		"ipset create other hash:ip", "ipset create web hash:ip,port", "ipset create knock hash:ip",
		"iptables-legacy -t nat -A PREROUTING -m set --match-set web dst,dst -j DNAT --to-destination 10.77.2.2",
		"iptables-legacy -t nat -A PREROUTING -p tcp --dport 7000 -j SET --add-set knock src",
	} {
		s.MustRun(t, "", strings.Fields(line)...)
	}
	want := s.MustRun(t, "", "iptables-legacy-save", "-t", "nat")
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		before, err := e.World(ctx)
		if err != nil {
			return err
		}
		match, fill := oneStep(ctx, t, e, s, "nat", "PREROUTING", 1), oneStep(ctx, t, e, s, "nat", "PREROUTING", 2)
		if !slices.Contains(slices.Collect(maps.Values(match.Before.Names)), "web") {
			t.Errorf("the step records the names %v", match.Before.Names)
		}
		fill.Place = change.Place{Index: 1}
		mustEdit(ctx, t, e, match, fill)
		s.MustRun(t, "", "ipset", "destroy", "web")
		out := mustEdit(ctx, t, e, match.Inverse())
		if why := out.Undone[0]; !strings.Contains(why, "ipset web") {
			t.Errorf("without its set the rule is undone because of %q", why)
		}
		// The first free index goes to another set, so web gets a new one.
		for _, set := range []string{"first", "web"} {
			s.MustRun(t, "", "ipset", "create", set, "hash:ip,port")
		}
		mustEdit(ctx, t, e, fill.Inverse(), match.Inverse())
		after, err := e.World(ctx)
		if !reflect.DeepEqual(before.Places, after.Places) {
			t.Errorf("places are %v, want %v", after.Places, before.Places)
		}
		return err
	})
	if got := s.MustRun(t, "", "iptables-legacy-save", "-t", "nat"); withoutComments(got) != withoutComments(want) {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}

func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line[0] != '#' {
			b.WriteString(line)
		}
	}
	return b.String()
}

// A jump that closes a loop is refused by the kernel (ELOOP) in the second
// table, so the first must come back.
func TestALaterTableThatFailsBringsTheEarlierBack(t *testing.T) {
	s := space(t)
	for _, line := range []string{"-N A", "-N B", "-A INPUT -j A", "-A A -j B"} {
		s.MustRun(t, "", append([]string{"iptables-legacy"}, strings.Fields(line)...)...)
	}
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		loop := oneStep(ctx, t, e, s, "filter", "A", 1)
		mustEdit(ctx, t, e, loop)
		s.MustRun(t, "", "iptables-legacy", "-A", "B", "-j", "A")
		_, before := bare(t, dump(t, s))
		nat := oneStep(ctx, t, e, s, "nat", "PREROUTING", 1)
		_, err := e.Edit(ctx, 0, []change.Step{nat, loop.Inverse()})
		if !errors.Is(err, unix.ELOOP) {
			t.Errorf("closing a loop gives %v", err)
		}
		if _, after := bare(t, dump(t, s)); !maps.Equal(before, after) {
			t.Error("the tables, counters included, are not what they were")
		}
		return nil
	})
}

func TestPuttingBackAmongOtherNeighbours(t *testing.T) {
	cases := []struct{ name, meanwhile, want, note string }{
		{"nothing changed", "", "1 2 3", ""},
		{"one before is gone", "-D PREROUTING -p tcp --dport 1 -j DNAT --to 10.0.0.1", "2 3", "before the rule that followed"},
		{"one behind is gone", "-D PREROUTING -p tcp --dport 3 -j DNAT --to 10.0.0.1", "1 2", "behind the rule that preceded"},
		{"one between", "-I PREROUTING 2 -p tcp --dport 9 -j DNAT --to 10.0.0.1", "1 9 2 3", "before the rule that followed"},
		{"all gone", "-F PREROUTING", "2", "put at the end: its neighbours are gone"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := labtest.New(t, "iptables-legacy")
			for port := range 3 {
				s.MustRun(t, "", strings.Fields(fmt.Sprintf("iptables-legacy -t nat -A PREROUTING -p tcp --dport %d -j DNAT --to 10.0.0.1", port+1))...)
			}
			doing(t, s, func(ctx context.Context, e change.Editor) error {
				step := oneStep(ctx, t, e, s, "nat", "PREROUTING", 2)
				mustEdit(ctx, t, e, step)
				if c.meanwhile != "" {
					s.MustRun(t, "", append([]string{"iptables-legacy", "-t", "nat"}, strings.Fields(c.meanwhile)...)...)
				}
				out := mustEdit(ctx, t, e, step.Inverse())
				if notes := strings.Join(out.Notes, "; "); (notes == "") != (c.note == "") || !strings.Contains(notes, c.note) {
					t.Errorf("notes are %q, want %q", notes, c.note)
				}
				if again := mustEdit(ctx, t, e, step.Inverse()); c.note == "" && !strings.Contains(again.Undone[0], "already") {
					t.Errorf("putting it back twice gives %+v", again)
				}
				return nil
			})
			var ports []string
			for _, word := range strings.Fields(s.MustRun(t, "", "iptables-legacy-save", "-t", "nat")) {
				if len(word) == 1 && word[0] >= '1' && word[0] <= '9' {
					ports = append(ports, word)
				}
			}
			if got := strings.Join(ports, " "); c.note == "" && got != c.want {
				t.Errorf("ports are %s, want %s", got, c.want)
			}
		})
	}
}

func TestARuleWhoseChainIsGoneIsNotPutBack(t *testing.T) {
	s := space(t)
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		inWeb, toDeep := oneStep(ctx, t, e, s, "nat", "DEEP", 1), oneStep(ctx, t, e, s, "nat", "WEB", 2)
		mustEdit(ctx, t, e, inWeb, toDeep)
		s.MustRun(t, "", "iptables-legacy", "-t", "nat", "-X", "DEEP")
		out := mustEdit(ctx, t, e, toDeep.Inverse(), inWeb.Inverse())
		if len(out.Undone) != 2 || !strings.Contains(out.Undone[0], "chain DEEP") || !strings.Contains(out.Undone[1], "DEEP is gone") {
			t.Errorf("undone: %v", out.Undone)
		}
		return nil
	})
}

func TestAnElementOfAnIpsetIsRefused(t *testing.T) {
	s := space(t)
	refs := refsOf(t, dump(t, s), func(_, c string, i int) bool { return c == "WEB" && i == 1 })
	refs[0].Set = "web"
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		steps, refused, err := e.Steps(ctx, refs, nil)
		if len(steps) != 0 || len(refused) != 1 || !strings.Contains(refused[0].Why, "ipset web") {
			t.Errorf("steps %v, refused %v", steps, refused)
		}
		return err
	})
}

func TestTenThousandOfFiftyThousand(t *testing.T) {
	s := labtest.New(t, "iptables-legacy-restore")
	var b strings.Builder
	b.WriteString("*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n")
	for i := range 50000 {
		fmt.Fprintf(&b, "[%d:0] -A PREROUTING -d 10.%d.%d.1/32 -p tcp -m tcp --dport %d -j DNAT --to-destination 10.77.2.2:8080\n", i, i>>8, i&255, i%60000+1)
	}
	b.WriteString("COMMIT\n")
	s.MustRun(t, b.String(), "iptables-legacy-restore", "-c")
	before := dump(t, s)
	refs := refsOf(t, before, func(_, _ string, i int) bool { return i%5 == 0 })
	if len(refs) != 10000 {
		t.Fatalf("%d refs", len(refs))
	}
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		steps, _, err := e.Steps(ctx, refs, nil)
		if err != nil {
			return err
		}
		if failed, err := e.Check(ctx, steps); err != nil || len(failed) > 0 {
			return fmt.Errorf("check: %d failed, %w", len(failed), err)
		}
		mustEdit(ctx, t, e, steps...)
		if n := dump(t, s).Rules(); n != 40000 {
			t.Errorf("%d rules are left", n)
		}
		mustEdit(ctx, t, e, change.Invert(steps)...)
		return nil
	})
	_, want := bare(t, before)
	if _, got := bare(t, dump(t, s)); !maps.Equal(got, want) {
		t.Error("the table, counters included, is not what it was")
	}
}

// A rule that another program made with a host.Ref of another backend is not ours.
func TestARefOfAnotherBackendIsAnError(t *testing.T) {
	s := space(t)
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		_, _, err := e.Steps(ctx, []host.Ref{{Backend: "nf_tables", Family: host.IP, Table: "nat", Chain: "PREROUTING", Index: 1}}, nil)
		if err == nil {
			t.Error("a rule of nf_tables was taken")
		}
		return nil
	})
}
