package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/rollback"
)

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{verdict(2), 2},
		{fmt.Errorf("wrapped: %w", verdict(3)), 3},
		{usage("do so", "bad %s", "flag"), 64},
		{hinted(usage("", "x"), "y"), 64},
		{fmt.Errorf("x: %w", change.ErrBusy), 75},
		{fmt.Errorf("x: %w", &rollback.BusyError{PID: 1}), 75},
		{fmt.Errorf("x: %w", change.ErrStale), 7},
		{&os.PathError{Op: "open", Path: "/x", Err: unix.EPERM}, 77},
		{kindError{kind: errPrivilege, err: errors.New("x")}, 77},
		{fmt.Errorf("x: %w", policy.ErrPolicy), 78},
		{hinted(policy.Errors{{File: "f"}}, "h"), 78},
		{unix.ENOSPC, 1},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("exitCode(%v) = %d, want %d", c.err, got, c.want)
		}
	}
}

func TestErrorsSayWhatToDoNext(t *testing.T) {
	for _, err := range []error{usage("", "x"), change.ErrBusy, change.ErrStale, unix.EPERM, unix.ENOSPC, unix.EROFS, hinted(errors.New("x"), "do y")} {
		if hintFor(err) == "" {
			t.Errorf("no hint after %q", err)
		}
	}
}

func TestTheEnvironmentCannotMislead(t *testing.T) {
	for _, name := range []string{"HOST_PROC", "XTABLES_LIBDIR", "LD_PRELOAD", "LC_CTYPE", "LANG"} {
		t.Setenv(name, "/evil")
	}
	t.Setenv("PATH", "/evil")
	t.Setenv("NO_COLOR", "1")
	if err := scrubEnvironment(); err != nil {
		t.Fatal(err)
	}
	for _, pair := range os.Environ() {
		if slices.Contains([]string{"HOST_PROC=/evil", "XTABLES_LIBDIR=/evil", "LD_PRELOAD=/evil", "LC_CTYPE=/evil", "LANG=/evil", "PATH=/evil"}, pair) {
			t.Errorf("%s is still there", pair)
		}
	}
	if os.Getenv("PATH") != systemPath || os.Getenv("LC_ALL") != "C" || os.Getenv("NO_COLOR") != "1" {
		t.Errorf("PATH=%q LC_ALL=%q NO_COLOR=%q", os.Getenv("PATH"), os.Getenv("LC_ALL"), os.Getenv("NO_COLOR"))
	}
}
