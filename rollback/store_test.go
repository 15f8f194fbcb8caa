package rollback

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStateDirectoryIsPrivate(t *testing.T) {
	s := newStore(t)
	take(t, s)
	begin(t, s)
	l, err := s.Lock(noon)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	seen := 0
	err = filepath.WalkDir(s.Path(), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		seen++
		return err
	})
	if err != nil || seen < 11 {
		t.Errorf("saw %d files: %v", seen, err)
	}
}

func TestOpenMakesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if _, err := Open(path); !errors.Is(err, ErrNoState) {
		t.Errorf("got %v, want ErrNoState", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("it was made")
	}
}

func TestHostileStateDirectories(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(root string) (state string, err error)
		want  string
	}{
		"others can write it": {func(root string) (string, error) {
			return root + "/s", errors.Join(os.Mkdir(root+"/s", 0o700), os.Chmod(root+"/s", 0o777))
		}, "can be written by others"},
		"the group can write it": {func(root string) (string, error) {
			return root + "/s", errors.Join(os.Mkdir(root+"/s", 0o700), os.Chmod(root+"/s", 0o770))
		}, "can be written by others"},
		"others can write above": {func(root string) (string, error) {
			return root + "/p/s", errors.Join(os.MkdirAll(root+"/p/s", 0o700), os.Chmod(root+"/p", 0o777))
		}, "can be written by others"},
		"a symlink": {func(root string) (string, error) {
			return root + "/s", errors.Join(os.Mkdir(root+"/real", 0o700), os.Symlink("real", root+"/s"))
		}, "symlink"},
		"a symlink above": {func(root string) (string, error) {
			return root + "/l/s", errors.Join(os.MkdirAll(root+"/real/s", 0o700), os.Symlink("real", root+"/l"))
		}, "symlink"},
		"a symlink inside": {func(root string) (string, error) {
			return root + "/s", errors.Join(os.MkdirAll(root+"/s", 0o700), os.Mkdir(root+"/evil", 0o700), os.Symlink("../evil", root+"/s/snapshots"))
		}, "symlink"},
		"writable inside": {func(root string) (string, error) {
			return root + "/s", errors.Join(os.MkdirAll(root+"/s/changes", 0o700), os.Chmod(root+"/s/changes", 0o777))
		}, "can be written by others"},
		"a file": {func(root string) (string, error) {
			return root + "/s", os.WriteFile(root+"/s", nil, 0o600)
		}, "no folder"},
		"somebody else's": {func(root string) (string, error) {
			if os.Geteuid() != 0 {
				return "", nil
			}
			return root + "/s", errors.Join(os.Mkdir(root+"/s", 0o700), os.Chown(root+"/s", 12345, 0))
		}, "belongs to uid 12345"},
	} {
		t.Run(name, func(t *testing.T) {
			path, err := c.spoil(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if path == "" {
				t.Skip("needs root to give a folder away")
			}
			for _, open := range []func(string) (*Store, error){Create, Open} {
				s, err := open(path)
				if err == nil {
					s.Close()
				}
				if err == nil || name != "a symlink inside" && errors.Is(err, ErrNoState) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
			}
		})
	}
}

func TestStickyParentIsFine(t *testing.T) {
	parent := t.TempDir()
	if err := os.Chmod(parent, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	create(t, parent+"/state")
}

func TestRelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	create(t, "./a/../state")
	if _, err := os.Stat("state/snapshots"); err != nil {
		t.Error(err)
	}
}

func TestPlantedFilesAreNotFollowed(t *testing.T) {
	s := newStore(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(path string) error{
		"symlink":   func(p string) error { return os.Symlink(victim, p) },
		"hard link": func(p string) error { return os.Link(victim, p) },
		"pipe":      func(p string) error { return unix.Mkfifo(p, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			lock := filepath.Join(s.Path(), lockName)
			if err := plant(lock); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(lock)
			if l, err := s.Lock(noon); err == nil {
				l.Release()
				t.Error("the lock was taken through it")
			}
		})
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "precious" {
		t.Errorf("the victim holds %q, %v", data, err)
	}
}

func TestLock(t *testing.T) {
	s := newStore(t)
	l, err := s.Lock(noon)
	if err != nil {
		t.Fatal(err)
	}
	_, err = create(t, s.Path()).Lock(noon)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.PID != os.Getpid() || busy.Name == "" || !busy.Since.Equal(noon) {
		t.Errorf("got %v (%+v)", err, busy)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if l, err = s.Lock(noon); err != nil {
		t.Fatal(err)
	}
	l.Release()
}

func TestTheLockSaysWhoAndWhat(t *testing.T) {
	e := &BusyError{PID: 7, UID: 0, User: "root", Verb: "remediate", Name: "natwarden\n", Since: noon}
	if got := e.Error(); got != `root (uid 0) holds the lock since 2026-11-23T12:00:00Z: process 7 (natwarden\n, natwarden remediate); try again when it is done` {
		t.Error(got)
	}
	for want, args := range map[string][]string{
		"remediate": {"natwarden", "--state-dir", "x", "remediate", "--only", "rollback"}, "": {"natwarden", "audit"}, "rollback": {"n", "rollback"},
	} {
		if got := verb(args); got != want {
			t.Errorf("%q: %q", args, got)
		}
	}
	if verb(nil) != "" {
		t.Error("a verb of nothing")
	}
}

// Whoever is killed with -9 leaves a lock that blocks nobody.
func TestTheLockOfTheDead(t *testing.T) {
	if dir := os.Getenv("NATWARDEN_TEST_LOCK"); dir != "" {
		if _, err := create(t, dir).Lock(noon); err != nil {
			t.Fatal(err)
		}
		fmt.Println("held")
		time.Sleep(time.Minute)
	}
	s := newStore(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestTheLockOfTheDead$")
	cmd.Env = append(os.Environ(), "NATWARDEN_TEST_LOCK="+s.Path())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if _, err := s.Lock(noon); !errors.As(err, &busy) || busy.PID != cmd.Process.Pid || busy.UID != os.Getuid() {
		t.Errorf("%v (%+v)", err, busy)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	l, err := s.Lock(noon)
	if err != nil {
		t.Fatal(err)
	}
	l.Release()
}

func TestLockOfAHostileHolder(t *testing.T) {
	for _, text := range []string{"", "{", `{"pid":-1}`, `{"pid":0}`, strings.Repeat("x", 4096)} {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		var holder *BusyError
		if err := busy(f); !errors.As(err, &holder) || holder.PID != 0 || err.Error() == "" {
			t.Errorf("%.20q: %v", text, err)
		}
		f.Close()
	}
}

func TestAnInterruptedRunIsClearedAway(t *testing.T) {
	s := newStore(t)
	for _, folder := range []string{s.snapshots.path, s.changes.path} {
		temp := filepath.Join(folder, tempPrefix+"x")
		if err := errors.Join(os.Mkdir(temp, 0o700), os.WriteFile(temp+"/f", nil, 0o400), os.Chmod(temp, 0o500)); err != nil {
			t.Fatal(err)
		}
	}
	id := take(t, s)
	if got, err := s.List(); err != nil || len(got) != 1 {
		t.Errorf("a half snapshot is listed: %v %v", got, err)
	}
	l, err := s.Lock(noon)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release()
	if left, _ := filepath.Glob(s.Path() + "/*/" + tempPrefix + "*"); len(left) > 0 {
		t.Errorf("still there: %q", left)
	}
	if damage, err := s.Verify(id); err != nil || len(damage) > 0 {
		t.Error(damage, err)
	}
}

func FuzzFileName(f *testing.F) {
	f.Add("here", "nf_tables", "../../etc/passwd")
	f.Add("", ".", "a\x00b\n\xff")
	f.Add("+", "~", "%41")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		name := FileName(a, b, c)
		if err := checkName(name); err != nil || strings.HasPrefix(name, ".") {
			t.Errorf("%q %q %q give %q: %v", a, b, c, name, err)
		}
		if other := FileName(a+"x", b, c); other == name {
			t.Errorf("%q is the name of two", name)
		}
	})
}
