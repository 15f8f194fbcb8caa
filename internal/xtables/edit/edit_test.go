package edit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/xtables"
)

const rules = `*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
[1:40] -A PREROUTING -p tcp -m tcp --dport 80 -j TPROXY --on-port 50080 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1
[0:0] -A FORWARD -m limit --limit 1/hour --limit-burst 2 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [7:420]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:EMPTY - [0:0]
:WEB - [0:0]
:DEEP - [0:0]
[5:300] -A PREROUTING -d 10.77.1.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.77.2.2:8080
[6:360] -A PREROUTING -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353
[7:420] -A PREROUTING -m addrtype --dst-type LOCAL -j WEB
[8:480] -A PREROUTING -p tcp -m string --string "x" --algo bm -g EMPTY
[9:540] -A PREROUTING -s 192.0.2.1/32
[10:600] -A PREROUTING -p tcp -m statistic --mode nth --every 2 --packet 0 -j DNAT --to-destination 10.77.2.3
[11:660] -A PREROUTING -p tcp -m statistic --mode nth --every 2 --packet 0 -j DNAT --to-destination 10.77.2.3
[12:720] -A OUTPUT -m time --timestart 08:00:00 --timestop 09:00:00 -j WEB
[13:780] -A POSTROUTING -o eth0 -j MASQUERADE --random
[14:840] -A WEB -p tcp -m multiport --dports 443,8443,9000:9005 -j DNAT --to-destination 10.77.2.2-10.77.2.5
[15:900] -A WEB -m recent --name knock --rcheck -j DEEP
[16:960] -A WEB -j RETURN
[17:1020] -A DEEP -j NETMAP --to 10.9.0.0/16
COMMIT
`

// space is a namespace with the rules above.
func space(t testing.TB) labtest.Space {
	s := labtest.New(t, "iptables-legacy-restore", "iptables-legacy")
	s.MustRun(t, rules, "iptables-legacy-restore", "-c")
	return s
}

// doing runs work with an editor, on a thread in the space.
func doing(t testing.TB, s labtest.Space, work func(ctx context.Context, e change.Editor) error) {
	t.Helper()
	e := New(filepath.Join(t.TempDir(), "lock"))
	s.MustDo(t, func(ctx context.Context) error { return work(ctx, e) })
}

func dump(t testing.TB, s labtest.Space) *xtables.Dump {
	t.Helper()
	var d *xtables.Dump
	s.MustDo(t, func(ctx context.Context) (err error) {
		d, err = xtables.Read(ctx)
		return err
	})
	return d
}

// bare is the tables' bytes without counters, to compare; whole is with them.
func bare(t testing.TB, d *xtables.Dump) (bare, whole map[string]string) {
	t.Helper()
	bare, whole = map[string]string{}, map[string]string{}
	for _, table := range d.Tables {
		b := &built{Table: table}
		heads := fmt.Sprint(table.HookEntry, table.Underflow)
		bare[string(table.Family)+table.Name] = heads + string(b.uncounted())
		whole[string(table.Family)+table.Name] = heads + string(table.Blob)
	}
	return bare, whole
}

// refsOf names every rule of the chains (all without chains).
func refsOf(t testing.TB, d *xtables.Dump, which func(table, chain string, index int) bool) []host.Ref {
	t.Helper()
	var refs []host.Ref
	for _, table := range d.Tables {
		chains, err := table.Chains()
		if err != nil {
			t.Fatal(err)
		}
		starts := table.Starts(chains)
		for _, c := range chains {
			for i, print := range d.Fingerprints(table, c, starts) {
				if which(table.Name, c.Name, i+1) {
					refs = append(refs, host.Ref{Backend: "x_tables", Family: table.Family, Table: table.Name,
						Chain: c.Name, Index: i + 1, Fingerprint: print})
				}
			}
		}
	}
	return refs
}

func TestDeletedRulesComeBackByteForByte(t *testing.T) {
	cases := map[string]func(table, chain string, index int) bool{
		"first":              func(table, c string, i int) bool { return table == "nat" && c == "PREROUTING" && i == 1 },
		"middle":             func(table, c string, i int) bool { return table == "nat" && c == "PREROUTING" && i == 3 },
		"one of two equals":  func(table, c string, i int) bool { return table == "nat" && c == "PREROUTING" && i == 6 },
		"last":               func(table, c string, i int) bool { return table == "nat" && c == "PREROUTING" && i == 7 },
		"several":            func(table, c string, i int) bool { return table == "nat" && c == "PREROUTING" && i != 2 && i != 5 },
		"a chain of a user":  func(_, c string, _ int) bool { return c == "WEB" },
		"last of its chain":  func(_, c string, i int) bool { return c == "WEB" && i == 3 },
		"every second":       func(_, _ string, i int) bool { return i%2 == 0 },
		"all of one table":   func(table, _ string, _ int) bool { return table == "nat" },
		"all":                func(_, _ string, _ int) bool { return true },
		"across two tables":  func(_, c string, i int) bool { return c == "PREROUTING" && i == 1 },
		"jumps and the rest": func(_, c string, i int) bool { return c == "OUTPUT" || c == "DEEP" || i == 4 },
	}
	s := space(t)
	before := dump(t, s)
	wantBare, wantWhole := bare(t, before)
	for name, which := range cases {
		t.Run(name, func(t *testing.T) {
			refs := refsOf(t, before, which)
			doing(t, s, func(ctx context.Context, e change.Editor) error {
				return thereAndBack(ctx, t, e, refs)
			})
			gotBare, gotWhole := bare(t, dump(t, s))
			if !maps.Equal(gotBare, wantBare) {
				t.Errorf("the tables are not what they were:\n%s", s.MustRun(t, "", "iptables-legacy-save", "-c"))
			}
			if !maps.Equal(gotWhole, wantWhole) {
				t.Errorf("the counters are not what they were:\n%s", s.MustRun(t, "", "iptables-legacy-save", "-c"))
			}
		})
	}
}

// thereAndBack deletes what refs name, sees that exactly that is gone, and
// puts it back.
func thereAndBack(ctx context.Context, t *testing.T, e change.Editor, refs []host.Ref) error {
	ids := make([]string, len(refs))
	for i := range ids {
		ids[i] = fmt.Sprint("id", i)
	}
	before, err := e.World(ctx)
	if err != nil {
		return err
	}
	steps, refused, err := e.Steps(ctx, refs, ids)
	if err != nil || len(refused) > 0 || len(steps) != len(refs) {
		return fmt.Errorf("steps: %d of %d, refused %v, error %w", len(steps), len(refs), refused, err)
	}
	for _, all := range [][]change.Step{steps, change.Invert(steps)} {
		if failed, err := e.Check(ctx, all); (err != nil || len(failed) > 0) && &all[0] == &steps[0] {
			return fmt.Errorf("check: %v, error %w", failed, err)
		}
		out, err := e.Edit(ctx, 0, all)
		if err != nil || len(out.Notes)+len(out.Undone) > 0 {
			return fmt.Errorf("edit: %+v, error %w", out, err)
		}
		now, err := e.World(ctx)
		if err != nil {
			return err
		}
		want := before.Places
		if &all[0] == &steps[0] {
			want = lacking(before.Places, refs)
		}
		if !reflect.DeepEqual(now.Places, want) {
			t.Errorf("places are\n%v\nwant\n%v", now.Places, want)
		}
	}
	return nil
}

// lacking is the places without the rules that refs name.
func lacking(places map[string][]string, refs []host.Ref) map[string][]string {
	out := map[string][]string{}
	for key, prints := range places {
		out[key] = []string{}
		for i, print := range prints {
			gone := slices.ContainsFunc(refs, func(r host.Ref) bool {
				return key == "legacy "+string(r.Family)+" "+r.Table+" "+r.Chain && r.Index == i+1
			})
			if !gone {
				out[key] = append(out[key], print)
			}
		}
	}
	return out
}

func TestStepsNameTheRulesWhoseStateRestarts(t *testing.T) {
	s := space(t)
	refs := refsOf(t, dump(t, s), func(_, c string, i int) bool { return c == "PREROUTING" && (i == 1 || i == 6) })
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		steps, _, err := e.Steps(ctx, refs, nil)
		if err != nil {
			return err
		}
		var got []string
		for _, step := range steps {
			got = append(got, step.SideEffects...)
		}
		slices.Sort(got)
		want := []string{
			"its own statistic state starts anew when it is put back",
			"restarts the limit of: -A FORWARD -m limit --limit 1/hour --limit-burst 2 -j ACCEPT",
			"restarts the statistic of: -A PREROUTING -p tcp -m statistic --mode nth --every 2 --packet 0 -j DNAT --to-destination 10.77.2.3",
		}
		if !slices.Equal(got, want) {
			t.Errorf("side effects are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return nil
	})
}

func TestAChangedRuleIsStaleAndNothingHappens(t *testing.T) {
	s := space(t)
	refs := refsOf(t, dump(t, s), func(table, c string, i int) bool { return table == "nat" && c == "PREROUTING" && i < 3 })
	doing(t, s, func(ctx context.Context, e change.Editor) error {
		steps, _, err := e.Steps(ctx, refs, nil)
		if err != nil {
			return err
		}
		s.MustRun(t, "", "iptables-legacy", "-t", "nat", "-R", "PREROUTING", "2", "-p", "udp", "-j", "ACCEPT")
		before, _ := bare(t, dump(t, s))
		failed, err := e.Check(ctx, steps)
		if err != nil || len(failed) != 1 || failed[1] == "" {
			t.Errorf("check of a stale step gives %v, %v", failed, err)
		}
		if _, err := e.Edit(ctx, 0, steps); !errors.Is(err, change.ErrStale) {
			t.Errorf("editing a changed rule gives %v", err)
		}
		if _, _, err := e.Steps(ctx, refs, nil); !errors.Is(err, change.ErrStale) {
			t.Errorf("planning with an old ref gives %v", err)
		}
		if after, _ := bare(t, dump(t, s)); !maps.Equal(before, after) {
			t.Error("a refused edit changed the tables")
		}
		return nil
	})
}
