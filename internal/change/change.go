// Package change is a change of the host as a value: steps with a before and
// an after. Undoing is the same steps inverted; what a dry run prints is what
// apply sends, and the journal is the list of steps.
//
// The package changes nothing itself: editors (internal/nft/edit,
// internal/xtables/edit, internal/flow) carry steps out.
package change

import (
	"context"
	"maps"

	"github.com/natwarden/natwarden/internal/host"
)

// The actions of a step, as the contract names them.
const (
	Delete = "delete"
	Add    = "add"
	Edit   = "edit"
	Cut    = "cut"   // a flow; it cannot be put back
	Stop   = "stop"  // a unit, a container, or else a process
	Start  = "start" // a unit or a container, again
	Detach = "detach"
	Attach = "attach"
	// Restore makes a whole table another one; a nil Before makes it, a nil After takes it away.
	Restore = "restore"
)

// Object is something in the kernel with all that it takes to put it back.
// It is written to plans, snapshots and journals as JSON, raw bytes as base64.
type Object struct {
	Kind        string      `json:"kind"` // rule, element, flow, table
	Netns       string      `json:"netns"`
	Backend     string      `json:"backend"` // nf_tables, x_tables, conntrack
	Family      host.Family `json:"family"`
	Table       string      `json:"table"`
	Chain       string      `json:"chain,omitempty"`
	Set         string      `json:"set,omitempty"`
	Handle      uint64      `json:"handle,omitempty"`
	Fingerprint string      `json:"fingerprint"`
	Text        string      `json:"text"` // in the language of its writer
	// Raw is the object as the kernel gave it: of nf_tables the attributes of the
	// message, of an element its NFTA_LIST_ELEM payload, of x_tables the entry, of a flow its tuple.
	Raw []byte `json:"raw"`
	// Parts belong to the rule and go and come with it: anonymous sets with
	// their elements, anonymous chains with their rules.
	Parts []Part `json:"parts,omitempty"`
	// Names are kernel-side indices in Raw that may differ when it is put back:
	// ipset index (decimal) to set name.
	Names map[string]string `json:"names,omitempty"`
}

// Part is an anonymous set or chain of a rule.
type Part struct {
	Kind     string   `json:"kind"` // set, chain
	Name     string   `json:"name"`
	Raw      []byte   `json:"raw"`      // attributes of its own message
	Elements [][]byte `json:"elements"` // of a set: NFTA_LIST_ELEM payloads; of a chain: attributes of its rules
}

// Place is where a rule stands among the others of its chain, by the
// fingerprints of its neighbours ("" at an end). Index counts from 1.
type Place struct {
	Index int    `json:"index"`
	Prev  string `json:"prev"`
	Next  string `json:"next"`
}

// Step is one change of one object. A nil Before creates, a nil After
// deletes, both edit.
type Step struct {
	IDs        []string `json:"ids"` // of the redirects that it ends
	Why        string   `json:"why"`
	Action     string   `json:"action"`
	Before     *Object  `json:"before"`
	After      *Object  `json:"after"`
	Place      Place    `json:"place"`
	Reversible bool     `json:"reversible"`
	// Manager says in words who made the object and may make it again; "" for nobody known.
	Manager string `json:"manager,omitempty"`
	// SideEffects are what else the step does, in words: legacy commits restart
	// the limit, quota and statistic state of the table's other rules.
	SideEffects []string `json:"side_effects,omitempty"`
}

// Object gives the object of the step: what is there before, or else after.
func (s Step) Object() *Object {
	if s.Before != nil {
		return s.Before
	}
	return s.After
}

// Inverse is the step that undoes s.
func (s Step) Inverse() Step {
	s.Before, s.After = s.After, s.Before
	switch s.Action {
	case Delete:
		s.Action = Add
	case Add:
		s.Action = Delete
	case Stop:
		s.Action = Start
	case Start:
		s.Action = Stop
	case Detach:
		s.Action = Attach
	case Attach:
		s.Action = Detach
	}
	return s
}

// Invert gives the steps that undo the given ones, in the order to run them:
// last first. What is not reversible is left out.
func Invert(steps []Step) []Step {
	out := make([]Step, 0, len(steps))
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Reversible {
			out = append(out, steps[i].Inverse())
		}
	}
	return out
}

// World is a subsystem of one network namespace, read for changing it.
type World struct {
	Backend    string
	Generation uint32 // nf_tables; 0 where the kernel has none
	// Places maps a place to the fingerprints of what stands there, in order:
	// "ip nat PREROUTING" to its rules, "ip nat @web" to the elements of a set
	// (sorted; sets that packets fill are left out), "ip nat" to its chains and sets.
	Places map[string][]string
	// Tables are the kernel's own numbers of the tables ("ip nat"), where it has
	// some: a table that was made anew has another.
	Tables map[string]uint64
	// Files are what a snapshot keeps, by file name: raw bytes and readable text.
	Files map[string][]byte
	// Readable makes the files that only a person reads, for a snapshot; nil for
	// none. It may take as long as decoding everything does.
	Readable func() map[string][]byte
}

// AllFiles are Files and what Readable makes.
func (w *World) AllFiles() map[string][]byte {
	if w.Readable == nil {
		return w.Files
	}
	out := maps.Clone(w.Files)
	maps.Copy(out, w.Readable())
	return out
}

// Refusal says why a redirect cannot be ended in a way that can be taken back.
type Refusal struct {
	Ref host.Ref
	Why string
}

// Editor changes one subsystem. Every method works in the network namespace
// of the calling thread; the caller locks the thread and enters it.
type Editor interface {
	// Backend is the subsystem's name: nf_tables, x_tables, conntrack.
	Backend() string
	// World reads everything that verification compares and snapshots keep.
	World(ctx context.Context) (*World, error)
	// Steps makes the steps that end what refs name. A ref with Set set is ended
	// by taking that element out (of a named set or map by deleting the element; of an anonymous one by
	// replacing the rule with one whose set lacks it); any other by deleting its rule. Several refs may name one
	// rule: one step. A ref whose object is not as it was read (fingerprint) is an ErrStale.
	// IDs, Why of the steps are filled by the caller through ids[i] for refs[i].
	Steps(ctx context.Context, refs []host.Ref, ids []string) ([]Step, []Refusal, error)
	// Check proves, without changing anything, that steps can be applied and
	// that their inverse would be accepted afterwards. It names the steps that fail.
	Check(ctx context.Context, steps []Step) (failed map[int]string, err error)
	// Edit applies steps in one transaction. generation 0 does not guard. An
	// error does not mean that nothing happened: the caller reads again. ErrStale means that nothing did.
	Edit(ctx context.Context, generation uint32, steps []Step) (Outcome, error)
}

// Holder is an Editor whose subsystem has a lock that all take who write it
// (x_tables). While it is held nobody writes between a reading and an edit.
type Holder interface {
	// Hold takes the lock and gives a context by which the methods of the editor know
	// that it is held, and what lets it go. An ErrBusy names who holds it.
	Hold(ctx context.Context) (held context.Context, release func(), err error)
}

// Chaser is an Editor that can ask for single rules by their handles, and so delete
// those that were read in the short moment between two transactions of others, whatever
// these add and take beside them.
type Chaser interface {
	// Chase deletes rules, in one transaction, as long as their tables are those of
	// the given numbers. It tries until it comes through or ctx ends (ErrStale). A rule or
	// table that is not the same any more is an ErrGone, steps that are no deletions of plain
	// rules an ErrStale. Nothing happened then.
	Chase(ctx context.Context, tables map[string]uint64, steps []Step) (Outcome, error)
}

// Seer is an Editor that can tell of an object that no World shows, as a
// process, whether it is there still.
type Seer interface {
	// Stands says whether the object is there, and is the same one.
	Stands(ctx context.Context, o Object) (bool, error)
}

// Outcome is what Edit could not do exactly as asked.
type Outcome struct {
	Notes []string // in words: "counters not restored", "put at the end: its neighbours are gone"
	// Undone are indices of the steps that were not carried out, with the reason.
	Undone map[int]string
}
