package remediate

import (
	"context"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
)

// Space is a network namespace that may be changed.
type Space struct {
	// Label is the namespace's name in the rows (Redirect.Netns); "" is the one
	// in which natwarden was started.
	Label  string
	Handle netns.Handle
}

// IncludeInactive is the --include kind for inactive and latent redirects.
const IncludeInactive = "inactive"

// IncludeAll is the --include kind that stands for all of them.
const IncludeAll = "all"

// IncludeKinds are the kinds that --include takes, as the contract lists them.
func IncludeKinds() []string {
	return []string{"routes", "bpf", "saved", "processes", "containers", IncludeInactive, IncludeAll}
}

// Options are what the user and the caller say about a run. The zero value
// plans and applies every violation that rules make, without cuts and without
// looking at listeners, in the default state directory.
type Options struct {
	Only         []string // ids of redirects; empty: all
	Include      []string // kinds of IncludeKinds
	Irreversible bool     // go on where the way back cannot be proven
	DryRun       bool     // plan and prove only: no lock, no state directory, nothing written

	// RemoveAtMost is how many redirects may be ended; nil: any number. Lines are
	// the connections that must not be cut. Force names the guards that are to keep quiet.
	RemoveAtMost *int
	Lines        []host.Line
	Force        []string
	Gates        []Gate // guards that ask something else than the plan
	Smoke        Smoke  // what must answer after the change as before
	// Follow says what becomes of the packets of a line in the namespace in which it
	// runs, without the objects that are gone; nil, or an error: it is not known.
	Follow func(ctx context.Context, label string, line *host.Line, gone []host.Ref) (host.Way, error)

	// Rehearse runs the steps and their inverse on a private copy of the rules first.
	// Stage makes one, loaded with the files of the plan's worlds by backend.
	Rehearse bool
	Stage    func(ctx context.Context, host Space, files map[string]map[string][]byte) (*Stage, error)

	// Exactly is a plan that was made before: it is carried out as it stands, or
	// not at all. Only, Include and Irreversible are then its own.
	Exactly      *PlanFile
	PolicySHA256 string // of Policy, to compare with that of the plan
	// PlanFileSHA256 is that of the file of Exactly, for the journal: see Tried.
	PlanFileSHA256 string

	StateDir string           // "" is rollback.DefaultDir
	Version  string           // of natwarden, for manifests
	Policy   []byte           // the policy file's bytes for the snapshot; nil for the built-in one
	Now      func() time.Time // nil is time.Now

	// Full has Rollback restore whole tables from the snapshot of the change. Shown
	// is what a dry run has shown to the user (Result.Shown): where the tables are
	// others by now, nothing is done; nil: nobody was shown anything.
	Full  bool
	Shown map[string]string

	// Backends are the subsystems that Recover may touch; nil: all. With them it is
	// a first pass, as at boot before the network is up: what is not back after it is left to the
	// next Recover.
	Backends []string

	// ConfirmWithin is how long a change waits for Confirm before it is rolled
	// back; 0: it stays. Watchdog then starts what rolls it back when natwarden does not live
	// to see it, before anything is edited; it gets the change's id and the state directory's path.
	ConfirmWithin time.Duration
	Watchdog      func(change, stateDir string) error

	// Log writes down that an action begins, before it changes anything, and gives
	// what writes down how it ended; nil: nobody does. An error keeps a change from beginning.
	// What puts the host back goes on without: the way back must not depend on it.
	Log func(Action) (ended func(*Result, error), err error)

	// Patience is how long to plan, to send and to verify again, each, while others
	// write faster than this run reads and sends; 0: 10 seconds.
	Patience time.Duration
	// Settle is how long to wait after a change before looking whether somebody
	// put it back; 0 does not wait. Alone says whether nobody else lives in the network
	// namespace in which it runs, so that there is nobody to wait for; nil: never.
	Settle time.Duration
	Alone  func(ctx context.Context) bool
	// Witness hears who changes rules in the namespace in which it is called; nil: nobody does.
	Witness func() (Witness, error)

	// Cuts gives the steps that cut the flows which ride the removed redirects.
	// It runs in their network namespace: once for the plan and again after the commit.
	Cuts func(ctx context.Context, removed []host.Redirect) ([]change.Step, error)
	// Listeners reads the listeners of the network namespace in which it runs.
	Listeners func(ctx context.Context) ([]host.Listener, error)
}

// Action is what is about to be done, for the action log.
type Action struct {
	Name       string // remediate, confirm, rollback, recover
	Change     string // id
	Snapshot   string // id
	PlanSHA256 string
}

// log writes down that an action begins. Its answer is never nil.
func (o Options) log(a Action) (ended func(*Result, error), err error) {
	if o.Log != nil {
		ended, err = o.Log(a)
	}
	if ended == nil {
		ended = func(*Result, error) {}
	}
	return ended, err
}

// Resolve opens the network namespace of a label ("" is the one in which
// natwarden was started). Rollback closes what it gives.
type Resolve func(ctx context.Context, label string) (netns.Handle, error)
