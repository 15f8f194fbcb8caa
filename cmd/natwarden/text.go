package main

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
)

// writeReport writes an audit for a person: the verdict, what is not
// authorized and how to end it, what waits for a review, what is allowed and
// by which entry, counts of the rest, and what could not be seen.
func (p *page) writeReport(r *audit.Report, quiet bool) {
	t := tallyOf(r)
	p.verdictLine(r, t)
	if quiet {
		return
	}
	p.doubts(r.Doubts)
	p.scopeLine(r)
	p.redirects("Not authorized", r, host.Violation, p.violation)
	p.listeners("Listeners that are not authorized", r, host.Violation, p.badListener)
	p.redirects("Waiting for a review", r, host.Unreviewed, p.short)
	p.listeners("Listeners waiting for a review", r, host.Unreviewed, p.shortListener)
	p.redirects("Allowed", r, host.Allowed, p.short)
	p.listeners("Listeners that are allowed", r, host.Allowed, p.shortListener)
	p.information(r, t)
	p.blind(r.Blind)
}

// tally counts a report's rows by what they are.
type tally struct {
	redirects, listeners       map[string]int // by verdict
	latent, inactive           int
	badRedirects, badListeners int
}

func tallyOf(r *audit.Report) tally {
	t := tally{redirects: map[string]int{}, listeners: map[string]int{}}
	for i := range r.Redirects {
		t.redirects[r.Redirects[i].Verdict]++
		switch r.Redirects[i].State {
		case host.Latent:
			t.latent++
		case host.Inactive:
			t.inactive++
		}
	}
	for i := range r.Listeners {
		t.listeners[r.Listeners[i].Verdict]++
	}
	t.badRedirects, t.badListeners = t.redirects[host.Violation], t.listeners[host.Violation]
	return t
}

// verdictLine is the answer to the one question, before everything else.
func (p *page) verdictLine(r *audit.Report, t tally) {
	name := r.Host.Name
	switch r.Status {
	case audit.Violations:
		p.paragraph(red, "VIOLATIONS: "+t.bad()+" on "+name+" "+t.areNot()+" authorized"+t.asleep()+".")
	case audit.Compliant:
		p.paragraph(green, "COMPLIANT: nothing on "+name+" answers for another without authorization"+t.asleep()+".")
	default:
		p.paragraph(yellow, "INCOMPLETE: no violation is proven on "+name+", but "+t.open(len(r.Blind))+t.asleep()+".")
	}
}

func (t tally) bad() string {
	var parts []string
	if t.badRedirects > 0 {
		parts = append(parts, count(t.badRedirects, "redirect"))
	}
	if t.badListeners > 0 {
		parts = append(parts, count(t.badListeners, "listener"))
	}
	if parts == nil {
		return "something"
	}
	return list(parts)
}

func (t tally) unreviewed() int { return t.redirects[host.Unreviewed] + t.listeners[host.Unreviewed] }

// open says what keeps a report without a violation from being compliant.
func (t tally) open(blind int) string {
	var parts []string
	if blind > 0 {
		parts = append(parts, count(blind, "thing")+" could not be read or understood")
	}
	if n := t.unreviewed(); n > 0 {
		parts = append(parts, count(n, "finding")+" waiting for a person's review")
	}
	return list(parts)
}

func (t tally) areNot() string {
	if t.badRedirects+t.badListeners == 1 {
		return "is not"
	}
	return "are not"
}

// asleep counts what does nothing today but would after an event or an edit,
// and what nobody has looked at yet.
func (t tally) asleep() string {
	var parts []string
	if t.latent > 0 {
		parts = append(parts, thousands(t.latent)+" latent")
	}
	if t.inactive > 0 {
		parts = append(parts, thousands(t.inactive)+" inactive")
	}
	if n := t.unreviewed(); n > 0 && t.badRedirects+t.badListeners > 0 {
		parts = append(parts, thousands(n)+" waiting for review")
	}
	if parts == nil {
		return ""
	}
	return " (" + list(parts) + ")"
}

// scopeLine says by what was judged and what was looked at: the verdict
// speaks about nothing else.
func (p *page) scopeLine(r *audit.Report) {
	policy := "policy " + r.Policy.Path
	if r.Policy.Path == builtinPolicy {
		policy = "built-in policy: no redirect is authorized, listeners are only listed"
	}
	p.paragraph("", "Judged by the "+policy+".")
	var read, not []string
	for _, s := range r.Scope.Sources {
		switch s.State {
		case host.Read:
			read = append(read, s.Name)
		case host.Absent:
			read = append(read, s.Name+" (not in use)")
		default:
			not = append(not, s.Name+" ("+s.State+")")
		}
	}
	text := "Looked at: " + strings.Join(read, ", ") + "; network namespaces: " + strings.Join(r.Scope.Netns, ", ") + "."
	if not != nil {
		text += " Not looked at: " + strings.Join(not, ", ") + "."
	}
	p.paragraph("", text)
}

// doubts stand under the verdict, because they are about it.
func (p *page) doubts(list []string) {
	if len(list) == 0 {
		return
	}
	text := strings.Join(list[:p.cut(len(list))], "; ")
	if more := len(list) - p.cut(len(list)); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	p.paragraph(yellow, "What could falsify this report: "+text+".")
}

func (p *page) redirects(title string, r *audit.Report, verdict string, show func(*host.Redirect)) {
	n := 0
	for i := range r.Redirects {
		if r.Redirects[i].Verdict != verdict {
			continue
		}
		if n++; n == 1 {
			p.heading(title)
		}
		if p.limit == 0 || n <= p.limit {
			show(&r.Redirects[i])
		}
	}
	p.more(n)
}

func (p *page) listeners(title string, r *audit.Report, verdict string, show func(*host.Listener)) {
	n := 0
	for i := range r.Listeners {
		if r.Listeners[i].Verdict != verdict {
			continue
		}
		if n++; n == 1 {
			p.heading(title)
		}
		if p.limit == 0 || n <= p.limit {
			show(&r.Listeners[i])
		}
	}
	p.more(n)
}

// information counts what is only that; -v lists it.
func (p *page) information(r *audit.Report, t tally) {
	redirects, listeners := t.redirects[host.Info], t.listeners[host.Info]
	if redirects+listeners == 0 {
		return
	}
	if p.limit == 0 {
		p.redirects("For information", r, host.Info, p.short)
		p.listeners("Listeners, for information", r, host.Info, p.shortListener)
		return
	}
	var parts []string
	if redirects > 0 {
		parts = append(parts, count(redirects, "redirect")+" that "+isAre(redirects)+" no finding")
	}
	if listeners > 0 {
		parts = append(parts, count(listeners, "listener"))
	}
	p.blank()
	p.paragraph("", "For information (-v lists them): "+list(parts)+".")
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// blind lists what nobody looked at or understood: none of it is vouched for.
func (p *page) blind(rows []host.Blind) {
	if len(rows) == 0 {
		return
	}
	p.heading("Not read or not understood")
	for _, b := range rows[:p.cut(len(rows))] {
		p.item(fmt.Sprintf("%s: %s: %s", b.Source, b.What, b.Why))
	}
	p.more(len(rows))
}
