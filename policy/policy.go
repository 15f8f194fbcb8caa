package policy

import (
	"fmt"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// Policy is a policy file that was understood.
type Policy struct {
	Path      string // as it was given; "builtin" for the built-in policy
	SHA256    string // of Source in hex; "" for the built-in policy
	Source    []byte // the file as it was read; nil for the built-in policy
	Defaults  Defaults
	Limits    Limits
	Change    Change
	Smoke     []host.Probe  // what must answer after a change as before
	Closed    []host.Closed // what nobody may answer after a change
	Redirects []RedirectEntry
	Listeners []ListenerEntry

	index *index // of Redirects; nil: all are candidates
}

// The values of a default: what becomes of a row that no entry names.
const (
	Deny   = "deny"
	Report = "report"
)

// Defaults say what becomes of rows that no entry names; Deny or Report.
type Defaults struct {
	Redirects string
	Listeners string
	Latent    string
}

// Entry is what every entry of the allowlist says beside its match.
type Entry struct {
	ID          string
	Reason      string
	Owner       string
	Expires     time.Time // 00:00 UTC of the last day; zero where Permanent
	Permanent   bool
	Reviewed    time.Time // zero: never
	ReviewEvery Period    // zero: not asked for
	Controls    []string
	Review      string // "pending" or ""
	Words       string // the match as it was written, in one line
	Line        int    // of the file
}

// Pending is the value of review that policy init writes: the entry allows
// nothing until a person has removed the line.
const Pending = "pending"

// RedirectEntry allows redirects.
type RedirectEntry struct {
	Entry
	Match RedirectMatch
}

// ListenerEntry allows listeners.
type ListenerEntry struct {
	Entry
	Match ListenerMatch
}

// BuiltinPath is the Path of the built-in policy and its name on the command line.
const BuiltinPath = "builtin"

// Builtin is the policy where none is given: no redirect is authorized,
// listeners are only listed.
func Builtin() *Policy { return &Policy{Path: BuiltinPath, Defaults: usualDefaults()} }

func usualDefaults() Defaults {
	return Defaults{Redirects: Deny, Listeners: Report, Latent: Report}
}

const day = "2006-01-02"

// Until is the last day of the entry ("2027-03-31"), or "permanent".
func (e *Entry) Until() string {
	if e.Permanent {
		return "permanent"
	}
	return e.Expires.Format(day)
}

// Expired says whether the last day of the entry is over, in UTC.
func (e *Entry) Expired(now time.Time) bool {
	return !e.Permanent && !now.Before(e.Expires.AddDate(0, 0, 1))
}

// Period is how often an entry is to be reviewed.
type Period struct {
	N    int
	Unit byte // 'd' days, 'w' weeks, 'm' months, 'y' years of the calendar
}

// After gives the time one period later.
func (p Period) After(t time.Time) time.Time {
	switch p.Unit {
	case 'w':
		return t.AddDate(0, 0, 7*p.N)
	case 'm':
		return t.AddDate(0, p.N, 0)
	case 'y':
		return t.AddDate(p.N, 0, 0)
	}
	return t.AddDate(0, 0, p.N)
}

// String writes the period as the file does: "31d", "6m"; "" for none.
func (p Period) String() string {
	if p.N == 0 {
		return ""
	}
	return fmt.Sprintf("%d%c", p.N, p.Unit)
}
