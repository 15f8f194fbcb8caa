package rollback

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func anchorFile(s *Store) string { return filepath.Join(s.Path(), anchorName) }

// keepLines leaves the first lines of the log.
func keepLines(t *testing.T, s *Store, n int) {
	t.Helper()
	data, err := os.ReadFile(logFile(s))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	if err := os.WriteFile(logFile(s), bytes.Join(lines[:n], nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What a chain alone does not show: whole lines are cut off at its end.
func TestLinesCutOffAtTheEndAreTold(t *testing.T) {
	for kept, want := range map[int]string{0: "6 lines", 3: "3 lines", 5: "1 line "} {
		s := five(t)
		keepLines(t, s, kept)
		l := readLog(t, s)
		if len(l.Faults) != 1 || l.Faults[0].Line != 0 || !strings.Contains(l.Faults[0].Why, want) {
			t.Errorf("%d lines kept: %+v", kept, l.Faults)
		}
		// The next action goes on, and the loss stays to be seen.
		act(t, s, "later")
		act(t, s, "later still")
		l = readLog(t, s)
		if len(l.Faults) != 1 || l.Faults[0].Line != max(kept, 1)+1 || !strings.Contains(l.Faults[0].Why, "cut off") {
			t.Errorf("%d lines kept, and two actions: %+v", kept, l.Faults)
		}
	}
}

// Half a line at the end is a power cut's; a line of which the anchor tells was
// whole once.
func TestAHalfLineThatWasWholeOnceIsTold(t *testing.T) {
	s := five(t)
	st, err := os.Stat(logFile(s))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(logFile(s), st.Size()-20); err != nil {
		t.Fatal(err)
	}
	if l := readLog(t, s); l.Torn == 0 || len(l.Faults) != 1 || !strings.Contains(l.Faults[0].Why, "1 line ") {
		t.Errorf("%+v", l)
	}
	act(t, s, "later")
	if l := readLog(t, s); len(l.Faults) != 1 || l.Lines[5].Event != LogTorn && l.Lines[6].Event != LogTorn {
		t.Errorf("%+v", l)
	}
}

func TestTheLogDeletedWhole(t *testing.T) {
	s := five(t)
	if err := os.Remove(logFile(s)); err != nil {
		t.Fatal(err)
	}
	if l := readLog(t, s); len(l.Faults) != 1 || !strings.Contains(l.Faults[0].Why, "6 lines") {
		t.Errorf("%+v", l.Faults)
	}
}

// A log that was put in the place of the true one is as long, or longer.
func TestAnotherLogIsTold(t *testing.T) {
	s, other := five(t), newStore(t)
	for range 9 {
		act(t, other, "forged")
	}
	data, err := os.ReadFile(logFile(other))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{6, 10} {
		if err := os.WriteFile(logFile(s), bytes.Join(bytes.SplitAfter(data, []byte("\n"))[:n], nil), 0o600); err != nil {
			t.Fatal(err)
		}
		if l := readLog(t, s); len(l.Faults) != 1 || l.Faults[0].Line != 6 || !strings.Contains(l.Faults[0].Why, "not the one") {
			t.Errorf("%d lines: %+v", n, l.Faults)
		}
	}
}

// The anchor comes after the line: a crash between the two, and a natwarden that
// knows none, leave a log that is longer.
func TestAnAnchorMayBeOlderThanTheLog(t *testing.T) {
	s := five(t)
	old, err := os.ReadFile(anchorFile(s))
	if err != nil {
		t.Fatal(err)
	}
	act(t, s, "sixth")
	act(t, s, "seventh")
	if err := os.WriteFile(anchorFile(s), old, 0o600); err != nil {
		t.Fatal(err)
	}
	if l := readLog(t, s); len(l.Faults) != 0 || l.Anchor.Seq != 6 || l.Head.Seq != 8 {
		t.Errorf("%+v", l)
	}
	if err := os.Remove(anchorFile(s)); err != nil {
		t.Fatal(err)
	}
	if l := readLog(t, s); len(l.Faults) != 0 || l.Anchor.Seq != 0 {
		t.Errorf("without an anchor: %+v", l)
	}
	act(t, s, "eighth")
	if l := readLog(t, s); len(l.Faults) != 0 || l.Anchor != l.Head {
		t.Errorf("anchored anew: %+v", l)
	}
}

func TestADamagedAnchorIsTold(t *testing.T) {
	for _, bad := range []string{"", "rubbish", `{"seq":-1,"hash":"x"}`, strings.Repeat("\x00", anchorSize)} {
		s := five(t)
		if err := os.WriteFile(anchorFile(s), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if l := readLog(t, s); len(l.Faults) != 1 || !strings.Contains(l.Faults[0].Why, anchorName) {
			t.Errorf("%q: %+v", bad, l.Faults)
		}
		act(t, s, "later")
		if l := readLog(t, s); len(l.Faults) != 0 || l.Anchor != l.Head {
			t.Errorf("%q, and an action: %+v", bad, l)
		}
	}
}

// It is no reason to leave an action undone that the anchor cannot be written, nor is
// anything written through a link in its place.
func TestAnAnchorThatCannotBeWritten(t *testing.T) {
	s := newStore(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, anchorFile(s)); err != nil {
		t.Fatal(err)
	}
	act(t, s, "first")
	if data, err := os.ReadFile(victim); err != nil || string(data) != "precious" {
		t.Errorf("%q %v", data, err)
	}
	if l := readLog(t, s); len(l.Lines) != 2 || len(l.Faults) != 1 || !strings.Contains(l.Faults[0].Why, "symlink") {
		t.Errorf("%+v", l)
	}
}

// A reader that comes while others write sees no loss that there is none of.
func TestReadingWhileOthersWrite(t *testing.T) {
	s := newStore(t)
	done := make(chan error, 1)
	go func() {
		for range 60 {
			if _, err := s.Append(origin(t), Action{Time: noon, Event: LogEnd}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	other, err := Open(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for {
		if l := readLog(t, other); len(l.Faults) != 0 {
			t.Fatalf("%+v", l.Faults)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

func TestWhatALogHolds(t *testing.T) {
	l := readLog(t, five(t))
	for _, line := range l.Lines {
		if !l.Holds(line.Hash) || !l.Holds(strings.ToUpper(line.Hash)) {
			t.Errorf("line %d is not held", line.Seq)
		}
	}
	if l.Holds(strings.Repeat("0", 64)) || l.Holds("") {
		t.Error("it holds what is not there")
	}
}

// The anchor costs no second file where the disk is full: it is overwritten in place.
func TestTheAnchorIsOneFile(t *testing.T) {
	s := five(t)
	var before, after unix.Stat_t
	if err := errors.Join(unix.Stat(anchorFile(s), &before), func() error { act(t, s, "x"); return nil }(), unix.Stat(anchorFile(s), &after)); err != nil {
		t.Fatal(err)
	}
	if before.Ino != after.Ino || before.Size != anchorSize || after.Size != anchorSize || after.Mode&0o777 != 0o600 {
		t.Errorf("%+v %+v", before, after)
	}
}

func logSize(s *Store) int64 {
	st, err := os.Stat(logFile(s))
	if err != nil {
		return 0
	}
	return st.Size()
}

// Writers that come together and are killed at any moment leave a log that is whole:
// no kill looks like somebody's hand.
func TestKilledWritersLeaveAWholeLog(t *testing.T) {
	const asWriter = "NATWARDEN_TEST_WRITER"
	if path := os.Getenv(asWriter); path != "" {
		s := create(t, path)
		for {
			act(t, s, "written until it is killed")
		}
	}
	s := newStore(t)
	for round := range 12 {
		var writers []*exec.Cmd
		for range 3 {
			cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWritersLeaveAWholeLog$")
			cmd.Env = append(os.Environ(), asWriter+"="+s.Path())
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			writers = append(writers, cmd)
		}
		before := logSize(s)
		for end := time.Now().Add(20 * time.Second); logSize(s) < before+2000 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(round) * 3 * time.Millisecond)
		for _, w := range writers {
			_ = w.Process.Kill()
		}
		for _, w := range writers {
			_ = w.Wait()
		}
		if l := readLog(t, s); len(l.Faults) != 0 || l.Anchor.Seq > l.Head.Seq {
			t.Fatalf("round %d: %+v, anchor %d, head %d", round, l.Faults, l.Anchor.Seq, l.Head.Seq)
		}
	}
	act(t, s, "last")
	l := readLog(t, s)
	if len(l.Faults) != 0 || l.Torn != 0 || l.Anchor != l.Head {
		t.Errorf("%+v", l.Faults)
	}
	if len(l.Lines) < 40 {
		t.Errorf("only %d lines were written", len(l.Lines))
	}
}

func TestTheLastAction(t *testing.T) {
	s := newStore(t)
	if at, err := s.LastAction(); err != nil || !at.IsZero() {
		t.Errorf("without a log: %s %v", at, err)
	}
	for i := range 3 {
		want := noon.Add(time.Duration(i) * time.Hour)
		if _, err := s.Append(origin(t), Action{Time: want, Event: LogEnd}); err != nil {
			t.Fatal(err)
		}
		if at, err := s.LastAction(); err != nil || !at.Equal(want) {
			t.Errorf("%s %v, want %s", at, err, want)
		}
	}
	if err := os.WriteFile(logFile(s), []byte("rubbish\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if at, err := s.LastAction(); err != nil || !at.IsZero() {
		t.Errorf("rubbish: %s %v", at, err)
	}
}
