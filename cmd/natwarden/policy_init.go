package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/policy"
)

func newPolicyInit(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "init",
		Short: "write a first policy from today's state, for review",
		Long: "Writes an entry for each redirect and listener of today, grouped by owner and\n" +
			"marked review: pending. Such an entry allows nothing, and remediate leaves what it\n" +
			"names alone, until a person has looked and removed the line.\n" +
			"It goes to standard output, or with --policy to that file, which must not exist." +
			exitStatus(map[int]string{exitOK: "written", exitBlind: "written, but something could not be read or understood"},
				exitOK, exitError, exitBlind, exitUsage, exitPrivilege),
		Example: "  natwarden policy init --policy " + defaultPolicy + "\n  natwarden policy init > policy.yaml",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runPolicyInit(cmd.Context(), a) },
	}
}

func runPolicyInit(ctx context.Context, a *app) error {
	if a.Policy == builtinPolicy {
		return usage("name a file that does not exist yet", "policy init cannot write the built-in policy")
	}
	if err := needRight("policy init", unix.CAP_NET_ADMIN); err != nil {
		return err
	}
	s, err := a.openSpaces(ctx, netns.AllSpaces())
	if err != nil {
		return err
	}
	defer s.close()
	report, err := look(ctx, s, nil, policy.Builtin())
	if err != nil {
		return err
	}
	for _, b := range report.Blind {
		a.note("could not be read or understood: %s: %s: %s", clean(b.Source), clean(b.What), clean(b.Why))
	}
	if err := a.keepPolicy(policy.Init(report.Redirects, report.Listeners, time.Now())); err != nil {
		return err
	}
	if len(report.Blind) > 0 {
		return conclude(exitBlind)
	}
	return nil
}

func (a *app) keepPolicy(text []byte) error {
	if len(text) > policy.MaxSize {
		return hinted(fmt.Errorf("today's state makes a policy of %s KiB, and natwarden reads no more than %d: nothing was written", thousands(len(text)>>10), policy.MaxSize>>10),
			"leave namespaces out: --netns current, or --netns NAME")
	}
	if a.Policy == "" {
		_, err := a.out.Write(text)
		return err
	}
	if err := writeNew(a.Policy, text); err != nil {
		return err
	}
	if !a.Quiet {
		a.note("wrote %s: look at each entry and remove its line review: pending", clean(a.Policy))
	}
	return nil
}

// writeNew writes a file that must not exist yet, for root alone to change.
func writeNew(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("making the folder of the policy: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return hinted(fmt.Errorf("writing the policy: %w", err), "it is never overwritten: move it away, or name another with --policy")
	}
	if err != nil {
		return fmt.Errorf("writing the policy: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("writing the policy: %w", err), os.Remove(path))
	}
	return nil
}
