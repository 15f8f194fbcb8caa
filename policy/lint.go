package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// The levels of a finding: a warning wants a hand now, a note some day.
const (
	Warning = "warning"
	Note    = "note"
)

// Finding is something about an entry that wants a person's attention.
type Finding struct {
	Level string
	ID    string // of the entry
	Line  int    // of the entry
	Text  string
}

// expiringSoon is how long before its end an entry is told of.
const expiringSoon = 14 * 24 * time.Hour

// Lint tells expired, expiring, pending, due, overlapping and unused entries,
// in the order of the file. used holds the ids of the entries that allowed
// something in the last audit; nil where that is not known.
func Lint(p *Policy, used map[string]bool, now time.Time) []Finding {
	l := linter{now: now, used: used}
	for i := range p.Redirects {
		l.entry(&p.Redirects[i].Entry)
	}
	for i := range p.Listeners {
		l.entry(&p.Listeners[i].Entry)
	}
	overlaps(&l, p.Redirects, func(e *RedirectEntry) *Entry { return &e.Entry },
		func(a, b *RedirectEntry) bool { return a.Match.covers(&b.Match) })
	overlaps(&l, p.Listeners, func(e *ListenerEntry) *Entry { return &e.Entry },
		func(a, b *ListenerEntry) bool { return a.Match.covers(&b.Match) })
	l.windows(p.Change.Windows)
	slices.SortStableFunc(l.findings, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	return l.findings
}

type linter struct {
	now      time.Time
	used     map[string]bool
	findings []Finding
}

func (l *linter) add(level string, e *Entry, format string, args ...any) {
	l.findings = append(l.findings, Finding{level, e.ID, e.Line, fmt.Sprintf(format, args...)})
}

func (l *linter) entry(e *Entry) {
	switch {
	case e.Expired(l.now):
		l.add(Warning, e, "expired on %s: it allows nothing", e.Until())
	case !e.Permanent && e.Expired(l.now.Add(expiringSoon)):
		l.add(Note, e, "expires on %s", e.Until())
	}
	if e.Review != "" {
		l.add(Warning, e, "waits for review: it allows nothing until the line review: %s is removed", e.Review)
	}
	l.review(e)
	if l.used != nil && !l.used[e.ID] && e.Review == "" && !e.Expired(l.now) {
		l.add(Note, e, "allowed nothing in the last audit")
	}
}

func (l *linter) review(e *Entry) {
	if e.Reviewed.After(l.now) {
		l.add(Warning, e, "was reviewed on %s, which is to come", e.Reviewed.Format(day))
	}
	if e.ReviewEvery.N == 0 {
		return
	}
	if due := e.ReviewEvery.After(e.Reviewed); !l.now.Before(due) {
		l.add(Warning, e, "was due for review on %s (reviewed %s, every %s)", due.Format(day), e.Reviewed.Format(day), e.ReviewEvery)
	}
}

// overlaps tells of each entry the first other one that contains it. Of two
// that are equal the later one is told. Expired entries are told of already.
func overlaps[T any](l *linter, entries []T, entry func(*T) *Entry, covers func(a, b *T) bool) {
	for i := range entries {
		inner := entry(&entries[i])
		for j := range entries {
			outer := entry(&entries[j])
			if i == j || inner.Expired(l.now) || outer.Expired(l.now) || !covers(&entries[j], &entries[i]) {
				continue
			}
			if j > i && covers(&entries[i], &entries[j]) {
				continue
			}
			l.add(Note, inner, "lies inside entry %s (line %d)", outer.ID, outer.Line)
			break
		}
	}
}
