package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	nftedit "github.com/natwarden/natwarden/internal/nft/edit"
	xtedit "github.com/natwarden/natwarden/internal/xtables/edit"
	"github.com/natwarden/natwarden/remediate"
)

func newRecover(a *app) *cobra.Command {
	early := false
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "end a change that was interrupted",
		Long: "Finds changes that did not come to an end because natwarden was killed or the host\n" +
			"stopped, compares the host with their journals, says how far each came, and undoes\n" +
			"it; a rollback that was interrupted is finished, a change that nobody confirmed in\n" +
			"time is rolled back; one that still waits is left to wait. remediate and rollback do\n" +
			"the same before anything else. Run it in the network namespace in which remediate ran.\n\n" +
			"The packaged units run it at boot: with --before-network for rules alone, as soon as\n" +
			"the saved ones are loaded, and again when the host is up." +
			exitStatus(map[int]string{
				exitOK:         "there was nothing to recover, or the host is as it was before the change",
				exitViolations: "put back what it could, the rest is listed",
				exitExpired:    "a change was not confirmed in time, and is rolled back",
				exitBroken:     "undoing failed: the message says why, the next run tries again",
			}, exitOK, exitError, exitViolations, exitBroken, exitExpired, exitRefused, exitUsage, exitBusy, exitPrivilege),
		Example: "  natwarden recover",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runRecover(cmd.Context(), a, early) },
	}
	cmd.Flags().BoolVar(&early, "before-network", false, "put back rules alone, and leave the rest to the next recover")
	return cmd
}

func runRecover(ctx context.Context, a *app, early bool) error {
	if err := needRight("recover", unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	o := a.recoverOptions()
	if early {
		o.Backends = []string{nftedit.New().Backend(), xtedit.New("").Backend()}
	}
	result, err := remediate.Recover(ctx, resolve, editors(), o)
	return a.finish(result, err, recovered)
}

func (a *app) recoverOptions() remediate.Options {
	return remediate.Options{StateDir: a.StateDir, Version: version, Now: time.Now, Listeners: listeners(), Log: a.logAction}
}

// recoverFirst ends what an earlier run left unfinished, before a verb reads
// the host that it is about to change.
func (a *app) recoverFirst(ctx context.Context) error {
	result, err := remediate.Recover(ctx, resolve, editors(), a.recoverOptions())
	for _, n := range result.Notes {
		a.note("%s", clean(n))
	}
	for _, l := range result.Left {
		a.note("not put back: %s", clean(l.Why))
	}
	if err == nil && result.Status == remediate.Pending {
		err = &remediate.WaitingError{Change: result.Change, Until: *result.Until}
		return kindError{errBusy, err, "natwarden confirm keeps it, natwarden rollback takes it back"}
	}
	if err == nil {
		return nil
	}
	a.tell(err)
	return conclude(result.ExitCode)
}

// tellUnfinished says that a change did not come to an end, in verbs that do
// not end it themselves.
func (a *app) tellUnfinished() {
	open, err := remediate.Unfinished(a.StateDir)
	if err != nil {
		a.note("%s", clean(err.Error()))
	}
	for _, o := range open {
		a.note("%s", clean(o))
	}
}
