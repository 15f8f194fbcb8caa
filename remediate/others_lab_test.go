package remediate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/nft"
	nftedit "github.com/natwarden/natwarden/internal/nft/edit"
	xtedit "github.com/natwarden/natwarden/internal/xtables/edit"
	"github.com/natwarden/natwarden/remediate"
)

// restless is a bed in which others write as fast as they can until the test
// ends: they take the rule for port 501 out of the chain of natwarden's own targets
// and put it back in other places, and write a table of iptables-legacy.
func restless(t *testing.T) bed {
	t.Helper()
	b := newBed(t)
	lock := t.TempDir() + "/xtables.lock"
	b.editors = []change.Editor{nftedit.New(), xtedit.New(lock)}
	b.o.Witness = func() (remediate.Witness, error) { return nft.NewWatch() }
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	t.Cleanup(func() { stop(); done.Wait() })
	done.Go(func() {
		_ = b.Do(ctx, func(ctx context.Context) error {
			cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestMover$")
			cmd.Env = append(os.Environ(), "NATWARDEN_MOVER=1")
			return cmd.Run()
		})
	})
	done.Go(func() {
		for ctx.Err() == nil {
			_ = b.Do(ctx, func(ctx context.Context) error {
				cmd := exec.CommandContext(ctx, "sh", "-c", "iptables-legacy -w -t filter -A INPUT -p tcp --dport 9 -j ACCEPT; iptables-legacy -w -t filter -F INPUT")
				cmd.Env = append(os.Environ(), "XTABLES_LOCKFILE="+lock)
				return cmd.Run()
			})
		}
	})
	return b
}

// TestMover is another process: it moves a rule about until it is killed.
func TestMover(t *testing.T) {
	if os.Getenv("NATWARDEN_MOVER") == "" {
		t.Skip("runs only when another test starts it")
	}
	runtime.LockOSThread()
	_ = moveAbout(t.Context())
}

// moveAbout takes the rule for port 501 of a chain out and puts it back, now at
// the front and now at the end.
func moveAbout(ctx context.Context) error {
	for i := 0; ctx.Err() == nil; i++ {
		e := nftedit.New()
		d, err := nft.Read(ctx, nft.Options{})
		if err != nil {
			continue
		}
		var refs []host.Ref
		for _, table := range nft.Decode(d, nft.Env{Listing: true}).Tables {
			for _, c := range table.Chains {
				for _, r := range c.Rules {
					if c.Name == "pre" && strings.Contains(r.Text, "501") {
						refs = append(refs, host.Ref{Backend: table.Backend, Family: table.Family, Table: table.Name, Chain: c.Name, Handle: r.Handle, Index: r.Index, Fingerprint: r.Fingerprint})
					}
				}
			}
		}
		steps, _, err := e.Steps(ctx, refs, make([]string, len(refs)))
		if err != nil || len(steps) == 0 {
			continue
		}
		if _, err := e.Edit(ctx, 0, steps); err != nil {
			continue
		}
		back := change.Invert(steps)
		back[0].Place = change.Place{Index: 1 + i%2*1000}
		for ctx.Err() == nil {
			if _, err := e.Edit(ctx, 0, back); err == nil {
				break
			}
		}
	}
	return nil
}

// counted are the counters of rules, which packets change.
var counted = regexp.MustCompile(`counter packets \d+ bytes \d+`)

// still is what stands of the rules that nobody may touch but natwarden, and of
// natwarden's own targets.
func still(t *testing.T, b bed) string {
	t.Helper()
	var kept []string
	for line := range strings.Lines(listing(t, b.Space)) {
		line = counted.ReplaceAllString(line, "")
		if !strings.Contains(line, "501") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

// While others write as fast as they can nothing is deleted that was not in
// the plan, and what is said to be done is done.
func TestOthersAtWork(t *testing.T) {
	times := 2 // NATWARDEN_CHURN=1000 is the long series
	if n, err := strconv.Atoi(os.Getenv("NATWARDEN_CHURN")); err == nil {
		times = n
	}
	b := restless(t)
	mine := func(r *host.Redirect) bool { return r.Ports != "3000" && r.Ports != "53-54" && r.Ports != "81" }
	before := still(t, b)
	var after string
	tally := map[string]int{}
	all := rows(t, b.Space, mine)
	for range times {
		r, err := remediate.Run(context.Background(), b.refresh(all), nil, []remediate.Space{{Handle: b.Handle()}}, b.editors, b.o)
		tally[r.Status]++
		now := still(t, b)
		switch {
		case r.Status == remediate.Done && r.ExitCode == 0:
			if after == "" {
				after = sorted(now)
			}
			if sorted(now) != after || after == sorted(before) {
				t.Fatalf("said to be done, and is\n%s\nbefore it was\n%s", now, before)
			}
			b.putBack(t, before)
			before = still(t, b)
		case now != before && (r.Status != remediate.RolledBack || sorted(now) != sorted(before)):
			t.Fatalf("%s: %v: it is\n%s\nbefore it was\n%s", r.Status, err, now, before)
		case r.Status == remediate.Refused && (errors.Is(err, change.ErrStale) && strings.Contains(err.Error(), "try again when that is done")):
		case r.Status == remediate.RolledBack:
			before = now
		default:
			t.Errorf("%s: %v", r.Status, err)
		}
	}
	t.Logf("%d runs: %v", times, tally)
	if tally[remediate.Done] == 0 && times >= 10 {
		t.Errorf("nothing was ever done: %v", tally)
	}
}

// sorted is a listing without its order: what is put back stands by its
// neighbours, and others have moved those.
func sorted(listing string) string {
	return strings.Join(slices.Sorted(strings.Lines(listing)), "")
}

// refresh finds the rules of rows again where a rollback gave them other
// handles. Rows that cannot be read for all the writing stay as they were.
func (b bed) refresh(all []host.Redirect) []host.Redirect {
	_ = b.Do(context.Background(), func(ctx context.Context) error {
		d, err := nft.Read(ctx, nft.Options{})
		if err != nil {
			return err
		}
		for _, table := range nft.Decode(d, nft.Env{}).Tables {
			for _, c := range table.Chains {
				for _, r := range c.Rules {
					for i := range all {
						if ref := all[i].Ref; ref.Backend == table.Backend && ref.Chain == c.Name && ref.Fingerprint == r.Fingerprint && ref.Family == table.Family {
							ref.Handle, ref.Index = r.Handle, r.Index
						}
					}
				}
			}
		}
		return nil
	})
	return all
}

// putBack rolls the newest change back, however often that takes.
func (b bed) putBack(t *testing.T, want string) {
	t.Helper()
	open := func(context.Context, string) (netns.Handle, error) {
		return netns.Open(fmt.Sprintf("/proc/self/fd/%d", b.Handle().Fd()))
	}
	var why []string
	for range 30 {
		r, err := remediate.Rollback(context.Background(), "", open, b.editors, b.o)
		if sorted(still(t, b)) == sorted(want) {
			return
		}
		why = append(why, fmt.Sprint(r.ExitCode, err))
	}
	t.Fatalf("it could not be rolled back: %q", slices.Compact(why))
}
