package rollback

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/natwarden/natwarden/internal/change"
)

const (
	planForm  = 1
	planName  = "plan.json"
	planLimit = 1 << 30 // bytes
)

// Plan is what a change sets out to do, as it stands in plan.json.
type Plan struct {
	SchemaVersion int     `json:"schema_version"`
	Change        string  `json:"change"`
	Origin        Origin  `json:"origin"`
	Snapshot      string  `json:"snapshot"`
	Groups        []Group `json:"groups"`
	// Restores is the change that this one takes back by restoring whole tables;
	// "" of any other change.
	Restores string `json:"restores,omitempty"`
}

// Group are the steps of one transaction: one subsystem of one network namespace.
type Group struct {
	Netns      string        `json:"netns"` // label
	Backend    string        `json:"backend"`
	Generation uint32        `json:"generation"`
	Steps      []change.Step `json:"steps"`
	// Before are the fingerprints that stood at the places of the steps
	// (change.World.Places), so that it can be told later what is missing.
	Before map[string][]string `json:"before"`
}

var changeID = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}$`)

// changeTime is the layout of the time in a change's id; each is as long.
const changeTime = "20060102T150405Z"

// NewChangeID makes an id that sorts behind all that are in the store, also
// when the clock was set back: the newest change is the last one.
func (s *Store) NewChangeID(now time.Time) (string, error) {
	ids, err := s.Changes()
	if err != nil {
		return "", err
	}
	now = now.UTC().Truncate(time.Second)
	if len(ids) > 0 {
		last, err := time.Parse(changeTime, ids[len(ids)-1][:len("20060102T150405Z")])
		if err == nil && !now.After(last) {
			now = last.Add(time.Second)
		}
	}
	tail := make([]byte, 2)
	_, _ = rand.Read(tail) // never fails (crypto/rand)
	return now.Format(changeTime) + "-" + hex.EncodeToString(tail), nil
}

// Changes lists the ids of all changes, oldest first.
func (s *Store) Changes() ([]string, error) {
	names, err := s.changes.names()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(n string) bool { return !changeID.MatchString(n) }), nil
}

func marshalPlan(p Plan) ([]byte, error) {
	p.SchemaVersion = planForm
	if p.Groups == nil {
		p.Groups = []Group{}
	}
	data, err := json.MarshalIndent(p, "", " ")
	return append(data, '\n'), err
}

// SHA256 is the hash of the plan as it will stand in plan.json.
func (p Plan) SHA256() (string, error) {
	data, err := marshalPlan(p)
	return sha256Hex(data), err
}

// ParsePlan reads a plan strictly.
func ParsePlan(data []byte) (*Plan, error) {
	var p Plan
	if err := strict(data, &p); err != nil {
		return nil, err
	}
	if p.SchemaVersion != planForm {
		return nil, fmt.Errorf("its form is %d, this natwarden knows %d", p.SchemaVersion, planForm)
	}
	if !changeID.MatchString(p.Change) {
		return nil, fmt.Errorf("%q is no change id", p.Change)
	}
	for i, g := range p.Groups {
		if err := g.Check(); err != nil {
			return nil, fmt.Errorf("group %d: %w", i, err)
		}
	}
	return &p, nil
}

func actions() []string {
	return []string{change.Delete, change.Add, change.Edit, change.Cut, change.Stop, change.Start, change.Detach, change.Attach, change.Restore}
}

// Check says what a group lacks that carrying it out needs.
func (g Group) Check() error {
	if g.Backend == "" {
		return errors.New("it names no backend")
	}
	for i, s := range g.Steps {
		if s.Object() == nil {
			return fmt.Errorf("step %d has neither before nor after", i)
		}
		if !slices.Contains(actions(), s.Action) {
			return fmt.Errorf("step %d has the unknown action %q", i, s.Action)
		}
		if s.Action == change.Delete && s.Before == nil || s.Action == change.Add && s.After == nil ||
			s.Action == change.Edit && (s.Before == nil || s.After == nil) {
			return fmt.Errorf("step %d lacks what its action %q needs", i, s.Action)
		}
	}
	return nil
}
