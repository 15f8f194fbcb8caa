package rollback

import (
	"fmt"
	"slices"
)

// Tried gives the change that carried out a plan file, by its SHA-256, or that
// began to; "" for none. Only journals are read: plans may be large.
func (s *Store) Tried(planFile string) (change string, err error) {
	ids, err := s.Changes()
	if err != nil {
		return "", err
	}
	for _, id := range slices.Backward(ids) {
		entries, err := s.entries(id)
		if err != nil {
			return "", fmt.Errorf("reading change %s: %w", id, err)
		}
		if slices.ContainsFunc(entries, func(e Entry) bool { return e.PlanFile == planFile }) {
			return id, nil
		}
	}
	return "", nil
}

// entries reads the journal of a change alone.
func (s *Store) entries(id string) ([]Entry, error) {
	d, err := s.changes.sub(id)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	data, err := d.read(journalName, planLimit)
	if err != nil {
		return nil, err
	}
	c, err := parseJournal(data)
	if err != nil {
		return nil, err
	}
	return c.Entries, nil
}
