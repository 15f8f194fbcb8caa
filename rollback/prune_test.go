package rollback

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// aged takes snapshots of the given ages in days, oldest first.
func aged(t *testing.T, s *Store, days ...int) []string {
	t.Helper()
	var ids []string
	for _, d := range days {
		o := origin(t)
		o.Time = noon.AddDate(0, 0, -d)
		id, err := s.Take(o, files())
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func TestWhichSnapshotsGo(t *testing.T) {
	day := 24 * time.Hour
	for _, tc := range []struct {
		keep Keep
		gone int
	}{
		{Keep{Newest: 2}, 3}, {Keep{Younger: 15 * day}, 3}, {Keep{Newest: 1, Younger: 35 * day}, 2},
		{Keep{Newest: 9}, 0}, {Keep{}, 5}, {DefaultKeep(), 0}, {Keep{Newest: 3, Younger: 5 * day}, 2},
	} {
		s := newStore(t)
		ids := aged(t, s, 50, 40, 30, 10, 1)
		all, err := s.Prune(tc.keep, noon)
		if err != nil || len(all) != 5 {
			t.Fatal(all, err)
		}
		left, err := s.List()
		if err != nil || len(left) != 5-tc.gone {
			t.Fatalf("%+v: %d left, want %d (%v)", tc.keep, len(left), 5-tc.gone, err)
		}
		for i, snap := range left {
			if snap.ID != ids[tc.gone+i] {
				t.Errorf("%+v: left are %+v", tc.keep, left)
			}
		}
	}
}

func TestWhatAChangeNeedsStays(t *testing.T) {
	for name, tc := range map[string]struct {
		events []string
		stays  bool
	}{
		"begun": {nil, true}, "halfway": {[]string{Intend}, true}, "verified": {[]string{Verified}, true},
		"being rolled back": {[]string{Verified, Restore}, true}, "rolled back": {[]string{Verified, Restore, PutBack, RolledBack}, false},
	} {
		s := newStore(t)
		ids := aged(t, s, 50, 40)
		p := somePlan(t, someID)
		p.Snapshot = ids[0]
		j, err := s.Begin(p, noon)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range tc.events {
			note(t, j, Entry{Event: e})
		}
		j.Close()
		if _, err := s.Prune(Keep{}, noon); err != nil {
			t.Fatal(err)
		}
		left, err := s.List()
		if err != nil || (len(left) == 1 && left[0].ID == ids[0]) != tc.stays {
			t.Errorf("%s: left are %+v, %v", name, left, err)
		}
	}
}

// A snapshot whose change lost its journal is all that is left of it.
func TestASnapshotWithoutAJournalStays(t *testing.T) {
	s := newStore(t)
	ids := aged(t, s, 50, 40)
	if err := s.Remember(Last{Change: someID, Snapshot: ids[0]}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prune(Keep{}, noon); err != nil {
		t.Fatal(err)
	}
	if left, err := s.List(); err != nil || len(left) != 1 || left[0].ID != ids[0] {
		t.Errorf("%+v, %v", left, err)
	}
}

func TestDamagedSnapshotsStay(t *testing.T) {
	s := newStore(t)
	ids := aged(t, s, 50, 40)
	path := filepath.Join(s.Path(), snapshotsDir, ids[0], manifestName)
	if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte("{}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prune(Keep{}, noon); err != nil {
		t.Fatal(err)
	}
	if left, err := s.List(); err != nil || len(left) != 1 || left[0].ID != ids[0] {
		t.Errorf("%+v, %v", left, err)
	}
}

// Wherever a removal is interrupted, the store is whole: the snapshot is there
// or not, and the next lock clears the rest away.
func TestInterruptedRemoval(t *testing.T) {
	for left := range 4 {
		s := newStore(t)
		ids := aged(t, s, 50, 40)
		temp := tempPrefix + "removal"
		if err := s.snapshots.rename(ids[0], temp); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(s.Path(), snapshotsDir, temp)
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		names, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names[:left] {
			if err := os.Remove(filepath.Join(dir, n.Name())); err != nil {
				t.Fatal(err)
			}
		}
		if all, err := s.List(); err != nil || len(all) != 1 || all[0].ID != ids[1] {
			t.Errorf("%+v, %v", all, err)
		}
		l, err := s.Lock(noon)
		if err != nil {
			t.Fatal(err)
		}
		l.Release()
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%d files of it gone: the rest stays: %v", left, err)
		}
		if damage, err := s.Verify(ids[1]); err != nil || len(damage) > 0 {
			t.Errorf("%v %v", damage, err)
		}
	}
}

func exported(t *testing.T) []byte {
	t.Helper()
	s := newStore(t)
	id := take(t, s)
	path := filepath.Join(t.TempDir(), "out.tar")
	if err := s.Export(id, path, map[string][]byte{"text": []byte("for people\n")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Export(id, path, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("it overwrote: %v", err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", st, err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestArchive(t *testing.T) {
	data := exported(t)
	a, damage, err := ReadArchive(bytes.NewReader(data))
	if err != nil || len(damage) > 0 || len(a.Files) != len(files()) || string(a.Courtesy["text"]) != "for people\n" {
		t.Fatalf("%+v %v %v", a, damage, err)
	}
	for name, want := range files() {
		if !bytes.Equal(a.Files[name], want) {
			t.Errorf("%s: %q", name, a.Files[name])
		}
	}
	for cut := 0; cut < len(data)-1024; cut += 512 {
		if a, damage, err := ReadArchive(bytes.NewReader(data[:cut])); err == nil && len(damage) == 0 && len(a.Courtesy) == 1 {
			t.Errorf("the first %d of %d bytes pass for all", cut, len(data))
		}
	}
}

// No bit of what the manifest proves can change unseen.
// 10 KiB of archive must not become 64 MiB of memory, or all of it.
func TestSparseArchiveIsRefused(t *testing.T) {
	dir, name := t.TempDir(), "natwarden-snapshot-0123456789abcdef0123456789abcdef/manifest.json"
	if err := os.Mkdir(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, name), nil, 0o600), os.Truncate(filepath.Join(dir, name), 64<<20)); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"pax", "gnu"} {
		data, err := exec.Command("tar", "-C", dir, "-cS", "--format="+format, name).Output()
		if err != nil || len(data) > 1<<20 {
			t.Fatalf("tar made %d bytes: %v", len(data), err)
		}
		if _, _, err := ReadArchive(bytes.NewReader(data)); err == nil || !strings.Contains(err.Error(), "no plain file") {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestEveryChangedBitOfAnArchiveIsSeen(t *testing.T) {
	data := exported(t)
	at := bytes.Index(data, files()["nf_tables.raw"])
	for _, i := range []int{at, at + 2, bytes.Index(data, []byte(`"sha256"`)) + 12, bytes.Index(data, []byte("[]\n"))} {
		spoilt := slices.Clone(data)
		spoilt[i] ^= 4
		if _, damage, err := ReadArchive(bytes.NewReader(spoilt)); err == nil && len(damage) == 0 {
			t.Errorf("a change of byte %d is not seen", i)
		}
	}
}

func TestExportOfADamagedSnapshotIsRefused(t *testing.T) {
	s := newStore(t)
	id := take(t, s)
	file := filepath.Join(s.Path(), snapshotsDir, id, "nf_tables.raw")
	if err := errors.Join(os.Chmod(file, 0o600), os.WriteFile(file, []byte("xxxx"), 0o600)); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out.tar")
	if err := s.Export(id, out, nil); err == nil {
		t.Error("it was exported")
	}
	if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
		t.Error("a file was made")
	}
}

func FuzzArchive(f *testing.F) {
	s, err := Create(filepath.Join(f.TempDir(), "state"))
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	o, err := Here("test", noon, nil)
	if err != nil {
		f.Fatal(err)
	}
	id, err := s.Take(o, files())
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(f.TempDir(), "out.tar")
	if err := s.Export(id, path, nil); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		a, damage, err := ReadArchive(bytes.NewReader(data))
		if err == nil && len(damage) == 0 && len(a.Files) != len(a.Manifest.Files) {
			t.Fatalf("%d files, %d in the manifest", len(a.Files), len(a.Manifest.Files))
		}
	})
}
