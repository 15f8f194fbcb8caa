package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/remediate"
)

// RollbackOptions are the flags of rollback.
type RollbackOptions struct {
	DryRun bool
	Full   bool
	Yes    bool
}

// AddFlags defines the flags.
func (o *RollbackOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.DryRun, "dry-run", false, "show what would be put back, change nothing")
	f.BoolVar(&o.Full, "full", false, "restore whole tables from the change's snapshot, newer rules in them included")
	f.BoolVar(&o.Yes, "yes", false, "do not ask")
}

func newRollback(a *app) *cobra.Command {
	var o RollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback [CHANGE]",
		Short: "put back what a change took away",
		Long: "Puts back, byte for byte and at its old place, what a change took away. Without\n" +
			"CHANGE it takes the newest one; if that is rolled back already it does nothing.\n" +
			"What comes back was not authorized when it was removed: it is listed.\n\n" +
			"--full is the last resort where tables or chains are gone: each table that the change\n" +
			"touched becomes, whole, what it was in the change's snapshot, and what others changed\n" +
			"in it since is gone. It shows the difference first, and is a change of its own that\n" +
			"natwarden rollback takes back. Other tables are not touched." +
			exitStatus(map[int]string{
				exitOK:         "put back and verified, or nothing to do",
				exitViolations: "put back what it could, the rest is listed (with --dry-run: there is something to do)",
				exitBlind:      "done, but something could not be read",
				exitRefused:    "refused before any change: with --full also where the snapshot is lost, or the tables keep changing",
			}, exitOK, exitError, exitViolations, exitBlind, exitRolledBack, exitBroken, exitRefused, exitUsage, exitBusy, exitPrivilege),
		Example: "  natwarden rollback --dry-run\n  natwarden rollback --yes\n  natwarden rollback 20261123T052000Z --yes\n  natwarden rollback --full --dry-run",
		Args:    atMostOne("change"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runRollback(cmd.Context(), a, &o, args) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

func runRollback(ctx context.Context, a *app, o *RollbackOptions, args []string) error {
	if !o.DryRun {
		if err := a.mustSayYes(o.Yes, "natwarden rollback"); err != nil {
			return err
		}
	}
	if err := needRight("rollback", unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	run := func(options remediate.Options) (*remediate.Result, error) {
		options.Full, options.StateDir, options.Version, options.Now = o.Full, a.StateDir, version, time.Now
		options.Listeners, options.Log = listeners(), a.logAction
		return remediate.Rollback(ctx, first(args), resolve, editors(), options)
	}
	if o.DryRun || o.Yes {
		result, err := run(remediate.Options{DryRun: o.DryRun})
		return a.finish(result, err, o.words())
	}
	return a.askRollback(run, o.words())
}

// asksAgain bounds how often a difference is shown anew because the tables changed
// while somebody read it.
const asksAgain = 3

// askRollback shows what would be put back, asks, and does that and nothing else.
func (a *app) askRollback(run func(remediate.Options) (*remediate.Result, error), words telling) error {
	for try := 1; ; try++ {
		plan, err := run(remediate.Options{DryRun: true})
		if err != nil || len(plan.Steps) == 0 {
			return a.finish(plan, err, words)
		}
		a.showPlan(plan, words)
		yes, err := a.confirmed(words.question)
		if err != nil {
			return err
		}
		if !yes {
			a.note("nothing was changed")
			return conclude(exitViolations)
		}
		result, err := run(remediate.Options{Shown: plan.Shown})
		if errors.Is(err, change.ErrStale) && result.Status == remediate.Refused && try < asksAgain {
			a.note("%s", clean(err.Error()))
			continue
		}
		return a.finish(result, err, words)
	}
}

// words are how a rollback is told.
func (o *RollbackOptions) words() telling {
	if o.Full {
		return restored
	}
	return rolledBack
}

// resolve opens the network namespace of a label, for steps of a journal.
func resolve(_ context.Context, label string) (netns.Handle, error) { return netns.OpenLabel(label) }

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// atMostOne is the check of a command that takes one word or none.
func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usage(cmd.CommandPath()+" --help shows how", "%s takes one %s, not %q as well", cmd.CommandPath(), what, args[1])
		}
		return nil
	}
}
