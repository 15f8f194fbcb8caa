package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/rollback"
)

func newLog(a *app) *cobra.Command {
	var verify bool
	var holds string
	cmd := &cobra.Command{
		Use:   "log",
		Short: "show who changed what with natwarden, and whether that list is whole",
		Long: "Shows the actions that changed this host or the state directory, the newest last:\n" +
			"who, with which command, which change, and how it ended. Every line carries the\n" +
			"hash of the one before it; a line that was changed, lost or moved is named.\n\n" +
			"--verify shows only that, and the hash of the last line. That no last lines are gone\n" +
			"is proven by actions.head beside the log; what neither can show is that root wrote\n" +
			"both anew. So keep the hash elsewhere, and ask with --holds HASH whether it is still\n" +
			"that log. journald and syslog have every hash, too (NATWARDEN_HASH)." +
			exitStatus(map[int]string{exitOK: "every line follows the one before it", exitViolations: "lines were changed, lost or moved", exitError: "an error"},
				exitOK, exitError, exitViolations, exitUsage),
		Example: "  natwarden log\n  natwarden log --verify\n  natwarden log --verify --holds 4fd1…\n  journalctl -t natwarden -o json-pretty",
		Args:    noArgs,
		RunE:    func(*cobra.Command, []string) error { return runLog(a, verify, strings.TrimSpace(holds)) },
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "only prove that the list is whole")
	cmd.Flags().StringVar(&holds, "holds", "", "the hash of a line, from a copy elsewhere, that must be in the list")
	return cmd
}

// hashPattern is a SHA-256 as a line of the log and the journal have it.
var hashPattern = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)

func runLog(a *app, verify bool, holds string) error {
	if holds != "" && !hashPattern.MatchString(holds) {
		return usage("it is the 64 digits that natwarden log --verify prints, and journald has as NATWARDEN_HASH", "--holds %q is no hash of a line", holds)
	}
	log := rollback.ParseLog(nil)
	store, err := rollback.Open(a.StateDir)
	switch {
	case errors.Is(err, rollback.ErrNoState):
		err = nil // nothing was ever done: an empty log, and nothing is made for it
	case err == nil:
		defer store.Close()
		log, err = store.ReadLog()
	}
	if err != nil {
		return err
	}
	if holds != "" && !log.Holds(holds) {
		log.Faults = append(log.Faults, rollback.LogFault{Why: "no line has the hash " + holds + ": the log was cut off or written anew since, or is another one"})
	}
	code := exitOK
	if len(log.Faults) > 0 {
		code = exitViolations
	}
	if a.json() {
		err = a.writeLogJSON(log, code, verify)
	} else {
		p := a.page()
		if !verify {
			p.actions(log)
		}
		p.logVerdict(log, verify)
		if holds != "" && log.Holds(holds) {
			p.field("holds", holds)
		}
	}
	return errors.Join(err, conclude(code))
}

// loggedLine is a line in the JSON: where it stands, and what it says.
type loggedLine struct {
	Seq  int    `json:"seq"`
	Hash string `json:"hash"`
	rollback.Action
}

func (a *app) writeLogJSON(log *rollback.Log, code int, verify bool) error {
	lines := []loggedLine{}
	for _, l := range log.Lines {
		if !verify {
			lines = append(lines, loggedLine{l.Seq, l.Hash, l.Action})
		}
	}
	return writeJSON(a.out, struct {
		SchemaVersion int                 `json:"schema_version"`
		ExitCode      int                 `json:"exit_code"`
		Head          rollback.Head       `json:"head"`
		Anchor        rollback.Head       `json:"anchor"`
		TornBytes     int                 `json:"torn_bytes"`
		Faults        []rollback.LogFault `json:"faults"`
		Lines         []loggedLine        `json:"lines"`
	}{audit.SchemaVersion, code, log.Head, log.Anchor, log.Torn, log.Faults, lines})
}

// logVerdict says whether the log is whole, and what that proves.
func (p *page) logVerdict(log *rollback.Log, verify bool) {
	switch {
	case len(log.Faults) > 0:
		p.paragraph(red, "CHANGED: the action log is not as it was written.")
	case log.Head.Seq == 0:
		p.paragraph(green, "No action yet.")
	case verify:
		p.paragraph(green, "WHOLE: "+count(log.Head.Seq, "line")+", each follows the one before it.")
	}
	for _, f := range log.Faults[:p.cut(len(log.Faults))] {
		if f.Line == 0 {
			p.item(f.Why)
			continue
		}
		p.item(fmt.Sprintf("line %d: %s", f.Line, f.Why))
	}
	p.more(len(log.Faults))
	if log.Torn > 0 {
		p.paragraph(yellow, fmt.Sprintf("The last line was not written whole (%s): natwarden or the host stopped in that moment, or an action is just being written. The next action cuts it off and says so.", count(log.Torn, "byte")))
	}
	if verify && log.Head.Seq > 0 {
		p.field("head", fmt.Sprintf("line %d", log.Head.Seq))
		p.field("hash", log.Head.Hash)
		p.field("unproven", unprovenWords(log))
	}
}

// unprovenWords says what a whole chain does not show.
func unprovenWords(log *rollback.Log) string {
	anew := "that nobody with root's rights wrote it all anew: compare the head with another copy (journalctl -t natwarden, log --holds HASH)"
	if log.Anchor.Seq < log.Head.Seq && len(log.Faults) == 0 {
		return fmt.Sprintf("that no last lines are gone (actions.head knows of line %d), and %s", log.Anchor.Seq, anew)
	}
	return anew
}

// actions lists what was done, newest last.
func (p *page) actions(log *rollback.Log) {
	ends := map[int][]rollback.LogLine{}
	var shown []rollback.LogLine
	for _, l := range log.Lines {
		if l.Event == rollback.LogEnd {
			ends[l.Of] = append(ends[l.Of], l)
			continue
		}
		shown = append(shown, l)
	}
	if left := len(shown) - p.cut(len(shown)); left > 0 {
		p.line(p.painted(faint, "  … "+thousands(left)+" before these (-v shows all)"))
		shown = shown[left:]
	}
	for _, l := range shown {
		p.action(l, ends[l.Seq])
	}
}

func (p *page) action(l rollback.LogLine, ends []rollback.LogLine) {
	when := l.Time.Format(time.RFC3339)
	if l.Event != rollback.LogBegin {
		p.item(when + "  " + strings.TrimSpace("log "+l.Event+" "+l.Change+" "+l.Why))
		return
	}
	p.item(strings.TrimSpace(when + "  " + l.Action.Action + " " + l.Change))
	if l.Who != nil {
		p.field("who", whoWords(l.Who))
	}
	p.field("command", strings.Join(l.Command, " "))
	p.field("approved", strings.Join(l.Approved, "; "))
	if len(ends) == 0 {
		p.field("result", "no end was written: it is at work, or natwarden or the host stopped; the journal of the change tells more")
	}
	for _, e := range ends {
		result := e.Status
		if e.ExitCode != nil {
			result += fmt.Sprintf(", exit code %d", *e.ExitCode)
		}
		p.field("result", strings.TrimSuffix(result+": "+e.Why, ": "))
	}
}
