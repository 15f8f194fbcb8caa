package rollback

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSnapshot(t *testing.T) {
	s := newStore(t)
	id := take(t, s)
	if len(id) != idLength {
		t.Errorf("id %q", id)
	}
	snap, err := s.Show(id[:6])
	if err != nil || snap.ID != id || len(snap.Manifest.Files) != 3 || snap.Manifest.Origin.BootID == "" {
		t.Fatalf("%+v %v", snap, err)
	}
	for name, want := range files() {
		if got, err := s.File(id[:6], name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %x %v", name, got, err)
		}
	}
	if damage, err := s.Verify(id); err != nil || len(damage) != 0 {
		t.Errorf("damage %v, %v", damage, err)
	}
	if again := take(t, s); again != id {
		t.Error("the same content got another id")
	}
	for _, bad := range []string{"", "zz", "../changes", "."} {
		if _, err := s.Show(bad); !errors.Is(err, ErrUnknownID) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestShortIDsMustBeUnambiguous(t *testing.T) {
	s := newStore(t)
	for _, id := range []string{"aab", "aac"} {
		if err := os.Mkdir(filepath.Join(s.snapshots.path, id), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Show("aa"); !errors.Is(err, ErrUnknownID) || !strings.Contains(err.Error(), "aab, aac") {
		t.Error(err)
	}
}

func TestVerifyNamesTheFile(t *testing.T) {
	for name, c := range map[string]struct {
		spoil      func(folder string) error
		file, want string
	}{
		"a byte": {func(f string) error { return flip(f+"/nf_tables.raw", 2) }, "nf_tables.raw", "is changed"},
		"cut":    {func(f string) error { return os.Truncate(f+"/nf_tables.raw", 1) }, "nf_tables.raw", "has 1 bytes, not 4"},
		"gone":   {func(f string) error { return os.Remove(f + "/sockets.json") }, "sockets.json", "is missing"},
		"extra":  {func(f string) error { return os.WriteFile(f+"/zz", nil, 0o600) }, "zz", "not in the manifest"},
		"symlink": {func(f string) error {
			return errors.Join(os.Rename(f+"/empty", f+"/../../e"), os.Symlink("../../e", f+"/empty"))
		}, "empty", "symlink"},
		"manifest":         {func(f string) error { return flip(f+"/manifest.json", 40) }, "manifest.json", "is changed"},
		"manifest gone":    {func(f string) error { return os.Remove(f + "/manifest.json") }, "manifest.json", "no such file"},
		"manifest cut":     {func(f string) error { return os.Truncate(f+"/manifest.json", 100) }, "manifest.json", "is changed"},
		"manifest and all": {forge, "manifest.json", "is changed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			id := take(t, s)
			folder := filepath.Join(s.snapshots.path, id)
			unlock(t, folder)
			if err := c.spoil(folder); err != nil {
				t.Fatal(err)
			}
			damage, err := s.Verify(id)
			if err != nil || len(damage) != 1 || damage[0].File != c.file || !strings.Contains(damage[0].Why, c.want) {
				t.Errorf("got %+v, %v; want %s: %s", damage, err, c.file, c.want)
			}
			if list, err := s.List(); err != nil || len(list) != 1 || (list[0].Damage != "") != (c.file == "manifest.json") {
				t.Errorf("list %+v %v", list, err)
			}
			if _, err := s.File(id, c.file); err == nil {
				t.Error("the damaged file was given out")
			}
		})
	}
}

// flip changes one bit of one byte.
func flip(path string, at int) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	data[at] ^= 1
	return errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600))
}

// forge changes a file and writes a manifest that fits it.
func forge(folder string) error {
	data, err := os.ReadFile(folder + "/manifest.json")
	if err != nil {
		return err
	}
	forged := bytes.Replace(data, []byte(sha256Hex(files()["empty"])), []byte(sha256Hex([]byte("x"))), 1)
	forged = bytes.Replace(forged, []byte(`"size": 0`), []byte(`"size": 1`), 1)
	return errors.Join(os.WriteFile(folder+"/empty", []byte("x"), 0o600), os.WriteFile(folder+"/manifest.json", forged, 0o600))
}

func TestHostileFileNamesAreRefused(t *testing.T) {
	s := newStore(t)
	for _, name := range []string{"", ".", "..", "a/b", "../../x", "a\x00b", strings.Repeat("x", 256), manifestName} {
		if _, err := s.Take(origin(t), map[string][]byte{name: nil}); err == nil {
			t.Errorf("%q was taken", name)
		}
	}
	if names, _ := s.snapshots.names(); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}

func TestFullDisk(t *testing.T) {
	onTmpfs(t, "256k", func(path string) {
		s, err := Create(path + "/state")
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		kept, err := s.Take(origin(t), files())
		if err != nil {
			t.Error(err)
			return
		}
		for size := 32 << 10; size <= 1<<20; size *= 2 {
			big := map[string][]byte{"a": bytes.Repeat([]byte{1}, size), "b": bytes.Repeat([]byte{2}, size)}
			if _, err = s.Take(origin(t), big); err != nil {
				break
			}
		}
		if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "--state-dir") {
			t.Errorf("got %v", err)
		}
		checkNothingHalf(t, s, kept)
	})
}

func checkNothingHalf(t *testing.T, s *Store, kept string) {
	t.Helper()
	names, err := s.snapshots.names()
	if err != nil || len(names) == 0 {
		t.Errorf("%q %v", names, err)
	}
	for _, id := range names {
		if damage, err := s.Verify(id); err != nil || len(damage) > 0 {
			t.Errorf("%s: %v %v", id, damage, err)
		}
	}
	if _, err := s.Show(kept); err != nil {
		t.Error(err)
	}
}

func TestDiskThatFillsUpBetweenIntendAndDone(t *testing.T) {
	onTmpfs(t, "256k", func(path string) {
		s, err := Create(path + "/state")
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		j, err := s.Begin(somePlan(t, someID), noon)
		if err != nil {
			t.Error(err)
			return
		}
		defer j.Close()
		err = os.WriteFile(path+"/junk", make([]byte, 1<<20), 0o600)
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("the disk is not full: %v", err)
		}
		for range 100 {
			if err := j.Write(Entry{Time: noon, Event: DoneEvent}); err != nil {
				t.Errorf("the journal could not be written on: %v", err)
				return
			}
		}
		_, err = s.Begin(somePlan(t, "20261123T120001Z-00ff"), noon)
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("got %v", err)
		}
		if ids, _ := s.changes.names(); len(ids) != 1 {
			t.Errorf("left behind: %q", ids)
		}
	})
}

// A change stands and waits, somebody fills the disk: the way back is there.
func TestDiskThatFillsUpBeforeTheRollback(t *testing.T) {
	onTmpfs(t, "256k", func(path string) {
		s, err := Create(path + "/state")
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		j, err := s.Begin(somePlan(t, someID), noon)
		if err != nil {
			t.Error(err)
			return
		}
		err = errors.Join(j.Write(Entry{Event: Verified, Group: -1}), j.Close())
		if full := os.WriteFile(path+"/junk", make([]byte, 1<<20), 0o600); err != nil || !errors.Is(full, unix.ENOSPC) {
			t.Errorf("%v; the disk is not full: %v", err, full)
		}
		lock, err := s.Lock(noon)
		if err != nil {
			t.Errorf("the lock: %v", err)
			return
		}
		defer lock.Release()
		c, err := s.Newest()
		if err == nil {
			j, err = s.Continue(c)
		}
		for _, event := range []string{Restore, PutBack, RolledBack} {
			if err == nil {
				err = j.Write(Entry{Event: event})
			}
		}
		if err != nil {
			t.Errorf("the way back: %v", err)
			return
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		if c, err := s.Newest(); err != nil || !c.IsRolledBack() {
			t.Errorf("%+v %v", c, err)
		}
	})
}

func TestHalfALineIsTakenBack(t *testing.T) {
	onTmpfs(t, "256k", func(path string) {
		s, err := Create(path + "/state")
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		j, err := s.Begin(somePlan(t, someID), noon)
		if err != nil {
			t.Error(err)
			return
		}
		defer j.Close()
		err = j.Write(Entry{Event: FailedWith, Group: -1, Why: strings.Repeat("x", 1<<20)})
		if !errors.Is(err, unix.ENOSPC) {
			t.Errorf("got %v", err)
		}
		if err := j.Write(Entry{Event: RolledBack, Group: -1}); err != nil {
			t.Error(err)
		}
		if c, err := s.Newest(); err != nil || c.Torn || len(c.Entries) != 2 || !c.IsRolledBack() {
			t.Errorf("%+v %v", c, err)
		}
	})
}

func TestReadOnlyDisk(t *testing.T) {
	onTmpfs(t, "256k", func(path string) {
		s, err := Create(path + "/state")
		if err != nil {
			t.Error(err)
			return
		}
		defer s.Close()
		if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Error(err)
			return
		}
		_, createErr := Create(path + "/other")
		_, lockErr := s.Lock(noon)
		_, takeErr := s.Take(origin(t), files())
		_, beginErr := s.Begin(somePlan(t, someID), noon)
		for _, err := range []error{createErr, lockErr, takeErr, beginErr} {
			if !errors.Is(err, unix.EROFS) {
				t.Errorf("got %v", err)
			}
		}
		if !strings.Contains(createErr.Error(), "--state-dir") || !strings.Contains(lockErr.Error(), "--state-dir") {
			t.Error(createErr, lockErr)
		}
		if strings.Contains(lockErr.Error(), "free space") || !strings.Contains(lockErr.Error(), "writable again") {
			t.Errorf("what would a way back find in another place, or with more room: %v", lockErr)
		}
	})
}

func FuzzManifest(f *testing.F) {
	data, err := newManifest(Origin{Host: "h"}, files())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"schema_version":1,"files":[{"name":"../x"}]}`))
	f.Add([]byte(`{"schema_version":2}{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseManifest(data)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if checkName(file.Name) != nil {
				t.Errorf("the name %q went through", file.Name)
			}
		}
	})
}
