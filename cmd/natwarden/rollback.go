package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/remediate"
)

// RollbackOptions are the flags of rollback.
type RollbackOptions struct {
	DryRun bool
	Yes    bool
}

// AddFlags defines the flags.
func (o *RollbackOptions) AddFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.DryRun, "dry-run", false, "show what would be put back, change nothing")
	f.BoolVar(&o.Yes, "yes", false, "do not ask")
}

func newRollback(a *app) *cobra.Command {
	var o RollbackOptions
	cmd := &cobra.Command{
		Use:   "rollback [CHANGE]",
		Short: "put back what a change took away",
		Long: "Puts back, byte for byte and at its old place, what a change took away. Without\n" +
			"CHANGE it takes the newest one; if that is rolled back already it does nothing.\n" +
			"What comes back was not authorized when it was removed: it is listed." +
			exitStatus(map[int]string{
				exitOK:         "put back and verified, or nothing to do",
				exitViolations: "put back what it could, the rest is listed (with --dry-run: there is something to do)",
				exitBlind:      "done, but something could not be read",
			}, exitOK, exitError, exitViolations, exitBlind, exitRolledBack, exitBroken, exitRefused, exitUsage, exitBusy, exitPrivilege),
		Example: "  natwarden rollback --dry-run\n  natwarden rollback --yes\n  natwarden rollback 20261123T052000Z --yes",
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
	run := func(dry bool) (*remediate.Result, error) {
		return remediate.Rollback(ctx, first(args), resolve, editors(), remediate.Options{
			DryRun: dry, StateDir: a.StateDir, Version: version, Now: time.Now, Listeners: listeners(), Log: a.logAction,
		})
	}
	if !o.DryRun && !o.Yes {
		plan, err := run(true)
		if err != nil || len(plan.Steps) == 0 {
			return a.finish(plan, err, rolledBack)
		}
		a.showPlan(plan, rolledBack)
		yes, err := a.confirmed("Put these back?")
		if err != nil {
			return err
		}
		if !yes {
			a.note("nothing was changed")
			return conclude(exitViolations)
		}
	}
	result, err := run(o.DryRun)
	return a.finish(result, err, rolledBack)
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
