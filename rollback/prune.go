package rollback

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// Keep says which snapshots stay: the newest Newest of them, and those that are
// younger than Younger. A negative number and a zero duration keep none by that.
type Keep struct {
	Newest  int
	Younger time.Duration
}

// DefaultKeep is what stays unless the user says otherwise.
func DefaultKeep() Keep { return Keep{Newest: 50, Younger: 30 * 24 * time.Hour} }

// Pruned is what became of one snapshot.
type Pruned struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	// Kept says why it stays; "" where it goes.
	Kept string `json:"kept,omitempty"`
}

// Prunable tells of each snapshot, oldest first, whether it goes. One whose
// manifest is damaged stays: how old it is is not known, and somebody is to look at it. So does
// one of a change that is not finished, waits, or is the newest and not rolled back, and all
// of them where a change cannot be read.
func (s *Store) Prunable(k Keep, now time.Time) ([]Pruned, error) {
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	needed, err := s.needed()
	if err != nil {
		return nil, fmt.Errorf("finding the snapshots that changes need: %w", err)
	}
	out := make([]Pruned, 0, len(all))
	for i, snap := range all {
		p := Pruned{ID: snap.ID, Time: snap.Manifest.Origin.Time, Kept: needed[snap.ID]}
		switch {
		case p.Kept != "":
		case snap.Damage != "":
			p.Kept = "its manifest is damaged"
		case len(all)-i <= k.Newest:
			p.Kept = fmt.Sprintf("it is one of the newest %d", k.Newest)
		case k.Younger > 0 && now.Sub(p.Time) < k.Younger:
			p.Kept = "it is young"
		}
		out = append(out, p)
	}
	return out, nil
}

// needed gives the snapshots that changes may still need, with the reason.
func (s *Store) needed() (map[string]string, error) {
	open, err := s.Unfinished()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	newest, err := s.Newest()
	switch {
	case errors.Is(err, ErrUnknownID):
	case err != nil:
		return nil, err
	case !newest.IsRolledBack():
		out[newest.Plan.Snapshot] = "change " + newest.ID + ", the newest, may be rolled back"
	}
	for _, c := range open {
		out[c.Plan.Snapshot] = "change " + c.ID + " is not finished"
	}
	if last, err := s.Last(); err == nil && last != nil && (newest == nil || last.Change > newest.ID) {
		out[last.Snapshot] = "the journal of change " + last.Change + " is gone"
	}
	return out, nil
}

// Remove takes a snapshot away. It is either whole in its place or not there: it
// is renamed first, and what a crash leaves of it is cleared away with the next lock. The caller holds the lock.
func (s *Store) Remove(id string) error {
	temp := tempPrefix + rand.Text()
	err := s.snapshots.rename(id, temp)
	if err == nil {
		err = s.snapshots.discard(temp)
	}
	if err != nil {
		return fmt.Errorf("removing snapshot %s: %w", id, err)
	}
	return nil
}

// Prune takes away what Prunable says, and gives what it said. The caller holds
// the lock.
func (s *Store) Prune(k Keep, now time.Time) ([]Pruned, error) {
	all, err := s.Prunable(k, now)
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.Kept != "" {
			continue
		}
		if err := s.Remove(p.ID); err != nil {
			return all, err
		}
	}
	return all, nil
}
