package main

import (
	"slices"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/remediate"
)

// telling is how a result is put into words.
type telling struct {
	done    string // heading of what was carried out
	open    string // of what was not, or not yet
	left    string // heading of what remains
	nothing string // the verdict where there was nothing to do

	question string // asked before it is done
}

var (
	remediated = telling{"Done", "Not done", "Left as it is", "NOTHING TO DO: no redirect that may be ended here is unauthorized.", ""}
	planned    = telling{"Done", "To be done", "Would be left as it is", "NOTHING TO DO: no redirect that may be ended here is unauthorized.", ""}
	rolledBack = telling{"Put back, and so open again", "To be put back", "Not put back", "NOTHING TO DO: the newest change is rolled back already, or there is none.", "Put these back?"}
	restored   = telling{"Restored, and so open again", "To be restored", "Not restored", "NOTHING TO DO: the tables are as in the snapshot, or there is no change to roll back.", "Restore these tables, and lose what others changed in them?"}
	recovered  = telling{"Put back as it was before the change", "Not put back", "Not put back", "NOTHING TO RECOVER: no change was interrupted, or what was interrupted had changed nothing.", ""}
)

// finish shows what a change did, and ends the verb with its exit code. An
// error that comes with a result is told after it.
func (a *app) finish(r *remediate.Result, err error, words telling) error {
	if r == nil {
		return err
	}
	if slices.Contains([]string{remediate.Done, remediate.RolledBack, remediate.Failed}, r.Status) {
		a.carried = r.Change
	}
	if a.json() {
		if err := writeJSON(a.out, r); err != nil && a.carried == "" { // else it is told of when the rest is written
			return err
		}
	} else if a.Quiet {
		a.page().resultLine(r, words)
	} else {
		a.page().writeResult(r, words)
	}
	if err != nil {
		a.tell(err)
	}
	a.tellNotes(r)
	return conclude(r.ExitCode)
}

func (a *app) tellNotes(r *remediate.Result) {
	if a.Quiet {
		return
	}
	for _, n := range r.Notes {
		a.note("%s", clean(n))
	}
}

// writeResult writes what remediate or rollback did: the verdict, each step
// with what it did besides, and what is left with the reason.
func (p *page) writeResult(r *remediate.Result, words telling) {
	p.resultLine(r, words)
	p.steps(r.Steps, true, words.done)
	p.steps(r.Steps, false, words.open)
	p.tableDifferences(r.Differences)
	p.tested(r.Smoke)
	if len(r.Left) > 0 {
		p.heading(words.left)
		for _, l := range r.Left[:p.cut(len(r.Left))] {
			p.item(strings.TrimSpace(l.ID + " " + l.Why))
		}
		p.more(len(r.Left))
	}
	p.blind(r.Blind)
}

func (p *page) resultLine(r *remediate.Result, words telling) {
	switch r.Status {
	case remediate.Done:
		text := "DONE: " + count(len(r.Steps), "step") + " carried out and verified"
		if r.Change != "" {
			text += ", change " + r.Change
		}
		if len(r.Left) > 0 {
			p.paragraph(yellow, text+"; "+count(len(r.Left), "redirect")+" left.")
			return
		}
		p.paragraph(green, text+".")
	case remediate.Nothing:
		text := words.nothing
		if len(r.Left) > 0 {
			p.paragraph(yellow, "NOTHING DONE: "+count(len(r.Left), "redirect")+" left.")
			return
		}
		if len(r.Blind) > 0 {
			p.paragraph(yellow, "NOTHING DONE: "+count(len(r.Blind), "thing")+" could not be read or understood, and what could holds nothing to end here.")
			return
		}
		p.paragraph(green, text)
	case remediate.Pending:
		if r.Until != nil {
			p.paragraph(yellow, "PENDING: change "+r.Change+" is done and verified; it is rolled back at "+
				r.Until.Format(time.RFC3339)+" unless natwarden confirm comes first.")
			return
		}
		p.paragraph(yellow, "PLAN: "+count(len(r.Steps), "step")+" to be carried out. Nothing was changed.")
	case remediate.RolledBack:
		text := "ROLLED BACK: it failed, and everything that was changed is put back."
		if r.ExitCode == exitExpired {
			text = "ROLLED BACK: change " + r.Change + " was not confirmed in time; everything that it changed is put back."
		}
		p.paragraph(red, text)
	case remediate.Refused:
		p.paragraph(red, "REFUSED: nothing was changed.")
	default:
		p.paragraph(red, "FAILED: see the message for how the host stands.")
	}
}

// tableDifferences lists what a full rollback takes away, all of it, and then what
// it brings back.
func (p *page) tableDifferences(all []remediate.Difference) {
	var goes, comes []remediate.Difference
	for _, d := range all {
		if d.Kind == change.Added {
			comes = append(comes, d)
		} else {
			goes = append(goes, d)
		}
	}
	whole := *p
	whole.limit = 0
	whole.differences(goes)
	p.differences(comes)
}

// steps lists the steps that are done, or those that are not.
func (p *page) steps(all []remediate.Step, done bool, title string) {
	n := 0
	for i := range all {
		if all[i].Done != done {
			continue
		}
		if n++; n == 1 {
			p.heading(title)
		}
		if p.limit == 0 || n <= p.limit {
			p.step(&all[i])
		}
	}
	p.more(n)
}

func (p *page) step(s *remediate.Step) {
	p.item(s.Action + " " + s.Object)
	p.field("before", s.Before)
	p.field("after", s.After)
	if s.Action != change.Add { // the reason was one for taking it away
		p.field("why", s.Why)
	}
	p.field("manager", s.Manager)
	p.field("besides", strings.Join(s.SideEffects, "; "))
	if !s.Reversible {
		p.field("caution", "this step cannot be taken back")
	}
}

// tested lists the smoke tests with what they answered, or those that would be asked.
func (p *page) tested(all []remediate.Tested) {
	if len(all) == 0 {
		return
	}
	p.heading("Smoke tests")
	for i := range all {
		t := &all[i]
		text := t.ID
		if t.Before != "" {
			text += " before: " + t.Before
		}
		if t.After != "" {
			text += " after: " + t.After
		}
		p.item(text)
		p.field("test", t.Test)
	}
}
