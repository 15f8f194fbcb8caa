package main

import (
	"context"
	"fmt"
	"time"

	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/remediate"
	"github.com/natwarden/natwarden/rollback"
)

// gatesOf are the guards of the policy that ask something else than the plan.
func (o *RemediateOptions) gatesOf(a *app, pol *policy.Policy) []remediate.Gate {
	if len(pol.Change.Windows) > 0 || pol.Change.Approvals > 0 {
		o.lastAction = lastAction(a.StateDir)
	}
	return []remediate.Gate{
		{Name: remediate.GuardWindow, Refuses: o.windowGate(pol.Change, clocks)},
		{Name: remediate.GuardApproval, Refuses: o.approvalGate(a, pol.Change, clocks)},
	}
}

// clockSlack is how far the clock may be adjusted while natwarden runs: more than
// a time daemon slews it, less than anybody means by a window.
const clockSlack = time.Minute

// clocks reads the clock that can be set and the one that cannot, which only
// differences are taken of.
func clocks() (wall, steady time.Time) {
	now := time.Now()
	return now.Round(0), now
}

// lastAction is when natwarden last wrote into its log; zero where nobody can tell.
func lastAction(stateDir string) time.Time {
	store, err := rollback.Open(stateDir)
	if err != nil {
		return time.Time{}
	}
	defer store.Close()
	at, err := store.LastAction()
	if err != nil {
		return time.Time{}
	}
	return at
}

// clockDoubt gives what says why the clock is not to be believed: it was set since
// the verb began, or stands before the plan was made, or before the last action. Nobody can tell
// then when it was right.
func (o *RemediateOptions) clockDoubt(clocks func() (wall, steady time.Time)) func(now, steady time.Time) string {
	wall, steady := clocks()
	return func(now, later time.Time) string {
		// The host's sleep looks like a jump: the steady clock stands still meanwhile.
		if jump := now.Sub(wall) - later.Sub(steady); jump.Abs() > clockSlack {
			return fmt.Sprintf("the clock was set by %s meanwhile: run it again", jump.Round(time.Second))
		}
		if o.exactly != nil && now.Before(o.exactly.Origin.Time.Add(-clockSlack)) {
			return fmt.Sprintf("the clock stands at %s, before the plan was made (%s)", now.Format(time.RFC3339), o.exactly.Origin.Time.Format(time.RFC3339))
		}
		if now.Before(o.lastAction.Add(-clockSlack)) {
			return fmt.Sprintf("the clock stands at %s, before the last action in natwarden's log (%s): it was set back, or was wrong then; the next action puts it right", now.Format(time.RFC3339), o.lastAction.Format(time.RFC3339))
		}
		return ""
	}
}

// windowGate refuses outside the change windows, and where the clock is not to
// be believed.
func (o *RemediateOptions) windowGate(change policy.Change, clocks func() (wall, steady time.Time)) func(context.Context) []string {
	doubt := o.clockDoubt(clocks)
	return func(context.Context) []string {
		if len(change.Windows) == 0 {
			return nil
		}
		now, steady := clocks()
		if why := doubt(now, steady); why != "" {
			return []string{"whether a change window is open cannot be said: " + why}
		}
		return closedWindow(change, now)
	}
}

// closedWindow says that no window is open and when the next one opens.
func closedWindow(change policy.Change, now time.Time) []string {
	if change.IsOpen(now) {
		return nil
	}
	next, ever := change.NextOpen(now)
	if !ever {
		return []string{"no change window of the policy opens any more"}
	}
	return []string{fmt.Sprintf("no change window is open; the next opens %s, in %s", next.Format("Mon "+time.RFC3339), until(next.Sub(now)))}
}

// until writes a time to wait as a person would: "2d3h", "3h12m", "40s".
func until(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
