package audit

import (
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

// SchemaVersion is the version of the JSON that Report is written as.
const SchemaVersion = 1

// The verdicts of a whole report.
const (
	Compliant  = "compliant"
	Violations = "violations"
	Incomplete = "incomplete"
)

// The exit codes that go with them.
const (
	ExitCompliant  = 0
	ExitViolations = 2
	ExitIncomplete = 3
)

// Report is what an audit found, in the form of the contract's `audit -o json`.
type Report struct {
	SchemaVersion  int             `json:"schema_version"`
	Tool           Tool            `json:"tool"`
	Status         string          `json:"status"`
	ExitCode       int             `json:"exit_code"`
	TakenAt        time.Time       `json:"taken_at"`
	Host           Host            `json:"host"`
	Policy         PolicyRef       `json:"policy"`
	Scope          Scope           `json:"scope"`
	Redirects      []host.Redirect `json:"redirects"`
	Listeners      []host.Listener `json:"listeners"`
	Ports          []PortRow       `json:"ports"`
	ExceptionsUsed []Exception     `json:"exceptions_used"`
	Blind          []host.Blind    `json:"blind"`
	// Doubts are what could falsify the report, in words: they change no verdict.
	Doubts []string `json:"doubts"`
}

// Tool says which natwarden made the report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
}

// Host says which machine the report is about.
type Host struct {
	Name   string `json:"name"`
	Kernel string `json:"kernel"`
	BootID string `json:"boot_id"`
}

// PolicyRef says by which policy was judged; path "builtin" is the built-in one.
type PolicyRef struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Scope is what "compliant" speaks about.
type Scope struct {
	Netns        []string           `json:"netns"`
	PIDNamespace string             `json:"pid_namespace"`
	Root         string             `json:"root"`
	Sources      []host.SourceState `json:"sources"`
}

// PortRow says who answers on ports of one protocol and family.
type PortRow struct {
	Proto      string      `json:"proto"`
	Family     host.Family `json:"family"`
	Address    string      `json:"address"`
	Ports      string      `json:"ports"`
	Condition  string      `json:"condition"`
	AnsweredBy []string    `json:"answered_by"`
	Redirects  []string    `json:"redirects"`
	Netns      string      `json:"netns,omitempty"`
	// Reason says why nobody answers.
	Reason string `json:"reason,omitempty"`
}

// Exception is a policy entry that allowed something in this report.
type Exception struct {
	ID      string `json:"id"`
	Reason  string `json:"reason"`
	Owner   string `json:"owner"`
	Expires string `json:"expires"` // YYYY-MM-DD, "" for a permanent one
}
