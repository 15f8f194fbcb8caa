package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/policy"
	"github.com/natwarden/natwarden/rollback"
)

// The exit codes. Scripts rely on them: they change only with schema_version.
// 64, 75, 77 and 78 are those of sysexits(3).
const (
	exitOK         = 0
	exitError      = 1
	exitViolations = 2
	exitBlind      = 3
	exitRolledBack = 4
	exitBroken     = 5
	exitExpired    = 6
	exitRefused    = 7
	exitUsage      = 64
	exitBusy       = 75
	exitPrivilege  = 77
	exitPolicy     = 78
)

// The kinds of error that have an exit code of their own.
var (
	errUsage     = errors.New("usage")
	errPrivilege = errors.New("privilege")
	errPolicy    = errors.New("policy")
	errBusy      = errors.New("busy")
	errRefusal   = errors.New("refusal")
)

// kindError is an error of one of these kinds, with what to do next. Its text
// is the error's alone: the kind is only for exitCode.
type kindError struct {
	kind error
	err  error
	hint string
}

// Error is the text of the error without its kind.
func (e kindError) Error() string { return e.err.Error() }

// Unwrap gives the kind and the error.
func (e kindError) Unwrap() []error { return []error{e.kind, e.err} }

// usage is the error of a command line that does not make sense.
func usage(hint, format string, args ...any) error {
	return kindError{errUsage, fmt.Errorf(format, args...), hint}
}

// hinted adds what to do next to an error.
func hinted(err error, hint string) error { return kindError{err: err, hint: hint} }

// verdict ends the program with a result that is no failure of natwarden:
// what there is to say has been said already.
type verdict int

// Error is never shown: see tell.
func (v verdict) Error() string { return fmt.Sprintf("verdict %d", int(v)) }

// conclude turns a result's exit code into the error of a verb.
func conclude(code int) error {
	if code == exitOK {
		return nil
	}
	return verdict(code)
}

// exitCode is the one place where an error becomes an exit code.
func exitCode(err error) int {
	var v verdict
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &v):
		return int(v)
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, errPolicy), errors.Is(err, policy.ErrPolicy):
		return exitPolicy
	case errors.Is(err, errBusy), errors.Is(err, change.ErrBusy), errors.As(err, new(*rollback.BusyError)):
		return exitBusy
	case errors.Is(err, errRefusal), errors.Is(err, change.ErrStale):
		return exitRefused
	case errors.Is(err, errPrivilege), errors.Is(err, unix.EPERM):
		return exitPrivilege
	}
	return exitError
}

// hintFor says what to do after an error that does not say so itself.
func hintFor(err error) string {
	var k kindError
	switch {
	case errors.As(err, &k) && k.hint != "":
		return k.hint
	case errors.Is(err, errUsage):
		return "natwarden --help lists the commands"
	case errors.Is(err, change.ErrBusy):
		return "another natwarden or iptables is at work: try again when it is done"
	case errors.Is(err, change.ErrStale):
		return "nothing was changed: run the command again, it reads the host anew"
	case errors.Is(err, unix.EPERM):
		return "run it as root (CAP_NET_ADMIN and CAP_SYS_ADMIN are needed)"
	case errors.Is(err, unix.ENOSPC):
		return "make room on that file system, or name another place"
	case errors.Is(err, unix.EROFS):
		return "make the file system writable again; a new change may be kept elsewhere, with --state-dir"
	case errors.Is(err, context.Canceled):
		return "it was interrupted: natwarden audit shows how the host stands"
	}
	return ""
}

// meanings are the lines of EXIT STATUS in the help texts.
func meanings(code int) string {
	switch code {
	case exitOK:
		return "done"
	case exitError:
		return "an error; nothing was changed"
	case exitRolledBack:
		return "it failed, and everything was put back"
	case exitBroken:
		return "it failed, and putting back failed too: the message says how the host stands"
	case exitRefused:
		return "refused before any change: the host is not as it was read, or there is no way back"
	case exitExpired:
		return "not confirmed in time, and rolled back"
	case exitUsage:
		return "the command line does not make sense"
	case exitBusy:
		return "another natwarden holds the lock, or a change waits for its confirmation"
	case exitPrivilege:
		return "not enough privilege"
	case exitPolicy:
		return "the policy is bad or missing"
	}
	return ""
}

// exitStatus writes the EXIT STATUS section of a help text. Codes without a
// meaning of their own for the verb take the common one.
func exitStatus(own map[int]string, codes ...int) string {
	var b strings.Builder
	b.WriteString("\n\nEXIT STATUS\n")
	for _, code := range codes {
		text := own[code]
		if text == "" {
			text = meanings(code)
		}
		fmt.Fprintf(&b, "  %-3d %s\n", code, text)
	}
	return strings.TrimRight(b.String(), "\n")
}
