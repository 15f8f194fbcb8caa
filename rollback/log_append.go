package rollback

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// logWait is how long a writer waits for another one, which holds the log for
// no longer than two writes to the disk.
const logWait = 10 * time.Second

// Append writes an action to the log and brings it to the disk. It needs no
// Lock: the log has one of its own (flock(2)), so that whoever ends an action can
// say so. A line that a power cut left half written is cut off, and a line says that.
func (s *Store) Append(here Origin, a Action) (Head, error) {
	head, err := s.appendLog(here, a)
	if err != nil {
		return Head{}, fmt.Errorf("writing the action log: %w%s", err, s.hint(err))
	}
	return head, nil
}

func (s *Store) appendLog(here Origin, a Action) (Head, error) {
	f, err := s.root.open(logName, unix.O_RDWR|unix.O_CREAT|unix.O_APPEND)
	if err != nil {
		return Head{}, err
	}
	defer f.Close()
	if err := waitLocked(f); err != nil {
		return Head{}, err
	}
	t, err := readTail(f)
	if err != nil {
		return Head{}, err
	}
	known, _ := s.readAnchor() // one that cannot be read proves nothing, and is written anew
	ended := lost(known, t.head)
	if err := s.openLog(t, here, a.Time); err != nil {
		return Head{}, err
	}
	if err := t.mend(a.Time, ended); err != nil {
		return Head{}, err
	}
	if err := t.put(a); err != nil {
		return Head{}, err
	}
	if len(t.text) > logLine {
		return Head{}, fmt.Errorf("%d bytes are too much for one action", len(t.text))
	}
	if err := t.write(f, a.Event == LogBegin); err != nil {
		return Head{}, err
	}
	s.anchor(t.head)
	if t.size == 0 {
		err = s.root.sync()
	}
	return t.head, err
}

func waitLocked(f *os.File) error {
	for end := time.Now().Add(logWait); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Now().After(end) {
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}

// tail is the end of a log, and what is to be written behind it.
type tail struct {
	size int64  // of the whole lines
	last []byte // the last of them
	torn []byte // what stands behind them
	head Head
	text []byte
	bad  string // why the last line cannot be read
}

// readTail reads the last line of a log.
func readTail(f *os.File) (*tail, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	from := max(end-4*logLine, 0)
	data := make([]byte, end-from)
	if _, err := f.ReadAt(data, from); err != nil && len(data) > 0 {
		return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	cut := bytes.LastIndexByte(data, '\n') + 1
	t := &tail{size: from + int64(cut), torn: data[cut:]}
	if cut == 0 {
		if from > 0 {
			return nil, fmt.Errorf("%s ends with more than %d bytes that are no line: move it away, natwarden log --verify tells more", f.Name(), len(data))
		}
		return t, nil
	}
	t.last = data[bytes.LastIndexByte(data[:cut-1], '\n')+1 : cut-1]
	return t, t.find(f)
}

// find tells which line the last one is. Where it cannot be read its number is
// counted, and its bytes stand for its hash.
func (t *tail) find(f *os.File) error {
	l, _, err := parseLogged(t.last)
	if err == nil {
		t.head = Head{l.Seq, l.Hash}
		return nil
	}
	t.bad = err.Error()
	all := make([]byte, min(t.size, logLimit))
	if _, err := f.ReadAt(all, 0); err != nil {
		return fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	t.head = Head{bytes.Count(all, []byte("\n")), sha256Hex(t.last)}
	return nil
}

// openLog begins a log where there is none. Its first line names the newest
// change of before: no line tells of that one and those that are older.
func (s *Store) openLog(t *tail, here Origin, now time.Time) error {
	if t.size > 0 {
		return nil
	}
	first := Action{Time: now, Event: LogOpened, Version: here.Version, Host: here.Host, Machine: here.Machine, BootID: here.BootID}
	ids, err := s.Changes()
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		first.Change = ids[len(ids)-1]
		first.Why = fmt.Sprintf("%d changes were there already", len(ids))
	}
	t.head = Head{0, genesis(&first)}
	return t.put(first)
}

// mend says what is wrong with the end of the log; gone is what is missing there.
func (t *tail) mend(now time.Time, gone string) error {
	if gone != "" {
		if err := t.put(Action{Time: now, Event: LogLost, Why: gone}); err != nil {
			return err
		}
	}
	if t.bad != "" {
		if err := t.put(Action{Time: now, Event: LogDamaged, Why: "the line before " + t.bad}); err != nil {
			return err
		}
	}
	if len(t.torn) == 0 {
		return nil
	}
	const most = 4 << 10 // bytes that are kept of it
	why := fmt.Sprintf("the last line was not written whole (natwarden or the host stopped in that moment); its %d bytes were %s",
		len(t.torn), strconv.Quote(string(t.torn[:min(len(t.torn), most)])))
	return t.put(Action{Time: now, Event: LogTorn, Why: why})
}

func (t *tail) put(a Action) error {
	text, head, err := encodeLog(t.head, a)
	t.head, t.text = head, append(t.text, text...)
	return err
}

// write brings the new lines to the disk, all or none.
func (t *tail) write(f *os.File, begins bool) error {
	var err error
	if begins {
		err = claimAt(f, t.size, logRoom)
	}
	if err == nil && len(t.torn) > 0 {
		err = f.Truncate(t.size)
	}
	if err == nil {
		_, err = f.Write(t.text)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(err, f.Truncate(t.size)) // half a line must not stand before the next one
	}
	return nil
}
