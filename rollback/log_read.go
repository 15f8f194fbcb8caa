package rollback

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LogLine is a line of the action log that was read.
type LogLine struct {
	Head
	Action
}

// LogFault is a place where the log is not as it was written. Line is counted
// in the file, from 1; 0 where it is about the log as a whole.
type LogFault struct {
	Line int    `json:"line"`
	Why  string `json:"why"`
}

// Log is the action log as it was read. Without Faults every line follows the
// one before it, and none is missing up to Anchor. That does not prove that nobody wrote
// both anew: who can write the one can write the other. Head is what to compare with another copy.
type Log struct {
	Lines  []LogLine
	Faults []LogFault
	Head   Head
	// Anchor is the last line of which the file beside the log knows; zero where there
	// is no such file, as with logs of an older natwarden.
	Anchor Head
	// Torn are the bytes behind the last line: natwarden or the host stopped while
	// they were written. The next action cuts them off, and says so in the log.
	Torn int
}

// ReadLog reads the action log and proves its chain. None is an empty Log. It takes
// no lock, so that it holds nobody up: where something is wrong it looks again, for
// somebody may just have been writing.
func (s *Store) ReadLog() (*Log, error) {
	l, err := s.readLog()
	if err == nil && len(l.Faults) > 0 {
		time.Sleep(betweenReads)
		return s.readLog()
	}
	return l, err
}

// betweenReads is longer than it takes to overwrite the anchor.
const betweenReads = 20 * time.Millisecond

func (s *Store) readLog() (*Log, error) {
	anchor, anchorErr := s.readAnchor()
	data, err := s.root.read(logName, logLimit)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the action log: %w", err)
	}
	l := ParseLog(data)
	l.compareAnchor(anchor, anchorErr)
	return l, s.compareChanges(l)
}

// LastAction is when the last line of the action log was written, by the clock as it
// was then; zero where there is none, or none that can be read.
func (s *Store) LastAction() (time.Time, error) {
	f, err := s.root.open(logName, unix.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	t, err := readTail(f)
	if err != nil || t.last == nil || t.bad != "" {
		return time.Time{}, err
	}
	_, a, err := parseLogged(t.last)
	if err != nil {
		return time.Time{}, err
	}
	return a.Time, nil
}

// ParseLog reads the bytes of an action log. What is wrong with them stands in Faults.
func ParseLog(data []byte) *Log {
	l := &Log{Lines: []LogLine{}, Faults: []LogFault{}}
	seen := map[string]int{} // hash to line
	for number := 1; len(data) > 0; number++ {
		text, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			l.Torn = len(text)
			break
		}
		l.take(text, number, seen)
		data = rest
	}
	return l
}

// Holds says whether one of its lines has a hash, as a copy elsewhere names it.
func (l *Log) Holds(hash string) bool {
	return slices.ContainsFunc(l.Lines, func(line LogLine) bool { return strings.EqualFold(line.Hash, hash) })
}

func (l *Log) take(text []byte, number int, seen map[string]int) {
	line, action, err := parseLogged(text)
	if err != nil {
		l.Faults = append(l.Faults, LogFault{number, "it " + err.Error()})
		l.Head = Head{number, sha256Hex(text)} // as Append goes on behind it
		return
	}
	if why := l.breaks(line, action, number, seen); why != "" {
		l.Faults = append(l.Faults, LogFault{number, why})
	}
	if action.Event == LogLost {
		l.Faults = append(l.Faults, LogFault{number, "it says that lines before it were cut off or exchanged: " + action.Why})
	}
	seen[line.Hash] = number
	l.Head = Head{line.Seq, line.Hash}
	l.Lines = append(l.Lines, LogLine{l.Head, *action})
}

// breaks says why a line does not follow the one before it.
func (l *Log) breaks(line *logged, action *Action, number int, seen map[string]int) string {
	switch {
	case number == 1 && line.Seq == 1 && action.Event == LogOpened && line.Prev == genesis(action):
		return ""
	case number == 1:
		return fmt.Sprintf("it is not how a log begins, it calls itself line %d: what stood before it is gone, or was changed", line.Seq)
	case line.Prev == l.Head.Hash && line.Seq == l.Head.Seq+1:
		return ""
	case seen[line.Hash] > 0:
		return fmt.Sprintf("it is line %d once more", seen[line.Hash])
	case line.Seq > l.Head.Seq+1:
		return fmt.Sprintf("it calls itself line %d, and the one before it is %d: lines between them are gone", line.Seq, l.Head.Seq)
	case line.Seq <= l.Head.Seq:
		return fmt.Sprintf("it calls itself line %d, and stands behind line %d: lines were moved", line.Seq, l.Head.Seq)
	}
	return "it does not follow the line before it: one of them was put in the place of another"
}

// parseLogged reads one line and proves it by its own hash. Its errors are the
// end of a sentence about the line.
func parseLogged(text []byte) (*logged, *Action, error) {
	var l logged
	var a Action
	if len(text) > logLine {
		return nil, nil, fmt.Errorf("is longer than natwarden writes any: %d bytes", len(text))
	}
	if err := strict(text, &l); err != nil {
		return nil, nil, fmt.Errorf("is damaged: %w", err)
	}
	if l.Hash != logHash(l.Prev, l.Action) {
		return nil, nil, errors.New("was changed: its hash does not fit what it says")
	}
	// Not strict: a later natwarden may say more.
	if err := json.Unmarshal(l.Action, &a); err != nil {
		return nil, nil, fmt.Errorf("is damaged: %w", err)
	}
	return &l, &a, nil
}

// compareChanges looks for changes of which no line tells: a line of each is on
// the disk before its folder is, so lines are gone where one has none. Changes that are
// older than the log are none of its.
func (s *Store) compareChanges(l *Log) error {
	ids, err := s.Changes()
	if err != nil {
		return err
	}
	if len(l.Lines) == 0 && len(l.Faults) == 0 && len(ids) > 0 {
		l.Faults = append(l.Faults, LogFault{0, fmt.Sprintf("there are changes (%d) and no log: it was deleted, or this natwarden is the first that keeps one", len(ids))})
		return nil
	}
	told, before := map[string]bool{}, ""
	for _, line := range l.Lines {
		told[line.Change] = true
		if line.Event == LogOpened && line.Change > before {
			before = line.Change
		}
	}
	for _, id := range ids {
		if !told[id] && id > before {
			l.Faults = append(l.Faults, LogFault{0, "change " + id + " is in the state directory, and no line tells of it: lines are gone"})
		}
	}
	return nil
}
