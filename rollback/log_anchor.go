package rollback

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// anchorName is the file that names the last line of the log. Without it a log
	// whose last lines are gone is a whole log that is shorter.
	anchorName = "actions.head"
	// anchorSize is its size in bytes, always the same: it is overwritten in place,
	// within one sector of any disk, and needs no room once it is there.
	anchorSize = 128
)

// readAnchor gives the last line that was written, as far as the anchor knows; the
// zero Head where there is none.
func (s *Store) readAnchor() (Head, error) {
	data, err := s.root.read(anchorName, anchorSize)
	if errors.Is(err, fs.ErrNotExist) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, err
	}
	var h Head
	if err := strict(bytes.TrimSpace(data), &h); err != nil || h.Seq < 1 || len(h.Hash) != 64 {
		return Head{}, fmt.Errorf("%s is damaged: it names no line", anchorName)
	}
	return h, nil
}

// anchor names the line that was just brought to the disk. That it cannot be written
// keeps no action from being done: then it names an older line, which is true as well.
func (s *Store) anchor(h Head) {
	text, err := json.Marshal(h)
	if err != nil || len(text) >= anchorSize {
		return
	}
	text = append(append(text, bytes.Repeat([]byte(" "), anchorSize-1-len(text))...), '\n')
	f, err := s.root.open(anchorName, unix.O_WRONLY)
	if errors.Is(err, fs.ErrNotExist) {
		s.firstAnchor(text)
	}
	if err != nil {
		return
	}
	defer f.Close()
	_ = overwrite(f, text)
}

// firstAnchor makes the file: nobody is to find it empty, not after a power cut either.
func (s *Store) firstAnchor(text []byte) {
	const temp = tempPrefix + anchorName
	_ = unix.Unlinkat(s.root.fd(), temp, 0) // of a run that was killed here
	if err := s.root.write(temp, text); err == nil {
		_ = s.root.rename(temp, anchorName)
	}
}

func overwrite(f *os.File, text []byte) error {
	if _, err := f.WriteAt(text, 0); err != nil {
		return err
	}
	return errors.Join(f.Truncate(int64(len(text))), f.Sync())
}

// lost says what is missing at the end of a log, by its anchor; "" for nothing. The
// sentence goes on in the line that keeps it.
func lost(anchor, head Head) string {
	switch {
	case anchor.Seq > head.Seq:
		return fmt.Sprintf("%s at the end: line %d had been written, with hash %s, and the log ended with line %d", counted(anchor.Seq-head.Seq), anchor.Seq, anchor.Hash, head.Seq)
	case anchor.Seq == head.Seq && anchor.Hash != head.Hash && anchor.Seq > 0:
		return fmt.Sprintf("line %d, which had hash %s when it was written", anchor.Seq, anchor.Hash)
	}
	return ""
}

func counted(n int) string {
	if n == 1 {
		return "1 line"
	}
	return fmt.Sprintf("%d lines", n)
}

// compareAnchor holds a log against its anchor, which was read before it: a line is
// on the disk before the anchor names it.
func (l *Log) compareAnchor(anchor Head, failure error) {
	l.Anchor = anchor
	if failure != nil {
		l.Faults = append(l.Faults, LogFault{0, "that no last lines are gone is not proven: " + failure.Error()})
		return
	}
	if anchor.Seq == 0 || l.Holds(anchor.Hash) {
		return
	}
	if anchor.Seq > l.Head.Seq {
		l.Faults = append(l.Faults, LogFault{0, "lines are gone: " + lost(anchor, l.Head)})
		return
	}
	l.Faults = append(l.Faults, LogFault{anchor.Seq, fmt.Sprintf("it is not the one that was written there: that had hash %s (%s)", anchor.Hash, anchorName)})
}
