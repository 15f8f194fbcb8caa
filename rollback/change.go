package rollback

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
)

// Change is a change as its folder tells it.
type Change struct {
	ID      string
	Plan    Plan
	Entries []Entry
	// Torn is true where the last line of the journal was not completely written:
	// natwarden or the host stopped in that moment. What the line was about may
	// or may not have happened.
	Torn bool

	length int64 // of the journal's good part
	sum    string
}

// lastOf gives the last of the entries that is one of the given events.
func (c *Change) lastOf(events ...string) string {
	for i := len(c.Entries) - 1; i >= 0; i-- {
		if slices.Contains(events, c.Entries[i].Event) {
			return c.Entries[i].Event
		}
	}
	return ""
}

// IsRolledBack says whether the change was undone as a whole.
func (c *Change) IsRolledBack() bool {
	return c.lastOf(Intend, DoneEvent, PartlyBack, RolledBack) == RolledBack
}

// WasVerified says whether the change was once carried out and proven, whatever
// came after.
func (c *Change) WasVerified() bool { return c.lastOf(Verified) == Verified }

// IsVerified says whether the change was carried out and proven.
func (c *Change) IsVerified() bool {
	return c.lastOf(Intend, FailedWith, Verified, PartlyBack, RolledBack) == Verified
}

// Begun gives the groups that may have been edited, with the steps that were
// really sent, and their indices in the plan.
func (c *Change) Begun() (groups []Group, indices []int) {
	latest := map[int]Group{}
	for _, e := range c.Entries {
		if e.Event == Intend {
			latest[e.Group] = c.Plan.Groups[e.Group]
		}
		if (e.Event == Intend || e.Event == DoneEvent) && e.Replaced != nil {
			latest[e.Group] = *e.Replaced
		}
	}
	for i := range c.Plan.Groups {
		if g, ok := latest[i]; ok {
			groups, indices = append(groups, g), append(indices, i)
		}
	}
	return groups, indices
}

// Cuts gives the flows that were cut.
func (c *Change) Cuts() []change.Step {
	var out []change.Step
	for _, e := range c.Entries {
		out = append(out, e.Cut...)
	}
	return out
}

// Newest gives the newest change; none is ErrUnknownID.
func (s *Store) Newest() (*Change, error) {
	ids, err := s.Changes()
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%w: there is no change yet", ErrUnknownID)
	}
	return s.load(ids[len(ids)-1])
}

// Load reads a change by its id or an unambiguous beginning of it. A last line
// that is torn is tolerated and said; any other damage is an error with its place.
func (s *Store) Load(id string) (*Change, error) {
	full, err := complete(s.changes, id, "change")
	if err != nil {
		return nil, err
	}
	if !changeID.MatchString(full) {
		return nil, fmt.Errorf("%w: %q is no change id", ErrUnknownID, full)
	}
	return s.load(full)
}

func (s *Store) load(id string) (*Change, error) {
	d, err := s.changes.sub(id)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	plan, err := d.read(planName, planLimit)
	if err != nil {
		return nil, fmt.Errorf("reading change %s: %w", id, err)
	}
	journal, err := d.read(journalName, planLimit)
	if err != nil {
		return nil, fmt.Errorf("reading change %s: %w", id, err)
	}
	c, err := parseChange(plan, journal)
	if err == nil && c.Plan.Change != id {
		err = fmt.Errorf("its plan is that of change %s", c.Plan.Change)
	}
	if err != nil {
		return nil, fmt.Errorf("reading change %s: %w", id, err)
	}
	c.ID = id
	return c, nil
}

// parseChange joins a plan and its journal.
func parseChange(plan, journal []byte) (*Change, error) {
	c, err := parseJournal(journal)
	if err != nil {
		return nil, err
	}
	if len(c.Entries) == 0 || c.Entries[0].Event != Begin {
		return nil, errors.New("journal: it does not begin with its plan")
	}
	if sum := sha256Hex(plan); sum != c.Entries[0].PlanSHA256 {
		return nil, fmt.Errorf("%s is changed: its SHA-256 is not the one in the journal", planName)
	}
	p, err := ParsePlan(plan)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", planName, err)
	}
	c.Plan = *p
	return c, c.checkGroups()
}

func (c *Change) checkGroups() error {
	for i, e := range c.Entries {
		of := e.Event == Intend || e.Event == DoneEvent || e.Event == Restore || e.Event == PutBack
		if of && (e.Group < 0 || e.Group >= len(c.Plan.Groups)) {
			return fmt.Errorf("journal line %d: the plan has no group %d", i+1, e.Group)
		}
		if e.Replaced != nil {
			if err := e.Replaced.Check(); err != nil {
				return fmt.Errorf("journal line %d: %w", i+1, err)
			}
		}
	}
	return nil
}

// parseJournal reads the lines of a journal and proves their chain.
func parseJournal(data []byte) (*Change, error) {
	c := &Change{}
	for number := 1; len(data) > 0; number++ {
		text, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			c.Torn = true
			return c, nil
		}
		if err := c.take(text, number); err != nil {
			return nil, fmt.Errorf("journal line %d (byte %d): %w", number, c.length, err)
		}
		c.length += int64(len(text)) + 1
		data = rest
	}
	return c, nil
}

func (c *Change) take(text []byte, number int) error {
	var l line
	var e Entry
	if err := strict(text, &l); err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	if l.Seq != number {
		return fmt.Errorf("it calls itself line %d: lines are missing", l.Seq)
	}
	if l.Sum != chain(c.sum, l.Entry) {
		return errors.New("it is changed: its sum does not fit")
	}
	if err := strict(l.Entry, &e); err != nil {
		return fmt.Errorf("its entry is damaged: %w", err)
	}
	c.sum = l.Sum
	c.Entries = append(c.Entries, e)
	return nil
}

// Continue opens the journal of a loaded change to write on. A torn last line
// is cut off. The caller holds the lock.
func (s *Store) Continue(c *Change) (*Journal, error) {
	d, err := s.changes.sub(c.ID)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	f, err := d.open(journalName, unix.O_WRONLY|unix.O_APPEND)
	if err != nil {
		return nil, fmt.Errorf("continuing change %s: %w", c.ID, err)
	}
	if c.Torn { // only then: truncating gives back the room that is claimed
		err = f.Truncate(c.length)
	}
	if err == nil {
		err = claim(f)
	}
	if err != nil && !full(err) { // there may still be room for the lines
		f.Close()
		return nil, fmt.Errorf("continuing change %s: %w%s", c.ID, err, s.hint(err))
	}
	return &Journal{file: f, of: c.ID, seq: len(c.Entries), sum: c.sum, size: c.length}, nil
}
