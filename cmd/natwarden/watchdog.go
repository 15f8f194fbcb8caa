package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/natwarden/natwarden/remediate"
)

const watchdogVerb = "watchdog"

// readyTime is how long the watchdog may take to start.
const readyTime = 20 * time.Second

// watchdog starts what rolls the change back unless it is confirmed: natwarden
// once more, as a transient unit of systemd where that runs, and else as a detached process.
// Should both come to run, the lock of the state directory keeps them apart.
func (a *app) watchdog(change, stateDir string) error {
	ctx, stop := context.WithTimeout(context.Background(), readyTime+exitTime)
	defer stop()
	err := watchAsUnit(ctx, change, stateDir)
	if err == nil {
		return nil
	}
	if !errors.Is(err, errNoSystemd) {
		a.note("systemd does not run the watchdog, a process of its own does: %s", clean(err.Error()))
	}
	return watchDetached(change, stateDir)
}

// ready is the descriptor at which a detached watchdog writes a byte when it watches.
const ready = 3

// watchDetached starts the watchdog in a session of its own, so that neither the
// end of the terminal nor of natwarden ends it.
func watchDetached(change, stateDir string) error {
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer readyRead.Close()
	cmd := &exec.Cmd{
		Path:        "/proc/self/exe", // this very program, also after its file was replaced
		Args:        []string{"natwarden", watchdogVerb, change, "--state-dir", stateDir},
		Dir:         "/",
		ExtraFiles:  []*os.File{readyWrite},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = cmd.Start()
	readyWrite.Close()
	if err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // it outlives us, or ends without a word
	return heard(readyRead)
}

// heard waits for the watchdog's word that it watches.
func heard(from *os.File) error {
	if err := from.SetReadDeadline(time.Now().Add(readyTime)); err != nil {
		return err
	}
	if _, err := from.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("it did not begin to watch: %w", err)
	}
	return nil
}

// newWatchdog is the verb by which natwarden starts itself; it is not for people.
func newWatchdog(a *app) *cobra.Command {
	asUnit := false
	cmd := &cobra.Command{
		Use:    watchdogVerb + " CHANGE",
		Short:  "roll a change back unless it is confirmed (natwarden starts this itself)",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(cmd *cobra.Command, args []string) error { return runWatchdog(cmd.Context(), a, args[0], asUnit) },
	}
	cmd.Flags().BoolVar(&asUnit, "as-unit", false, "systemd started this, and is told when it watches")
	return cmd
}

// runWatchdog watches. No signal that can be caught ends it: whoever wants it
// gone confirms the change or rolls it back.
func runWatchdog(ctx context.Context, a *app, change string, asUnit bool) error {
	tell := tellParent
	if asUnit {
		tell = notify
	}
	// A unit stands in the network namespace of process 1, whoever called natwarden.
	err := remediate.Watchable(ctx, change, resolve, a.recoverOptions())
	if err == nil {
		err = tell()
	}
	if err != nil {
		return usage("natwarden remediate --confirm-within starts it", "natwarden starts the watchdog itself: %w", err)
	}
	return remediate.Watch(context.WithoutCancel(ctx), change, resolve, editors(), a.recoverOptions())
}

// tellParent tells who started a detached watchdog that it watches.
func tellParent() error {
	word := os.NewFile(ready, "ready")
	if word == nil {
		return os.ErrInvalid
	}
	_, err := word.Write([]byte{'\n'})
	return errors.Join(err, word.Close())
}
