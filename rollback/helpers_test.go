package rollback

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func create(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newStore(t *testing.T) *Store {
	t.Helper()
	return create(t, filepath.Join(t.TempDir(), "state"))
}

func origin(t *testing.T) Origin {
	t.Helper()
	o, err := Here("test", noon, []Netns{{Dev: 4, Ino: 4026531840}})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func files() map[string][]byte {
	return map[string][]byte{"nf_tables.raw": {0, 1, 2, 255}, "sockets.json": []byte("[]\n"), "empty": {}}
}

func take(t *testing.T, s *Store) string {
	t.Helper()
	id, err := s.Take(origin(t), files())
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func somePlan(t *testing.T, id string) Plan {
	t.Helper()
	rule := &change.Object{Kind: "rule", Backend: "nf_tables", Family: "ip", Table: "nat\"\n<", Chain: "PREROUTING", Fingerprint: "b", Raw: []byte{1, 0, 255}}
	return Plan{Change: id, Origin: origin(t), Snapshot: "aa", Groups: []Group{{
		Backend: "nf_tables", Generation: 3, Before: map[string][]string{"ip nat PREROUTING": {"a", "b"}},
		Steps: []change.Step{{IDs: []string{"x"}, Action: change.Delete, Before: rule, Reversible: true}},
	}}}
}

const someID = "20261123T120000Z-00ff"

func begin(t *testing.T, s *Store) *Journal {
	t.Helper()
	j, err := s.Begin(somePlan(t, someID), noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func note(t *testing.T, j *Journal, e Entry) {
	t.Helper()
	if err := j.Write(e); err != nil {
		t.Fatal(err)
	}
}

// unlock lets a test spoil what the store keeps read-only.
func unlock(t *testing.T, folder string) {
	t.Helper()
	for path, mode := range map[string]os.FileMode{folder: 0o700} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}

// onTmpfs runs work with a tmpfs of the given size at the path, in a mount
// namespace of the test's own, on a thread that is thrown away.
func onTmpfs(t *testing.T, size string, work func(path string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		labtest.Unmet(t, "needs root to mount a small disk")
	}
	path := t.TempDir()
	done := make(chan error, 1)
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked
		if err := privateTmpfs(path, size); err != nil {
			done <- err
			return
		}
		work(path)
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func privateTmpfs(path, size string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("natwarden-test", path, "tmpfs", 0, "mode=0700,size="+size)
}
