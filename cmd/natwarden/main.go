// Command natwarden answers one question about a Linux server (who really
// answers on each of its ports, and is that authorized?) and ends what is not
// authorized in a way that can be taken back.
//
// One file a verb. The package parses flags, wires the sources and editors,
// calls one verb, renders the result (text*.go and json*.go are the only files
// that do) and turns an error into an exit code (exit.go). natwarden is a
// program, not a library.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/natwarden/natwarden/internal/proc"
	"github.com/natwarden/natwarden/internal/smoke"
)

// firstInherited is the first descriptor that natwarden passes on to nobody: a lock
// that its caller holds open would be the watchdog's for as long as that watches.
const firstInherited = 3

func main() {
	if code, mine := smoke.Keeper(os.Args); mine {
		os.Exit(code)
	}
	os.Exit(natwarden())
}

// natwarden runs the program and gives its exit code. Go ends with 2 where a
// program panics, which would tell a script of violations, or that a change is done.
func natwarden() (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(os.Stderr, "natwarden: a defect of natwarden, please report it: %v\n%s", p, debug.Stack())
			code = exitError
		}
	}()
	// What Go cannot recover from (no memory, a panic elsewhere than here) also ends
	// with 2. An abort ends with SIGABRT, and no script takes that for a verdict.
	debug.SetTraceback("crash")
	// A run is short and its answer stays in memory until it is written: most of
	// what a collection would look at is still in use.
	debug.SetGCPercent(200)
	for _, step := range []func() error{startAgain, scrubEnvironment} {
		if err := step(); err != nil {
			fmt.Fprintln(os.Stderr, "natwarden:", err)
			return exitError
		}
	}
	proc.KeepFromChildren(firstInherited)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// A closed pipe is an error of the write, not a silent end: the default of
	// SIGPIPE on descriptor 1 would kill a remediation that is half told.
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	return execute(ctx, newStreams(), os.Args[1:])
}
