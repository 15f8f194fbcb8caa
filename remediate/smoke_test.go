package remediate

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// asked are smoke tests in memory: answers[id] are their failures, round by
// round; the last one stays.
func asked(answers map[string][]string, closed ...string) (Smoke, map[string]int) {
	times := map[string]int{}
	s := Smoke{Ask: func(_ context.Context, tests []host.Probe) []string {
		out := make([]string, len(tests))
		for i, t := range tests {
			list := answers[t.ID]
			out[i] = list[min(times[t.ID], len(list)-1)]
			times[t.ID]++
		}
		return out
	}, Answered: func(_ context.Context, ports []host.Closed) ([]string, error) { return closed, nil }}
	for _, id := range []string{"a", "b", "c"} {
		if answers[id] != nil {
			s.Tests = append(s.Tests, host.Probe{ID: id, TCP: "10.0.0.1:1"})
		}
	}
	for range closed {
		s.Closed = append(s.Closed, host.Closed{ID: "old", Proto: host.TCP, Port: 8080})
	}
	return s, times
}

func TestSmokeTests(t *testing.T) {
	for name, c := range map[string]struct {
		answers map[string][]string
		closed  []string
		want    string // of the error; "" where the change stays
		note    string
		times   int // that a was asked
	}{
		"all pass":                {map[string][]string{"a": {""}, "b": {""}}, nil, "", "", 2},
		"a new failure":           {map[string][]string{"a": {"", "refused"}, "b": {""}}, nil, "smoke test a fails since the change (tcp 10.0.0.1:1): refused", "smoke test a fails still, though the rules are back: refused", 5},
		"and passes again":        {map[string][]string{"a": {"", "x", "x", "x", ""}}, nil, "smoke test a fails since", "smoke test a passes again", 5},
		"it failed before":        {map[string][]string{"a": {"refused"}, "b": {""}}, nil, "", "smoke test a failed before the change already, which is not held against it (tcp 10.0.0.1:1): refused", 1},
		"both":                    {map[string][]string{"a": {"refused"}, "b": {"", "down"}}, nil, "smoke test b fails", "smoke test a failed before", 1},
		"it needs a moment":       {map[string][]string{"a": {"", "refused", ""}}, nil, "", "", 3},
		"two new failures":        {map[string][]string{"a": {"", "x"}, "b": {"", "y"}}, nil, "): x; smoke test b", "smoke test b fails still", 5},
		"closed":                  {nil, []string{""}, "", "", 0},
		"not closed":              {nil, []string{"", "10.0.0.9:80 still answers"}, "tcp/8080 is to be closed (old), and 10.0.0.9:80 still answers", "", 0},
		"not closed, and failing": {map[string][]string{"a": {"", "x"}}, []string{"it answers"}, "x; tcp/8080 is to be closed", "smoke test a fails still", 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nft, legacy, rows := web()
			o := options(t)
			var times map[string]int
			o.Smoke, times = asked(c.answers, c.closed...)
			r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
			switch {
			case c.want == "" && (err != nil || r.Status != Done || r.ExitCode != exitOK):
				t.Errorf("%+v %v", r, err)
			case c.want != "" && (err == nil || r.Status != RolledBack || r.ExitCode != exitRolledBack || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%+v %v, want %q", r, err, c.want)
			}
			if c.want != "" {
				wantPlaces(t, nft, nat, "a", "b", "c", "d")
			}
			if notes := strings.Join(r.Notes, "\n"); (c.note == "") != !strings.Contains(notes, "smoke") || !strings.Contains(notes, c.note) {
				t.Errorf("notes %q, want %q", notes, c.note)
			}
			if len(r.Smoke) != len(o.Smoke.Tests)+len(o.Smoke.Closed) || times["a"] != c.times {
				t.Errorf("asked %d times, want %d: %+v", times["a"], c.times, r.Smoke)
			}
		})
	}
}

func TestADryRunAsksNoSmokeTest(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	var times map[string]int
	o.Smoke, times = asked(map[string][]string{"a": {"refused"}}, "it answers")
	o.DryRun = true
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	if err != nil || len(times) > 0 || len(r.Smoke) != 2 || r.Smoke[0] != (Tested{ID: "a", Test: "tcp 10.0.0.1:1"}) || r.Smoke[1] != (Tested{ID: "old", Test: "closed tcp/8080"}) {
		t.Errorf("%+v %v", r, err)
	}
}

func TestWhoAnswersCannotBeSeen(t *testing.T) {
	nft, legacy, rows := web()
	o := options(t)
	o.Smoke, _ = asked(nil, "")
	o.Smoke.Answered = func(context.Context, []host.Closed) ([]string, error) { return nil, errors.New("no way to ask") }
	r, err := Run(context.Background(), rows, nil, here(), []change.Editor{nft, legacy}, o)
	if err == nil || r.ExitCode != exitRolledBack || !strings.Contains(err.Error(), "no way to ask") {
		t.Errorf("%+v %v", r, err)
	}
}

// Ctrl-C while the tests run: before the change nothing happened, after it it is undone.
func TestAnInterruptionDuringSmokeTests(t *testing.T) {
	for round, code := range map[int]int{1: exitError, 2: exitRolledBack} {
		nft, legacy, rows := web()
		o := options(t)
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		n := 0
		o.Smoke = Smoke{Tests: []host.Probe{{ID: "a"}}, Ask: func(ctx context.Context, tests []host.Probe) []string {
			if n++; n == round {
				stop()
			}
			return []string{""}
		}}
		r, err := Run(ctx, rows, nil, here(), []change.Editor{nft, legacy}, o)
		if err == nil || r.ExitCode != code || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("round %d: %+v %v", round, r, err)
		}
		wantPlaces(t, nft, nat, "a", "b", "c", "d")
	}
}
