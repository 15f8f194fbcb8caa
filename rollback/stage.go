package rollback

import (
	"errors"
	"fmt"
	"time"
)

// Stage is how far a change came, as its journal tells it. What really
// happened to the host only the host can say.
type Stage string

// The stages of a change.
const (
	Ended    Stage = "ended"     // verified and kept, or undone: nobody has to do anything
	Halfway  Stage = "halfway"   // natwarden stopped before the change was verified
	Waiting  Stage = "waiting"   // verified, and to be undone unless it is confirmed in time
	HalfBack Stage = "half-back" // natwarden stopped while it was undoing the change
)

// Stage reads the last line of the journal: every event leaves the change in
// one stage, whatever came before.
func (c *Change) Stage() Stage {
	last := c.Entries[len(c.Entries)-1]
	switch last.Event {
	case Verified:
		if last.Wait != nil {
			return Waiting
		}
		return Ended
	case Confirmed, PartlyBack, RolledBack:
		return Ended
	case Restore, PutBack:
		return HalfBack
	}
	return Halfway
}

// Unfinished gives the changes that did not come to an end, newest first.
// Whether one is still at work only the lock can tell: the caller holds it, or
// says so. A damaged change is an error: what it did to the host is not known.
func (s *Store) Unfinished() ([]*Change, error) {
	ids, err := s.Changes()
	if err != nil {
		return nil, err
	}
	var out []*Change
	var damaged []error
	for i := len(ids) - 1; i >= 0; i-- {
		c, err := s.stand(ids[i])
		if err != nil {
			damaged = append(damaged, fmt.Errorf("%w; look at the host, then move the folder %s/%s/%s away", err, s.Path(), changesDir, ids[i]))
			continue
		}
		if c.Stage() != Ended {
			out = append(out, c)
		}
	}
	return out, errors.Join(damaged...)
}

// stand reads a change as far as it takes to know its stage: of one that ended
// the journal alone.
func (s *Store) stand(id string) (*Change, error) {
	d, err := s.changes.sub(id)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	data, err := d.read(journalName, planLimit)
	if err != nil {
		return nil, fmt.Errorf("reading change %s: %w", id, err)
	}
	c, err := parseJournal(data)
	if err == nil && len(c.Entries) > 0 && c.Stage() == Ended {
		return c, nil
	}
	return s.load(id)
}

// Began is when the change was begun.
func (c *Change) Began() time.Time { return c.Entries[0].Time }

// IsConfirmed says whether somebody confirmed the change and it stands.
func (c *Change) IsConfirmed() bool {
	return c.lastOf(Intend, Confirmed, Restore, RolledBack) == Confirmed
}
