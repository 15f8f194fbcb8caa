//go:build amd64

package trial

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab/fault"
)

// TestHardPlaces runs the verbs where the state directory or the memory does not
// do what they need: what is said must be true, and the host as before or as after.
func TestHardPlaces(t *testing.T) { inShards(t, "TestHardPlacesInside", 1) }

// TestHardPlacesInside is TestHardPlaces, inside.
func TestHardPlacesInside(t *testing.T) {
	x := newTrial(&bench{T: t, folder: inside(t)}, worlds()[0])
	for name, place := range map[string]func(*trial){
		"read-only": (*trial).readOnly, "full": (*trial).full, "no memory": (*trial).noMemory,
	} {
		x.T = t
		x.reset()
		t.Logf("== %s", name)
		place(x)
		x.state = filepath.Join(x.folder, "after-"+strings.ReplaceAll(name, " ", "-"))
		x.tries = 3 // the next change is tried
		x.next(&phase{name: name}, fault.Call{}, "nothing", false)
	}
}

// disk mounts a disk in memory for the state directory.
func (x *trial) disk(name, size string) (unmount func()) {
	x.Helper()
	path := filepath.Join(x.folder, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		x.Fatal(err)
	}
	if err := unix.Mount("natwarden-trial", path, "tmpfs", 0, "mode=700,size="+size); err != nil {
		x.Fatal(err)
	}
	x.state = filepath.Join(path, "state")
	return func() {
		x.endAll()
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			x.Error(err)
		}
	}
}

// readOnly: nothing is changed, and the message names a way out; also where a
// change is there to be taken back.
func (x *trial) readOnly() {
	x.Helper()
	defer x.disk("locked", "1m")()
	lock := func(flags uintptr) {
		if err := unix.Mount("", filepath.Dir(x.state), "", unix.MS_REMOUNT|flags, ""); err != nil {
			x.Fatal(err)
		}
	}
	lock(unix.MS_RDONLY)
	if r := x.plain(keeping(theChange)...); r.code != 1 || x.stands() != asBefore || !strings.Contains(r.out, "--state-dir") {
		x.Errorf("a read-only state directory: %s", r)
	}
	lock(0)
	x.want(0, x.plain(keeping(theChange)...))
	lock(unix.MS_RDONLY)
	for _, verb := range [][]string{{"rollback", "--yes"}, {"confirm"}, {"recover"}} {
		if r := x.plain(verb...); r.code != 1 || x.stands() != asAfter {
			x.Errorf("%s in a read-only state directory: %s\n%s", verb[0], r, x.stands())
		}
	}
	lock(0)
	x.want(0, x.plain("rollback", "--yes"))
	if how := x.stands(); how != asBefore {
		x.Errorf("after the rollback: %s", how)
	}
}

// full tries disks of every size from one that holds nothing to one that holds
// all: it is either refused before anything happens, or done.
func (x *trial) full() {
	x.Helper()
	done, refused := 0, 0
	for size := 8; size <= 600; size += 24 + size/4 {
		x.fresh()
		unmount := x.disk(fmt.Sprintf("full%d", size), fmt.Sprintf("%dk", size))
		flowThere(x.T)
		r := x.plain(keeping(theChange)...)
		switch how := x.stands(); {
		case r.code == 0 && how == asAfter:
			done++
			// The way back must be there even though nothing more can be written.
			_ = os.WriteFile(filepath.Join(filepath.Dir(x.state), "junk"), make([]byte, 1<<20), 0o600)
			if r := x.plain("rollback", "--full", "--yes"); r.code != 1 || x.stands() != asAfter { // there is no room for the snapshot of what is there
				x.Errorf("rollback --full on a full disk of %d KiB: %s\n%s", size, r, x.stands())
			}
			if r := x.plain("rollback", "--yes"); r.code != 0 {
				x.Errorf("rollback on a full disk of %d KiB: %s", size, r)
			}
			_ = os.Remove(filepath.Join(filepath.Dir(x.state), "junk"))
			x.want(0, x.plain("recover"))
		case r.code == 1 && how == asBefore:
			refused++
		case r.code == 4 && how == asBefore:
		default:
			x.Errorf("a disk of %d KiB: %s\n%s", size, r, how)
		}
		if how := x.stands(); how != asBefore {
			x.Errorf("a disk of %d KiB: not as before in the end: %s", size, how)
			x.reset()
		}
		unmount()
	}
	if done == 0 || refused == 0 {
		x.Errorf("%d disks were large enough and %d too small: the test tries the wrong sizes", done, refused)
	}
}

// noMemory gives natwarden less and less address space (RLIMIT_AS, setrlimit(2)).
// However it ends, nobody may take its exit code for a verdict that is not so.
func (x *trial) noMemory() {
	x.Helper()
	done, died := 0, 0
	for _, mib := range []uint64{4096, 1400, 1300, 1250, 1200, 1150, 1100, 600, 100} {
		x.fresh()
		flowThere(x.T)
		r := x.plainWith(mib<<20, keeping(theChange)...)
		how := x.stands()
		switch {
		case r.code == 0 && how == asAfter:
			done++
		case r.code == 2 && how == asBefore && strings.Contains(r.out, "runtime") && !strings.Contains(r.out, "main.natwarden"):
			died++ // the Go runtime itself, before natwarden could say how it ends
		case r.code == 0, (r.code == 2 || r.code == 3) && how == asBefore, r.code == 1 && how != asBefore:
			x.Errorf("with %d MiB it says what is not so: %s\n%s", mib, r, how)
		default:
			died++
		}
		if r := x.calm("recover"); r.code != 0 {
			x.Errorf("recover: %s", r)
		}
		if x.stands() == asAfter {
			x.want(0, x.plain("rollback", "--yes"))
		}
		if how := x.stands(); how != asBefore {
			x.Errorf("with %d MiB: %s", mib, how)
			x.reset()
		}
	}
	if done == 0 || died == 0 {
		x.Errorf("%d runs had enough memory and %d too little: the test tries the wrong sizes", done, died)
	}
}

// plainWith is plain with a limit of the address space, in bytes.
func (b *bench) plainWith(limit uint64, args ...string) ran {
	b.Helper()
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		b.Fatal(err)
	}
	return b.program(append([]string{prlimit, fmt.Sprintf("--as=%d", limit), os.Getenv(envBinary)}, args...)...)
}
