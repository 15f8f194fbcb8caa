package rollback

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func act(t *testing.T, s *Store, name string) Head {
	t.Helper()
	head, err := s.Append(origin(t), Action{Time: noon, Event: LogBegin, Action: name, Command: []string{"natwarden", name}})
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func readLog(t *testing.T, s *Store) *Log {
	t.Helper()
	l, err := s.ReadLog()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func logFile(s *Store) string { return filepath.Join(s.Path(), logName) }

// five is a log of an opening line and five actions.
func five(t *testing.T) *Store {
	t.Helper()
	s := newStore(t)
	for i := range 5 {
		if head := act(t, s, fmt.Sprintf("act%d", i)); head.Seq != i+2 {
			t.Fatalf("line %d, want %d", head.Seq, i+2)
		}
	}
	return s
}

func TestLogKeepsWhatWasDone(t *testing.T) {
	s := five(t)
	l := readLog(t, s)
	if len(l.Lines) != 6 || len(l.Faults) != 0 || l.Lines[0].Event != LogOpened || l.Lines[5].Action.Action != "act4" || l.Head.Seq != 6 {
		t.Errorf("%+v", l)
	}
	if st, err := os.Stat(logFile(s)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
	if empty := readLog(t, newStore(t)); len(empty.Lines)+len(empty.Faults) != 0 {
		t.Errorf("%+v", empty)
	}
}

// Whatever is done to a line or to their order is told, with its place.
func TestTamperedLogIsTold(t *testing.T) {
	for name, tc := range map[string]struct {
		edit func(lines []string) []string
		want string
		line int
	}{
		"changed":        {func(l []string) []string { l[2] = strings.Replace(l[2], "act1", "actX", 1); return l }, "was changed", 3},
		"changed last":   {func(l []string) []string { l[5] = strings.Replace(l[5], "act4", "actX", 1); return l }, "was changed", 6},
		"removed":        {func(l []string) []string { return append(l[:2:2], l[3:]...) }, "lines between them are gone", 3},
		"first removed":  {func(l []string) []string { return l[1:] }, "not how a log begins", 1},
		"swapped":        {func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }, "lines between them are gone", 3},
		"twice":          {func(l []string) []string { return append(l, l[3]) }, "line 4 once more", 7},
		"no JSON":        {func(l []string) []string { l[4] = "rubbish"; return l }, "is damaged", 5},
		"unknown key":    {func(l []string) []string { l[4] = strings.Replace(l[4], `"seq"`, `"x":1,"seq"`, 1); return l }, "is damaged", 5},
		"from elsewhere": {exchanged, "does not follow", 4},
		"other host":     {func(l []string) []string { return reopened(l) }, "was put in the place of another", 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := five(t)
			data, err := os.ReadFile(logFile(s))
			if err != nil {
				t.Fatal(err)
			}
			lines := tc.edit(strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"))
			if err := os.WriteFile(logFile(s), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			l := readLog(t, s)
			if len(l.Faults) == 0 || l.Faults[0].Line != tc.line || !strings.Contains(l.Faults[0].Why, tc.want) {
				t.Errorf("%+v, want line %d: %q", l.Faults, tc.line, tc.want)
			}
			// The log goes on, and what was done to it stays visible.
			act(t, s, "later")
			if again := readLog(t, s); len(again.Faults) < len(l.Faults) || again.Lines[len(again.Lines)-1].Action.Action != "later" {
				t.Errorf("after another action: %+v", again)
			}
		})
	}
}

// exchanged puts a well-formed line of another content in the place of one.
func exchanged(l []string) []string {
	old, _, _ := parseLogged([]byte(l[3]))
	text, _, _ := encodeLog(Head{old.Seq - 1, strings.Repeat("0", 64)}, Action{Time: noon, Event: LogBegin, Action: "forged"})
	l[3] = strings.TrimSuffix(string(text), "\n")
	return l
}

// reopened begins the log as another host would.
func reopened(l []string) []string {
	first := Action{Time: noon, Event: LogOpened, Host: "other"}
	text, _, _ := encodeLog(Head{0, genesis(&first)}, first)
	l[0] = strings.TrimSuffix(string(text), "\n")
	return l
}

// A power cut tears the last line, which the anchor does not name yet; the log goes on
// from the last whole one and says so.
func TestTornLog(t *testing.T) {
	for cut := 1; cut < 200; cut += 17 {
		s := five(t)
		s.anchor(readLog(t, s).Lines[4].Head)
		st, err := os.Stat(logFile(s))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(logFile(s), st.Size()-int64(cut)); err != nil {
			t.Fatal(err)
		}
		l := readLog(t, s)
		if l.Torn == 0 || len(l.Lines) != 5 || len(l.Faults) != 0 {
			t.Fatalf("%d bytes less: %+v", cut, l)
		}
		act(t, s, "later")
		l = readLog(t, s)
		if l.Torn != 0 || len(l.Faults) != 0 || len(l.Lines) != 7 || l.Lines[5].Event != LogTorn || !strings.Contains(l.Lines[5].Why, `\"seq\":6`) {
			t.Errorf("%d bytes less, and an action: %+v", cut, l)
		}
	}
}

func TestTornFromTheBeginning(t *testing.T) {
	s := newStore(t)
	if err := os.WriteFile(logFile(s), []byte(`{"seq":1,"pr`), 0o600); err != nil {
		t.Fatal(err)
	}
	act(t, s, "first")
	l := readLog(t, s)
	if len(l.Lines) != 3 || len(l.Faults) != 0 || l.Lines[0].Event != LogOpened || l.Lines[1].Event != LogTorn {
		t.Errorf("%+v", l)
	}
}

// Whoever takes the last lines away takes the begin of a change that is still
// in the state directory.
func TestChangesWithoutALine(t *testing.T) {
	s := newStore(t)
	older := somePlan(t, "20251123T120000Z-00ff")
	j, err := s.Begin(older, noon)
	if err != nil {
		t.Fatal(err)
	}
	j.Close()
	if l := readLog(t, s); len(l.Faults) != 1 || !strings.Contains(l.Faults[0].Why, "no log") {
		t.Errorf("%+v", l.Faults)
	}
	act(t, s, "first")
	if l := readLog(t, s); len(l.Faults) != 0 || l.Lines[0].Change != older.Change {
		t.Errorf("a change of before the log: %+v", l)
	}
	begin(t, s)
	if l := readLog(t, s); len(l.Faults) != 1 || !strings.Contains(l.Faults[0].Why, someID) {
		t.Errorf("%+v", l.Faults)
	}
	if _, err := s.Append(origin(t), Action{Time: noon, Event: LogBegin, Change: someID}); err != nil {
		t.Fatal(err)
	}
	if l := readLog(t, s); len(l.Faults) != 0 {
		t.Errorf("%+v", l.Faults)
	}
}

func TestManyWriteAtOnce(t *testing.T) {
	s := newStore(t)
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			other, err := Open(s.Path())
			if err != nil {
				t.Error(err)
				return
			}
			defer other.Close()
			for range 5 {
				if _, err := other.Append(origin(t), Action{Time: noon, Event: LogEnd}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	if l := readLog(t, s); len(l.Lines) != 41 || len(l.Faults) != 0 {
		t.Errorf("%d lines, %+v", len(l.Lines), l.Faults)
	}
}

func TestLogOnAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	if os.Getenv("NATWARDEN_TEST_MOUNT") == "" {
		cmd := exec.Command("unshare", "--mount", os.Args[0], "-test.run=^TestLogOnAFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), "NATWARDEN_TEST_MOUNT=1")
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	path := t.TempDir()
	if err := unix.Mount("natwarden-test", path, "tmpfs", 0, "size=256k,mode=700"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(path, unix.MNT_DETACH)
	s := create(t, path)
	act(t, s, "first")
	if err := os.WriteFile(filepath.Join(path, "full"), make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	// The end of what was begun has its room; the next action does not begin.
	for i := 0; ; i++ {
		_, err := s.Append(origin(t), Action{Time: noon, Event: LogBegin, Action: strings.Repeat("x", 8000)})
		if err != nil {
			if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "free space") {
				t.Error(err)
			}
			break
		}
		if i > 100 {
			t.Fatal("it never became full")
		}
	}
	if _, err := s.Append(origin(t), Action{Time: noon, Event: LogEnd}); err != nil {
		t.Errorf("the end of an action that was begun: %v", err)
	}
	if l := readLog(t, s); len(l.Faults) != 0 || l.Torn != 0 {
		t.Errorf("%+v", l)
	}
	_ = s.Close()
}

func TestLogIsNoSymlink(t *testing.T) {
	s := newStore(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.Symlink(victim, logFile(s)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(origin(t), Action{Event: LogBegin}); err == nil || !strings.Contains(err.Error(), "symlink") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(victim); err == nil {
		t.Error("it wrote through the symlink")
	}
	if _, err := s.ReadLog(); err == nil {
		t.Error("it read through the symlink")
	}
}

func FuzzLog(f *testing.F) {
	first := Action{Time: noon, Event: LogOpened, Host: "h", BootID: "b"}
	a, head, _ := encodeLog(Head{0, genesis(&first)}, first)
	b, _, _ := encodeLog(head, Action{Time: noon, Event: LogBegin, Action: "remediate", Who: &Who{}})
	whole := append(a, b...)
	f.Add(whole)
	f.Add(whole[:len(whole)-5])
	f.Add(append([]byte("rubbish\n"), whole...))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := ParseLog(data)
		lines := bytes.Count(data, []byte("\n"))
		if len(l.Lines) > lines || len(l.Lines)+len(l.Faults) < lines {
			t.Fatalf("%d lines gave %d, and %d faults", lines, len(l.Lines), len(l.Faults))
		}
		if len(l.Faults) == 0 && lines > 0 && l.Head.Seq != lines {
			t.Fatalf("a whole log of %d lines ends with line %d", lines, l.Head.Seq)
		}
	})
}
