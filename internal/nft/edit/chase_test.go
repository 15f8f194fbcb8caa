package edit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

const chased = "table ip t { chain c { tcp dport 1 accept; tcp dport 2 accept; tcp dport 3 accept; tcp dport 4 accept\n }; }\n"

// What is chased is exactly what was read, whatever others did beside it.
func TestChase(t *testing.T) {
	for name, c := range map[string]struct {
		others string // what they do after the reading
		gone   bool
		left   string
	}{
		"nobody wrote":                     {"", false, "2 accept|3 accept"},
		"others add and take":              {"insert rule ip t c tcp dport 9 accept\ndelete rule ip t c handle 3\nadd table ip u", false, "9 accept|3 accept"},
		"it is gone":                       {"delete rule ip t c handle 2", true, "2 accept|3 accept|4 accept"},
		"it was replaced":                  {"replace rule ip t c handle 2 tcp dport 7 accept", true, "7 accept|2 accept|3 accept|4 accept"},
		"the chain is new":                 {"flush chain ip t c\nadd rule ip t c tcp dport 8 drop", true, "8 drop"},
		"the table is new":                 {"delete table ip t\n" + strings.ReplaceAll(chased, "dport 1", "dport 6"), true, "6 accept|2 accept|3 accept|4 accept"},
		"the table is the same, made anew": {"delete table ip t\n" + chased, true, "1 accept|2 accept|3 accept|4 accept"},
		"the table is gone":                {"delete table ip t", true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := labtest.New(t, "nft")
			s.MustRun(t, chased, "nft", "-f", "-")
			s.MustDo(t, func(ctx context.Context) error {
				e := New()
				world, err := e.World(ctx)
				if err != nil {
					return err
				}
				steps := stepsTo(ctx, t, everyRule)
				steps = []change.Step{steps[0], steps[3]}
				if c.others != "" {
					s.MustRun(t, c.others, "nft", "-f", "-")
				}
				_, err = e.(change.Chaser).Chase(ctx, world.Tables, steps)
				if (err != nil) != c.gone || c.gone && !errors.Is(err, change.ErrGone) {
					t.Errorf("%v", err)
				}
				return nil
			})
			var rules []string
			for line := range strings.Lines(s.MustRun(t, "", "nft", "list", "ruleset")) {
				if _, rule, is := strings.Cut(strings.TrimSpace(line), "tcp dport "); is {
					rules = append(rules, rule)
				}
			}
			if got := strings.Join(rules, "|"); got != c.left {
				t.Errorf("left are %q, want %q", got, c.left)
			}
		})
	}
}

// What is no deletion of a rule is not chased, and neither is one whose table
// nobody has numbered.
func TestWhatIsNotChased(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, chased+"add rule ip t c tcp dport { 5, 6 } accept\n", "nft", "-f", "-")
	s.MustDo(t, func(ctx context.Context) error {
		e := New()
		world, err := e.World(ctx)
		if err != nil {
			return err
		}
		steps := stepsTo(ctx, t, everyRule)[:1]
		back, whole := change.Invert(steps), stepsTo(ctx, t, everyRule)
		for name, try := range map[string]func() error{
			"an addition":    func() error { _, err := e.(change.Chaser).Chase(ctx, world.Tables, back); return err },
			"with a set":     func() error { _, err := e.(change.Chaser).Chase(ctx, world.Tables, whole); return err },
			"without number": func() error { _, err := e.(change.Chaser).Chase(ctx, nil, steps); return err },
		} {
			if err := try(); !errors.Is(err, change.ErrStale) || errors.Is(err, change.ErrGone) {
				t.Errorf("%s: %v, want ErrStale", name, err)
			}
		}
		after, err := e.World(ctx)
		if err == nil && after.Generation != world.Generation {
			t.Error("something was changed")
		}
		return err
	})
}

// Others commit all the time, each of their transactions taking longer than the
// time between two: the rules go all the same.
func TestChaseComesThrough(t *testing.T) {
	s := labtest.New(t, "nft")
	s.MustRun(t, chased, "nft", "-f", "-")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Do(ctx, func(ctx context.Context) error {
			for e := New(); ctx.Err() == nil; {
				steps := stepsTo(ctx, t, func(_ *tableView, _ *chainView, i int) bool { return i == 0 })
				if _, err := e.Edit(ctx, 0, steps); err == nil {
					_, _ = e.Edit(ctx, 0, change.Invert(steps))
				}
			}
			return nil
		})
	}()
	s.MustDo(t, func(ctx context.Context) error {
		e := New()
		world, err := e.World(ctx)
		if err != nil {
			return err
		}
		steps := stepsTo(ctx, t, func(_ *tableView, c *chainView, i int) bool { return i == len(c.Rules)-1 })
		ctx, stop := context.WithTimeout(ctx, 20*time.Second)
		defer stop()
		_, err = e.(change.Chaser).Chase(ctx, world.Tables, steps)
		return err
	})
	stop()
	<-ended
	if strings.Contains(s.MustRun(t, "", "nft", "list", "ruleset"), "dport 4") {
		t.Error("it is still there")
	}
}
