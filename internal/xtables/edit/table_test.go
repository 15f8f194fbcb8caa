package edit

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/change/changetest"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// tablesOf gives the tables of the space of this thread, or those of files.
func tablesOf(ctx context.Context, t *testing.T, e change.Editor, files map[string][]byte) map[string]change.Table {
	t.Helper()
	if files == nil {
		w, err := e.World(ctx)
		if err != nil {
			t.Fatal(err)
		}
		files = w.Files
	}
	return changetest.Tables(ctx, t, e, files)
}

func TestWholeTablesComeBackByteForByte(t *testing.T) {
	for name, spoil := range map[string][]string{
		"nothing":     nil,
		"flushed":     {"-t nat -F", "-t nat -X"},
		"added":       {"-t nat -N MINE", "-t nat -I PREROUTING -p tcp --dport 9 -j MINE", "-t mangle -P FORWARD DROP"},
		"two of them": {"-t nat -F PREROUTING", "-t mangle -F"},
	} {
		t.Run(name, func(t *testing.T) {
			s := space(t)
			wantBare, wantWhole := bare(t, dump(t, s))
			doing(t, s, func(ctx context.Context, e change.Editor) error {
				before := tablesOf(ctx, t, e, nil)
				names := []string{"ip nat", "ip mangle"}
				for _, line := range spoil {
					s.MustRun(t, "", append([]string{"iptables-legacy"}, strings.Fields(line)...)...)
				}
				othersBare, _ := bare(t, dump(t, s))
				steps := changetest.Restoring(tablesOf(ctx, t, e, nil), before, names...)
				if failed, err := e.Check(ctx, steps); err != nil || len(failed) > 0 {
					t.Fatal(failed, err)
				}
				if now, _ := bare(t, dump(t, s)); !maps.Equal(now, othersBare) {
					t.Error("to check changed something")
				}
				mustEdit(ctx, t, e, steps...)
				gotBare, gotWhole := bare(t, dump(t, s))
				if !maps.Equal(gotBare, wantBare) || !maps.Equal(gotWhole, wantWhole) {
					t.Errorf("the tables are not what they were:\n%s", s.MustRun(t, "", "iptables-legacy-save", "-c"))
				}
				mustEdit(ctx, t, e, change.Invert(steps)...)
				if now, _ := bare(t, dump(t, s)); !maps.Equal(now, othersBare) {
					t.Errorf("the way back gives\n%s", s.MustRun(t, "", "iptables-legacy-save"))
				}
				return nil
			})
		})
	}
}

// After a restart of the host there is no table at all, until somebody asks.
func TestATableThatIsGoneIsMadeAgain(t *testing.T) {
	from, to := space(t), labtest.New(t, "iptables-legacy-save")
	var before map[string]change.Table
	doing(t, from, func(ctx context.Context, e change.Editor) error { before = tablesOf(ctx, t, e, nil); return nil })
	want, _ := bare(t, dump(t, from))
	doing(t, to, func(ctx context.Context, e change.Editor) error {
		steps := changetest.Restoring(nil, before, "ip nat")
		if failed, err := e.Check(ctx, steps); err != nil || len(failed) > 0 {
			t.Fatal(failed, err)
		}
		if len(dump(t, to).Tables) != 0 {
			t.Fatal("to check made a table")
		}
		mustEdit(ctx, t, e, steps...)
		if got, _ := bare(t, dump(t, to)); len(got) != 1 || got["ipnat"] != want["ipnat"] {
			t.Errorf("became\n%s", to.MustRun(t, "", "iptables-legacy-save"))
		}
		mustEdit(ctx, t, e, change.Invert(steps)...)
		if left := tablesOf(ctx, t, e, nil); len(left) != 1 || !change.SameTable(nil, &onlyOne(left).Object) || len(dump(t, to).Tables) != 1 {
			t.Errorf("the way back leaves %v", left)
		}
		if text := to.MustRun(t, "", "iptables-legacy-save", "-t", "nat"); strings.Contains(text, "-A ") || strings.Contains(text, ":WEB") {
			t.Errorf("the way back leaves\n%s", text)
		}
		return nil
	})
}

func onlyOne(tables map[string]change.Table) *change.Table {
	for _, t := range tables {
		return &t
	}
	return nil
}

func TestATableThatChangedIsStale(t *testing.T) {
	s := space(t)
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		before := tablesOf(ctx, t, e, nil)
		s.MustRun(t, "", "iptables-legacy", "-t", "nat", "-F", "PREROUTING")
		steps := changetest.Restoring(tablesOf(ctx, t, e, nil), before, "ip nat", "ip mangle")
		s.MustRun(t, "", "iptables-legacy", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-j", "ACCEPT")
		_, was := bare(t, dump(t, s))
		if _, err := e.Edit(ctx, 0, steps); !errors.Is(err, change.ErrStale) {
			t.Errorf("another table: %v", err)
		}
		if failed, err := e.Check(ctx, steps); err != nil || failed[0] == "" || failed[1] != "" {
			t.Errorf("check: %v, %v", failed, err)
		}
		if _, is := bare(t, dump(t, s)); !maps.Equal(was, is) {
			t.Error("something was changed")
		}
		return nil
	})
}

func TestATableFindsItsIpsetsByName(t *testing.T) {
	s := labtest.New(t, "iptables-legacy", "ipset")
	for _, line := range []string{"ipset create wanted hash:ip", "iptables-legacy -t nat -A PREROUTING -p tcp -m set --match-set wanted src -j REDIRECT --to-ports 1"} {
		s.MustRun(t, "", strings.Fields(line)...)
	}
	save := func() string { return withoutComments(s.MustRun(t, "", "iptables-legacy-save", "-t", "nat")) }
	text := save()
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		before := tablesOf(ctx, t, e, nil)
		s.MustRun(t, "", "iptables-legacy", "-t", "nat", "-F")
		s.MustRun(t, "", "ipset", "destroy", "wanted")
		s.MustRun(t, "", "ipset", "create", "other", "hash:ip")
		steps := changetest.Restoring(tablesOf(ctx, t, e, nil), before, "ip nat")
		if failed, err := e.Check(ctx, steps); err != nil || !strings.Contains(failed[0], "ipset wanted") {
			t.Errorf("without its ipset: %v, %v", failed, err)
		}
		s.MustRun(t, "", "ipset", "create", "wanted", "hash:ip")
		mustEdit(ctx, t, e, steps...)
		if text != save() {
			t.Errorf("became\n%s\nwas\n%s", save(), text)
		}
		if a, b := before["ip nat"].Object, tablesOf(ctx, t, e, nil)["ip nat"].Object; a.Fingerprint != b.Fingerprint {
			t.Error("it has another fingerprint")
		}
		return nil
	})
}
