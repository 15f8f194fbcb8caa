package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/hostlog"
	"github.com/natwarden/natwarden/internal/proc"
	"github.com/natwarden/natwarden/remediate"
	"github.com/natwarden/natwarden/rollback"
)

// logAction writes into the action log, and tells the host's own log, that an
// action begins; what it gives does the same for its end.
func (a *app) logAction(what remediate.Action) (ended func(*remediate.Result, error), err error) {
	begin := rollback.Action{
		Event: rollback.LogBegin, Action: what.Name, Command: a.commandLine(), Who: caller(),
		Change: what.Change, Snapshot: what.Snapshot, PlanSHA256: what.PlanSHA256,
	}
	if what.Name == "remediate" {
		begin.PlanFile, begin.Approved = a.planFile, a.approved[:min(len(a.approved), mostSignatures)]
	}
	head, err := a.appendLog(&begin)
	if err != nil {
		return nil, err
	}
	return func(r *remediate.Result, failure error) {
		if r == nil {
			return
		}
		end := rollback.Action{Event: rollback.LogEnd, Action: what.Name, Change: what.Change, Of: head.Seq, Status: r.Status, ExitCode: &r.ExitCode}
		if failure != nil {
			end.Why = shortened(failure.Error())
		}
		if _, err := a.appendLog(&end); err != nil {
			a.note("how it ended is not in the action log: %s", clean(err.Error()))
		}
	}, nil
}

// appendLog writes one line. The host's own log hears of it also where the disk
// does not take it.
func (a *app) appendLog(what *rollback.Action) (head rollback.Head, err error) {
	now := time.Now()
	what.Time, what.Version = now, version
	here, err := rollback.Here(version, now, nil)
	if err != nil {
		return head, err
	}
	what.BootID = here.BootID
	store, err := rollback.Create(a.StateDir)
	if err == nil {
		head, err = store.Append(here, *what)
		_ = store.Close() // the line is on the disk
	}
	if told := tellHost(what, head, err); told != nil && err == nil {
		a.note("%s", clean(told.Error()))
	}
	return head, err
}

// tellHost is the line for journald or syslog. With the hash of a line there, a
// log that somebody wrote anew does not agree.
func tellHost(what *rollback.Action, head rollback.Head, failure error) error {
	fields := map[string]string{
		"NATWARDEN_EVENT": what.Event, "NATWARDEN_ACTION": what.Action, "NATWARDEN_CHANGE": what.Change,
		"NATWARDEN_LINE": fmt.Sprint(head.Seq), "NATWARDEN_HASH": head.Hash,
	}
	text := fmt.Sprintf("%s %s of change %s", what.Action, what.Event, what.Change)
	if what.Change == "" {
		text = what.Action + " " + what.Event
	}
	if what.Who != nil {
		text += " by " + whoWords(what.Who) + ": " + strings.Join(what.Command, " ")
	}
	if what.ExitCode != nil {
		text += fmt.Sprintf(": %s, exit code %d", what.Status, *what.ExitCode)
	}
	if failure == nil {
		text += fmt.Sprintf(" (line %d of the action log, hash %s)", head.Seq, head.Hash)
	} else {
		text += " (not in the action log: " + failure.Error() + ")"
	}
	return hostlog.Send(context.Background(), hostlog.Journal, clean(text), fields)
}

// Bounds of what goes into one line of the log, in words and bytes.
const (
	mostWords = 64
	mostBytes = 512
)

// commandLine is how natwarden was called, without secrets and cut to a size
// that a line of the log holds.
func (a *app) commandLine() []string {
	words := proc.Mask(append([]string{"natwarden"}, a.args...))
	left := len(words) - mostWords
	if left > 0 {
		words = append(words[:mostWords:mostWords], fmt.Sprintf("… and %d more", left))
	}
	for i, w := range words {
		words[i] = shortened(w)
	}
	return words
}

func shortened(text string) string {
	if len(text) <= mostBytes {
		return text
	}
	return strings.ToValidUTF8(text[:mostBytes], "") + "…"
}

// whoWords says who called: "root (uid 0), logged in as alice, at pts/0, from 192.0.2.1:50000".
func whoWords(w *rollback.Who) string {
	parts := []string{fmt.Sprintf("uid %d", w.UID)}
	if w.User != "" {
		parts[0] = fmt.Sprintf("%s (uid %d)", w.User, w.UID)
	}
	if w.LoginUID != nil {
		login := w.LoginUser
		if login == "" {
			login = fmt.Sprintf("uid %d", *w.LoginUID)
		}
		parts = append(parts, "logged in as "+login)
	}
	for _, p := range []struct{ word, value string }{{"sudo of ", w.SudoUser}, {"at ", w.TTY}, {"ssh from ", w.SSH}} {
		if p.value != "" {
			parts = append(parts, p.word+p.value)
		}
	}
	return strings.Join(parts, ", ")
}
