package rollback

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/retry"
)

const lockName = "lock"

// BusyError says who holds the lock of the state directory. Its exit code is 75.
type BusyError struct {
	PID   int
	UID   int
	User  string    // of UID; "" where it has no name
	Verb  string    // what it does: remediate, rollback, …; "" where it is not known
	Name  string    // of the process, as /proc knows it now
	Since time.Time // zero where the holder has not written it yet
}

// Error names who holds the lock, where that is known, and what to do.
func (e *BusyError) Error() string {
	if e.PID == 0 {
		return "another natwarden holds the lock; try again when it is done"
	}
	who := fmt.Sprintf("uid %d", e.UID)
	if e.User != "" {
		who = fmt.Sprintf("%s (uid %d)", printable(e.User), e.UID)
	}
	what := printable(e.Name)
	if e.Verb != "" {
		what += ", natwarden " + printable(e.Verb)
	}
	return fmt.Sprintf("%s holds the lock since %s: process %d (%s); try again when it is done",
		who, e.Since.UTC().Format(time.RFC3339), e.PID, what)
}

// Lock is the right to change: one holder at a time. The kernel takes it back
// when its holder ends, however that comes about (flock(2)).
type Lock struct{ file *os.File }

type lockHolder struct {
	PID   int       `json:"pid"`
	UID   int       `json:"uid"`
	Verb  string    `json:"verb"`
	Since time.Time `json:"since"`
}

// Lock takes the lock, or gives a *BusyError at once. It clears away what an
// interrupted run left half written.
func (s *Store) Lock(now time.Time) (*Lock, error) {
	f, err := s.root.open(lockName, unix.O_RDWR|unix.O_CREAT)
	if err != nil {
		return nil, fmt.Errorf("taking the lock: %w%s", err, s.hint(err))
	}
	err = retry.Call(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = busy(f)
	} else if err == nil {
		// Who holds it is for others to read. The way back does not wait until there is room for it.
		if err = writeHolder(f, now); full(err) {
			err = nil
		}
		err = errors.Join(err, s.clean())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("taking the lock: %w%s", err, s.hint(err))
	}
	return &Lock{f}, nil
}

// full says that the disk takes no more.
func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// Release gives the lock back.
func (l *Lock) Release() error {
	return errors.Join(l.file.Truncate(0), l.file.Close())
}

func writeHolder(f *os.File, now time.Time) error {
	data, err := json.Marshal(lockHolder{os.Getpid(), os.Getuid(), verb(os.Args), now.UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(append(data, '\n'), 0)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Name(), err)
	}
	return nil
}

// verb is the first word of a command line that names something which takes
// the lock.
func verb(args []string) string {
	for _, a := range args[min(1, len(args)):] {
		if slices.Contains([]string{"remediate", "rollback", "confirm", "recover", "snapshot", "watchdog"}, a) {
			return a
		}
	}
	return ""
}

func busy(f *os.File) error {
	var h lockHolder
	buf := make([]byte, 512)
	n, _ := f.ReadAt(buf, 0)
	if json.Unmarshal(buf[:n], &h) != nil || h.PID <= 0 {
		return &BusyError{}
	}
	e := &BusyError{PID: h.PID, UID: h.UID, Verb: h.Verb, Name: processName(h.PID), Since: h.Since}
	if u, err := user.LookupId(strconv.Itoa(h.UID)); err == nil {
		e.User = u.Username
	}
	return e
}

func processName(pid int) string {
	name, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return "gone or of another pid namespace"
	}
	return strings.TrimSuffix(string(name), "\n")
}

// printable writes foreign text so that a terminal cannot be led astray.
func printable(text string) string {
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}
