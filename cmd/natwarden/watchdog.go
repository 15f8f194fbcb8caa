package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/natwarden/natwarden/remediate"
)

// The watchdog is natwarden once more, in a session of its own, so that
// neither the end of the terminal nor of natwarden ends it. These are the descriptors that it inherits.
const (
	lifeline = 3 // a pipe whose other end the change's natwarden holds: its end is that process's end
	ready    = 4 // the watchdog writes a byte here when it watches
)

// readyTime is how long the watchdog may take to start.
const readyTime = 20 * time.Second

const watchdogVerb = "watchdog"

// watchdog starts what rolls the change back. What it returns is to be kept
// open as long as the change is made.
func watchdog(change, stateDir string) (alive io.Closer, err error) {
	lifeRead, lifeWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	defer lifeRead.Close()
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a pipe: %w", err), lifeWrite.Close())
	}
	defer readyRead.Close()
	cmd := &exec.Cmd{
		Path:        "/proc/self/exe", // this very program, also after its file was replaced
		Args:        []string{"natwarden", watchdogVerb, change, "--state-dir", stateDir},
		Dir:         "/",
		ExtraFiles:  []*os.File{lifeRead, readyWrite},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	err = cmd.Start()
	readyWrite.Close()
	if err == nil {
		go func() { _ = cmd.Wait() }() // it outlives us, or ends without a word
		err = heard(readyRead)
	}
	if err != nil {
		return nil, errors.Join(err, lifeWrite.Close())
	}
	return lifeWrite, nil
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
	return &cobra.Command{
		Use:    watchdogVerb + " CHANGE",
		Short:  "roll a change back unless it is confirmed (natwarden starts this itself)",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE:   func(cmd *cobra.Command, args []string) error { return runWatchdog(cmd.Context(), a, args[0]) },
	}
}

// runWatchdog watches. No signal that can be caught ends it: whoever wants it
// gone confirms the change or rolls it back.
func runWatchdog(ctx context.Context, a *app, change string) error {
	life, word := os.NewFile(lifeline, "lifeline"), os.NewFile(ready, "ready")
	if life == nil || word == nil {
		return usage("natwarden remediate --confirm-within starts it", "natwarden starts the watchdog itself")
	}
	orphaned := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, life) // ends when the other end does
		close(orphaned)
	}()
	_, err := word.Write([]byte{'\n'})
	if err = errors.Join(err, word.Close()); err != nil {
		return usage("natwarden remediate --confirm-within starts it", "natwarden starts the watchdog itself: %w", err)
	}
	return remediate.Watch(context.WithoutCancel(ctx), change, orphaned, resolve, editors(), a.recoverOptions())
}
