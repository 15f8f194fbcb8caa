package remediate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// Smoke is what must answer after a change as it did before, and what nobody
// may answer any more.
type Smoke struct {
	Tests  []host.Probe
	Closed []host.Closed
	// Ask gives for each test why it failed; "" where it did not.
	Ask func(ctx context.Context, tests []host.Probe) []string
	// Answered gives for each port who answers it, or may; "" for nobody.
	Answered func(ctx context.Context, closed []host.Closed) ([]string, error)
}

// The outcomes of a smoke test.
const (
	Passed      = "passed"
	FailedTest  = "failed"
	secondTries = 2               // a service may need a moment after its flows were cut
	betweenAsks = 1 * time.Second // before each of them
)

// Tested is a smoke test, or a port that is to be closed, as it is shown.
type Tested struct {
	ID     string `json:"id"`
	Test   string `json:"test"`   // "tcp 10.0.0.1:443", "closed tcp/8080"
	Before string `json:"before"` // passed, failed; "" where it was not asked
	After  string `json:"after"`
	Why    string `json:"why"` // of the last that failed
}

// listed are the tests that a change is held to, none of them asked yet.
func (s *Smoke) listed() (out []Tested) {
	for i := range s.Tests {
		out = append(out, Tested{ID: s.Tests[i].ID, Test: s.Tests[i].String()})
	}
	for i := range s.Closed {
		out = append(out, Tested{ID: s.Closed[i].ID, Test: "closed " + s.Closed[i].String()})
	}
	return out
}

// tryBefore asks every test before the change. One that fails already is named,
// and not held against the change.
func (r *run) tryBefore(ctx context.Context) error {
	r.result.Smoke = r.o.Smoke.listed()
	if len(r.o.Smoke.Tests) == 0 {
		return nil
	}
	for i, why := range r.o.Smoke.Ask(ctx, r.o.Smoke.Tests) {
		t := &r.result.Smoke[i]
		t.Before = Passed
		if why != "" {
			t.Before, t.Why = FailedTest, why
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted during the smoke tests: %w", err)
	}
	return nil
}

// tryAfter asks those that passed before, and whether the ports that are to be
// closed are. What fails now is the change's fault, as far as anybody can tell.
func (r *run) tryAfter(ctx context.Context) error {
	wrong := r.askAgain(ctx)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted during the smoke tests: %w", err)
	}
	open, err := r.stillAnswered(ctx)
	if err != nil {
		return fmt.Errorf("looking who answers the ports that are to be closed: %w", err)
	}
	if wrong = append(wrong, open...); len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// askAgain asks what passed before, and what fails a few times more.
func (r *run) askAgain(ctx context.Context) (wrong []string) {
	var asked []host.Probe
	var of []*Tested
	for i := range r.o.Smoke.Tests {
		if t := &r.result.Smoke[i]; t.Before == Passed {
			asked, of = append(asked, r.o.Smoke.Tests[i]), append(of, t)
		}
	}
	for try := 0; len(asked) > 0; try++ {
		failed := r.o.Smoke.Ask(ctx, asked)
		for i, why := range failed {
			of[i].After, of[i].Why = Passed, why
			if why != "" {
				of[i].After = FailedTest
			}
		}
		asked, of = stillFailing(asked, of)
		if try == secondTries || len(asked) == 0 || sleep(ctx, betweenAsks) != nil {
			break
		}
	}
	for _, t := range of {
		wrong = append(wrong, fmt.Sprintf("smoke test %s fails since the change (%s): %s", t.ID, t.Test, t.Why))
	}
	return wrong
}

func stillFailing(asked []host.Probe, of []*Tested) ([]host.Probe, []*Tested) {
	var again []host.Probe
	for i, t := range of {
		if t.After == FailedTest {
			again = append(again, asked[i])
		}
	}
	return again, slices.DeleteFunc(of, func(t *Tested) bool { return t.After == Passed })
}

// stillAnswered names the ports that are to be closed and that somebody answers.
func (r *run) stillAnswered(ctx context.Context) (wrong []string, err error) {
	closed := r.o.Smoke.Closed
	if len(closed) == 0 {
		return nil, nil
	}
	answered, err := r.o.Smoke.Answered(ctx, closed)
	if err != nil {
		return nil, err
	}
	for i, who := range answered {
		t := &r.result.Smoke[len(r.o.Smoke.Tests)+i]
		t.After, t.Why = Passed, who
		if who != "" {
			t.After = FailedTest
			wrong = append(wrong, fmt.Sprintf("%s is to be closed (%s), and %s", closed[i].String(), t.ID, who))
		}
	}
	return wrong, nil
}

// tryRestored asks once more what failed, after the change was rolled back: what
// fails still has another reason, or hung on a flow that was cut.
func (r *run) tryRestored(ctx context.Context) {
	if r.result.Status != RolledBack {
		return
	}
	var asked []host.Probe
	for i := range r.o.Smoke.Tests {
		if r.result.Smoke[i].After == FailedTest {
			asked = append(asked, r.o.Smoke.Tests[i])
		}
	}
	if len(asked) == 0 || ctx.Err() != nil {
		return
	}
	for i, why := range r.o.Smoke.Ask(ctx, asked) {
		note := fmt.Sprintf("smoke test %s passes again", asked[i].ID)
		if why != "" {
			note = fmt.Sprintf("smoke test %s fails still, though the rules are back: %s", asked[i].ID, why)
		}
		r.result.Notes = append(r.result.Notes, note)
	}
}

// failedBefore are notes about the tests that say nothing about the change.
func (r *Result) failedBefore() (notes []string) {
	for _, t := range r.Smoke {
		if t.Before == FailedTest {
			notes = append(notes, fmt.Sprintf("smoke test %s failed before the change already, which is not held against it (%s): %s", t.ID, t.Test, t.Why))
		}
	}
	return notes
}
