package main

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/owner"
	"github.com/natwarden/natwarden/remediate"
)

func newConfirm(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "confirm [CHANGE]",
		Short: "keep a change that waits for its confirmation",
		Long: "Says that a change is to stay; otherwise it is rolled back when its time is over.\n" +
			"Say it from a new session: that you could open one is the proof that the change\n" +
			"did not lock you out. Without CHANGE it is the one that waits." +
			exitStatus(map[int]string{
				exitOK:      "the change stays",
				exitError:   "no such change waits, or the confirmation could not be written",
				exitExpired: "too late: the change is rolled back",
				exitBroken:  "too late, and rolling back failed: the message says how the host stands",
			}, exitOK, exitError, exitBroken, exitExpired, exitRefused, exitUsage, exitBusy, exitPrivilege),
		Example: "  natwarden confirm\n  natwarden confirm 20261123T052000Z",
		Args:    atMostOne("change"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runConfirm(cmd.Context(), a, args) },
	}
}

func runConfirm(ctx context.Context, a *app, args []string) error {
	if err := needRight("confirm", unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	result, err := remediate.Confirm(ctx, first(args), resolve, editors(), a.recoverOptions())
	if err == nil && !a.json() {
		a.page().paragraph(green, "CONFIRMED: change "+result.Change+" stays.")
		a.tellNotes(result)
		return conclude(result.ExitCode)
	}
	return a.finish(result, err, recovered)
}

// await tells the person how to confirm and waits for it, unless --no-wait.
func (o *RemediateOptions) await(ctx context.Context, a *app, r *remediate.Result) (*remediate.Result, error) {
	command := a.confirmCommand(r.Change)
	if !a.Quiet || a.asks() {
		a.note("the change is done and verified; it is rolled back at %s unless you confirm it from a new session:\n  %s",
			r.Until.Format(time.RFC3339), clean(command))
	}
	if o.NoWait {
		return r, nil
	}
	result, err := remediate.Await(ctx, r, resolve, editors(), a.recoverOptions())
	if result.Status == remediate.Pending {
		a.note("no longer waiting; the watchdog is: %s keeps the change", clean(command))
	}
	return result, err
}

// confirmCommand is what to type in a new session, which stands in another folder.
func (a *app) confirmCommand(change string) string {
	if a.StateDir == defaultStateDir {
		return owner.Line("natwarden", "confirm", change)
	}
	dir, err := filepath.Abs(a.StateDir)
	if err != nil {
		dir = a.StateDir
	}
	return cmp.Or(owner.Line("natwarden", "confirm", "--state-dir", dir, change), "natwarden confirm "+change)
}

// confirmTime is how long a person at a terminal has unless they say otherwise.
const confirmTime = 2 * time.Minute

// The bounds of --confirm-within.
const (
	shortestWait = time.Second
	longestWait  = 24 * time.Hour
)

// checkConfirm settles how the change is confirmed. Where nobody sits at the
// keyboard it must be said: a change must neither stay nor go by surprise.
func (o *RemediateOptions) checkConfirm(a *app) error {
	switch {
	case o.NoConfirm && (o.ConfirmWithin != 0 || o.NoWait):
		return usage("take one of them", "--no-confirm keeps the change at once: there is nothing to wait for")
	case o.NoConfirm:
		return nil
	case o.ConfirmWithin == 0 && a.asks():
		o.ConfirmWithin = confirmTime
	case o.ConfirmWithin == 0:
		return usage("add --confirm-within 2m to have it rolled back unless somebody confirms, or --no-confirm to keep it at once",
			"standard input is no terminal: say how the change is confirmed")
	}
	if o.ConfirmWithin < shortestWait || o.ConfirmWithin > longestWait {
		return usage(fmt.Sprintf("from %s to %s", shortestWait, longestWait), "--confirm-within %s is out of bounds", o.ConfirmWithin)
	}
	return nil
}
