package policy

import (
	"fmt"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// JudgeRedirect says what the policy says of a redirect: the verdict (a
// host.Allowed, Violation, Info or Unreviewed), the id of the entry that allows
// it, else "", and a note for a person: which entry waits or has expired. It is
// pure and may be called from several goroutines.
func (p *Policy) JudgeRedirect(r *host.Redirect, now time.Time) (verdict, allowedBy, note string) {
	e := extentOf(r)
	found := newFound(now)
	p.candidates(r, &e, func(i int) {
		if entry := &p.Redirects[i]; found.wants(i, &entry.Entry) && entry.Match.contains(r, &e) {
			found.take(i, &entry.Entry)
		}
	})
	return found.verdict(p.usualRedirect(r))
}

// JudgeListener says what the policy says of a listener; as JudgeRedirect.
func (p *Policy) JudgeListener(l *host.Listener, now time.Time) (verdict, allowedBy, note string) {
	bound := boundTo(l)
	found := newFound(now)
	for i := range p.Listeners {
		if entry := &p.Listeners[i]; found.wants(i, &entry.Entry) && entry.Match.contains(l, bound) {
			found.take(i, &entry.Entry)
		}
	}
	return found.verdict(p.usualListener(l))
}

// usualRedirect is the verdict where no entry names the redirect.
func (p *Policy) usualRedirect(r *host.Redirect) string {
	switch {
	case r.Info, r.State == host.Inactive:
		return host.Info
	case r.State == host.Latent && p.Defaults.Latent != Deny:
		return host.Info
	case p.Defaults.Redirects == Report:
		return host.Info
	}
	return host.Violation
}

func (p *Policy) usualListener(l *host.Listener) string {
	if p.Defaults.Listeners != Deny || boundTo(l).IsLoopback() {
		return host.Info
	}
	return host.Violation
}

// standing is what an entry that contains a row says of it.
type standing uint8

const (
	allows standing = iota
	waits           // review: pending
	expired
)

// found keeps the first entry of each standing, in the order of the file.
type found struct {
	now   time.Time
	some  bool
	first [3]int
	entry [3]*Entry
}

func newFound(now time.Time) *found { return &found{now: now} }

func (f *found) standing(e *Entry) standing {
	switch {
	case e.Review != "":
		return waits
	case e.Expired(f.now):
		return expired
	}
	return allows
}

// wants says whether the entry could still decide, so that the sets of one
// that cannot are not compared.
func (f *found) wants(i int, e *Entry) bool {
	if !f.some {
		return true
	}
	s := f.standing(e)
	return f.entry[s] == nil || i < f.first[s]
}

func (f *found) take(i int, e *Entry) {
	s := f.standing(e)
	f.some, f.first[s], f.entry[s] = true, i, e
}

func (f *found) verdict(usual string) (verdict, allowedBy, note string) {
	if e := f.entry[allows]; e != nil {
		return host.Allowed, e.ID, ""
	}
	if e := f.entry[waits]; e != nil {
		return host.Unreviewed, "", f.waiting(e)
	}
	if e := f.entry[expired]; e != nil {
		return usual, "", fmt.Sprintf("entry %s expired on %s", e.ID, e.Until())
	}
	return usual, "", ""
}

// waiting: an entry that was never reviewed does not become a violation by
// time alone, so that no timer removes what nobody has looked at; it says so.
func (f *found) waiting(e *Entry) string {
	note := fmt.Sprintf("entry %s waits for review", e.ID)
	if e.Expired(f.now) {
		note += fmt.Sprintf(", and expired on %s", e.Until())
	}
	return note
}
