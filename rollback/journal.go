package rollback

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/retry"
)

const (
	journalName = "journal"
	// journalRoom is claimed on the disk before the first change, in bytes, so
	// that a disk that fills up meanwhile cannot keep "done" from being written.
	journalRoom = 64 << 10
)

// The events of a journal, in the order in which they come.
const (
	Begin      = "begin"       // the plan is on the disk; PlanSHA256 proves it
	Intend     = "intend"      // the next thing is to edit the group
	DoneEvent  = "done"        // the group is edited
	CutEvent   = "cut"         // flows were cut; they cannot be put back
	Verified   = "verified"    // the host was read again and is as planned
	Confirmed  = "confirmed"   // somebody said in time that the change is to stay
	FailedWith = "failed"      // something went wrong; what was done is undone next
	Restore    = "restore"     // the next thing is to put the group back
	PutBack    = "put-back"    // the group is as it was before
	PartlyBack = "partly-back" // a rollback ended, and something could not be put back
	RolledBack = "rolled-back" // the change is undone as a whole
)

// Entry is a line of a journal.
type Entry struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"`
	Group int       `json:"group"` // index in the plan; -1 where the event is not of one group
	Why   string    `json:"why,omitempty"`
	// Replaced are the group's steps where they were made anew because others
	// changed the host meanwhile; they stand for those of the plan. With an intent they are
	// what is to be sent, with "done" what was: others may have written between the two.
	Replaced *Group        `json:"replaced,omitempty"`
	Cut      []change.Step `json:"cut,omitempty"`
	// Wait is until when a verified change is to be confirmed; nil where it stays anyway.
	Wait       *Wait  `json:"wait,omitempty"`
	PlanSHA256 string `json:"plan_sha256,omitempty"`
	// PlanFile is, of an intent, the SHA-256 of the plan file that is carried out; ""
	// where the plan was made by the same run.
	PlanFile string `json:"plan_file,omitempty"`
}

// line is how an entry stands in the file. Sum is the SHA-256 of the sum of
// the line before and of this entry's bytes: no line can be changed, lost or
// moved unseen.
type line struct {
	Seq   int             `json:"seq"` // from 1
	Sum   string          `json:"sum"`
	Entry json.RawMessage `json:"entry"`
}

// Journal is the open journal of a change. Every entry is on the disk when
// Write returns.
type Journal struct {
	file *os.File
	of   string // id of the change
	seq  int
	sum  string
	size int64  // bytes of whole lines
	last string // event
}

// Begin writes a plan and starts its journal. The caller holds the lock.
func (s *Store) Begin(p Plan, now time.Time) (*Journal, error) {
	j, err := s.begin(p, now)
	if err != nil {
		return nil, fmt.Errorf("beginning change %s: %w%s", p.Change, err, s.hint(err))
	}
	return j, nil
}

func (s *Store) begin(p Plan, now time.Time) (_ *Journal, err error) {
	data, err := marshalPlan(p)
	if err != nil {
		return nil, err
	}
	if _, err := ParsePlan(data); err != nil {
		return nil, fmt.Errorf("the plan cannot be read back: %w", err)
	}
	temp := tempPrefix + rand.Text()
	d, err := s.changes.mkdir(temp)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	j, err := d.startJournal(p.Change, data, now)
	if err == nil {
		err = s.changes.rename(temp, p.Change)
	}
	if err != nil {
		if j != nil {
			err = errors.Join(err, j.Close())
		}
		_ = s.changes.discard(temp) // else it is cleared away when the lock is taken next
		return nil, err
	}
	return j, nil
}

// startJournal fills the folder of a change.
func (d *dir) startJournal(id string, plan []byte, now time.Time) (*Journal, error) {
	if err := d.write(planName, plan); err != nil {
		return nil, err
	}
	f, err := d.open(journalName, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_APPEND)
	if err != nil {
		return nil, err
	}
	j := &Journal{file: f, of: id}
	if err := claim(f); err != nil {
		return j, err
	}
	if err := j.Write(Entry{Time: now, Event: Begin, Group: -1, PlanSHA256: sha256Hex(plan)}); err != nil {
		return j, err
	}
	return j, d.sync()
}

// claim reserves the journal's room where the file system can.
func claim(f *os.File) error { return claimAt(f, 0, journalRoom) }

// claimAt reserves room in a file from a place on, without making it longer.
func claimAt(f *os.File, from, room int64) error {
	err := retry.Call(func() error { return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, from, room) })
	if err == nil || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return fmt.Errorf("reserving %d bytes in %s: %w", room, f.Name(), err)
}

// Write appends an entry and brings it to the disk.
func (j *Journal) Write(e Entry) error {
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	entry, err := json.Marshal(e)
	if err != nil {
		return err
	}
	next := line{j.seq + 1, chain(j.sum, entry), entry}
	text, err := json.Marshal(next)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if _, err = j.file.Write(text); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// Half a line must not stand before the next one.
		err = errors.Join(err, j.file.Truncate(j.size))
		return fmt.Errorf("writing %q to the journal of change %s: %w", e.Event, j.of, err)
	}
	j.seq, j.sum, j.size, j.last = next.Seq, next.Sum, j.size+int64(len(text)), e.Event
	return nil
}

// chain is the sum of a line.
func chain(before string, entry []byte) string {
	return sha256Hex(append([]byte(before+"\n"), entry...))[:32]
}

// Close closes the journal. What it claimed of the disk and did not use it gives
// back only when the change is undone: until then the way back needs the room,
// also on a disk that somebody filled meanwhile.
func (j *Journal) Close() error {
	if j.last != RolledBack {
		return j.file.Close()
	}
	return errors.Join(j.file.Truncate(j.size), j.file.Close())
}
