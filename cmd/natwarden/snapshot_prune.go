package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/remediate"
	"github.com/natwarden/natwarden/rollback"
)

// PruneOptions are the flags of snapshot prune.
type PruneOptions struct {
	Keep      int
	OlderThan time.Duration
	DryRun    bool
}

// AddFlags defines the flags.
func (o *PruneOptions) AddFlags(f *pflag.FlagSet) {
	f.IntVar(&o.Keep, "keep", 0, "keep the newest `N`")
	f.DurationVar(&o.OlderThan, "older-than", 0, "keep those that are younger than this `TIME` (720h are 30 days)")
	f.BoolVar(&o.DryRun, "dry-run", false, "show what would go, remove nothing")
}

func newSnapshotPrune(a *app) *cobra.Command {
	var o PruneOptions
	keep := rollback.DefaultKeep()
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "remove old snapshots that no change needs",
		Long: fmt.Sprintf("Removes snapshots. Without flags the newest %d stay, and those that are younger\n"+
			"than %.0f days. --keep N alone keeps the newest N whatever their age, --older-than\n"+
			"TIME alone keeps what is younger; with both, either keeps. What a change may still\n"+
			"need stays: one that is not finished or waits, and the newest unless it is rolled\n"+
			"back. A rollback needs its journal, not its snapshot.", keep.Newest, keep.Younger.Hours()/24) +
			exitStatus(map[int]string{exitOK: "removed, or nothing to remove"}, exitOK, exitError, exitUsage, exitBusy),
		Example: "  natwarden snapshot prune --dry-run\n  natwarden snapshot prune --keep 10\n  natwarden snapshot prune --older-than 2160h",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runSnapshotPrune(a, &o, cmd.Flags()) },
	}
	o.AddFlags(cmd.Flags())
	return cmd
}

// keep is what the flags say is to stay.
func (o *PruneOptions) keep(f *pflag.FlagSet) (rollback.Keep, error) {
	byCount, byAge := f.Changed("keep"), f.Changed("older-than")
	if o.Keep < 0 || o.OlderThan < 0 {
		return rollback.Keep{}, usage("write --keep 10 or --older-than 720h", "a number to keep and an age are not negative")
	}
	if !byCount && !byAge {
		return rollback.DefaultKeep(), nil
	}
	return rollback.Keep{Newest: o.Keep, Younger: o.OlderThan}, nil
}

func runSnapshotPrune(a *app, o *PruneOptions, f *pflag.FlagSet) error {
	keep, err := o.keep(f)
	if err != nil {
		return err
	}
	store, err := openStore(a)
	if err != nil {
		return err
	}
	defer store.Close()
	var all []rollback.Pruned
	if o.DryRun {
		all, err = store.Prunable(keep, time.Now())
	} else {
		all, err = a.prune(store, keep)
	}
	if err != nil {
		return err
	}
	return a.showPruned(all, o.DryRun)
}

// prune removes what is not to be kept. The action log tells of it first.
func (a *app) prune(store *rollback.Store, keep rollback.Keep) (all []rollback.Pruned, err error) {
	now := time.Now()
	lock, err := store.Lock(now)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	all, err = store.Prunable(keep, now)
	gone := going(all)
	if err != nil || len(gone) == 0 {
		return all, err
	}
	ended, err := a.logAction(remediate.Action{Name: "prune", Snapshot: shortened(strings.Join(gone, " "))})
	if err != nil {
		return nil, fmt.Errorf("nothing was removed: %w", err)
	}
	result := &remediate.Result{Status: remediate.Done}
	if all, err = store.Prune(keep, now); err != nil {
		result.Status, result.ExitCode = remediate.Failed, exitError
	}
	ended(result, err)
	return all, err
}

func going(all []rollback.Pruned) []string {
	var gone []string
	for _, p := range all {
		if p.Kept == "" {
			gone = append(gone, p.ID)
		}
	}
	return gone
}

// pruneAfter removes old snapshots after a change that went well, as prune does
// without flags. It is no matter of the change: whatever is in its way is left
// to the next one, and said.
func (a *app) pruneAfter() {
	store, err := rollback.Open(a.StateDir)
	if err == nil {
		defer store.Close()
		_, err = a.prune(store, rollback.DefaultKeep())
	}
	if err != nil && !errors.As(err, new(*rollback.BusyError)) {
		a.note("old snapshots were not removed: %s", clean(err.Error()))
	}
}

func (a *app) showPruned(all []rollback.Pruned, dry bool) error {
	if a.json() {
		return writeJSON(a.out, struct {
			SchemaVersion int               `json:"schema_version"`
			DryRun        bool              `json:"dry_run"`
			Snapshots     []rollback.Pruned `json:"snapshots"`
		}{audit.SchemaVersion, dry, append([]rollback.Pruned{}, all...)})
	}
	p, verb := a.page(), "removed"
	if dry {
		verb = "would be removed"
	}
	gone := len(going(all))
	p.paragraph("", fmt.Sprintf("%s %s, %s kept.", count(gone, "snapshot"), verb, thousands(len(all)-gone)))
	for _, s := range all {
		what := verb
		if s.Kept != "" {
			what = "kept: " + s.Kept
		}
		p.item(s.ID + "  " + s.Time.Format(time.RFC3339) + "  " + what)
	}
	return nil
}
