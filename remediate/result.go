package remediate

import (
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
)

// Result is the answer of remediate and rollback: the document of
// `-o json` (docs/json.md). Its lists are never nil.
type Result struct {
	SchemaVersion int          `json:"schema_version"`
	Status        string       `json:"status"`
	ExitCode      int          `json:"exit_code"`
	Change        string       `json:"change"`
	Snapshot      string       `json:"snapshot"`
	Steps         []Step       `json:"steps"`
	Left          []Left       `json:"left"`
	Blind         []host.Blind `json:"blind"`

	// Smoke are the smoke tests, where the policy has some.
	Smoke []Tested `json:"smoke,omitempty"`

	// Until is when a change that waits for its confirmation is rolled back.
	Until *time.Time `json:"until,omitempty"`

	// Rehearsal is what became of --rehearse; nil where there was none.
	Rehearsal *Rehearsal `json:"rehearsal,omitempty"`

	// Notes are for the person at the terminal: what a step does besides, what
	// could not be done exactly as asked.
	Notes []string `json:"-"`

	// Guards are why guards refuse the plan; of a dry run, why they would.
	Guards []Guarded `json:"guards,omitempty"`

	// Restores is the change that a full rollback takes back by one of its own, and
	// Differences what the tables hold otherwise than its snapshot: Removed is what
	// goes, Added what comes back.
	Restores    string       `json:"restores,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
	// Shown tells apart what was shown of the tables: see Options.
	Shown map[string]string `json:"-"`

	plan *plan // of a dry run
}

// Difference is something that a full rollback takes away, brings back or moves.
type Difference struct {
	Netns   string `json:"netns"`
	Backend string `json:"backend"`
	change.Difference
}

// Step is one change as it is shown.
type Step struct {
	IDs        []string `json:"ids"`
	Action     string   `json:"action"`
	Object     string   `json:"object"` // "ip nat PREROUTING handle 7", "legacy ip nat PREROUTING 3"
	Before     string   `json:"before"`
	After      string   `json:"after"`
	Reversible bool     `json:"reversible"`
	Done       bool     `json:"done"`
	// Manager says who made the object and may make it again; absent where nobody is known.
	Manager string `json:"manager,omitempty"`

	// Why and SideEffects are for the text output.
	Why         string   `json:"-"`
	SideEffects []string `json:"-"`
}

// Left is a redirect that remains, or of a rollback something that could not
// be put back; of those the id may be empty.
type Left struct {
	ID  string `json:"id"`
	Why string `json:"why"`
}

// The statuses of a result.
const (
	Done       = "done"        // carried out and verified
	Nothing    = "nothing"     // there was nothing to do
	RolledBack = "rolled-back" // it failed, and the host is as it was
	Failed     = "failed"
	Refused    = "refused" // before any change
	Pending    = "pending" // of a dry run: there is something to do; else: done, and to be confirmed
)

// The exit codes that results carry (docs/exit-codes.md).
const (
	exitOK         = 0
	exitError      = 1
	exitViolations = 2
	exitIncomplete = 3
	exitRolledBack = 4
	exitHalf       = 5
	exitExpired    = 6
	exitRefused    = 7
	exitBusy       = 75
	exitPrivilege  = 77
)
