package edit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/bpf"
	"github.com/natwarden/natwarden/internal/retry"
)

// Keep is a folder in a bpffs in which programs are pinned before they are
// detached. Programs end with the boot, and so does it.
type Keep struct {
	dir   string
	mount bool // dir is a mount point of its own
}

// DefaultKeep is a folder in the host's bpffs where one is mounted, else a
// bpffs of natwarden's own below /run.
func DefaultKeep() Keep {
	if bpf.Mounted("/sys/fs/bpf") {
		return Keep{dir: "/sys/fs/bpf/natwarden"}
	}
	return Keep{dir: "/run/natwarden/bpf", mount: true}
}

// Path is where the keep holds a name.
func (k Keep) Path(name string) string { return filepath.Join(k.dir, name) }

// possible says why nothing can be kept; nil where something can. It changes nothing.
func (k Keep) possible() error {
	if bpf.Mounted(k.dir) {
		return nil
	}
	if !k.mount {
		return fmt.Errorf("%s is not on a bpffs: mount one with mount -t bpf bpf /sys/fs/bpf", k.dir)
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil || !strings.Contains(string(known), "\tbpf\n") {
		return errors.New("the kernel has no bpffs to keep the program in")
	}
	if !mountsLast() {
		return errors.New("a bpffs mounted here would end with natwarden: mount one on /sys/fs/bpf of the host, or run natwarden in the host's mount namespace (nsenter, not ip netns exec)")
	}
	return nil
}

// mountsLast says whether what is mounted outlives natwarden: the mount
// namespace is that of whoever started it.
func mountsLast() bool {
	var own, parent unix.Stat_t
	if unix.Stat("/proc/self/ns/mnt", &own) != nil || unix.Stat(fmt.Sprintf("/proc/%d/ns/mnt", os.Getppid()), &parent) != nil {
		return false
	}
	return own.Ino == parent.Ino && own.Dev == parent.Dev
}

// open makes the folder, and mounts the bpffs where it must.
func (k Keep) open() error {
	if err := k.possible(); err != nil {
		return err
	}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return fmt.Errorf("making a folder for detached programs: %w", err)
	}
	if !k.mount {
		return ownFolder(k.dir)
	}
	if bpf.Mounted(k.dir) {
		return nil
	}
	mount := func() error {
		return unix.Mount("natwarden", k.dir, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700")
	}
	if err := retry.Call(mount); err != nil {
		return fmt.Errorf("mounting a bpffs on %s: %w", k.dir, err)
	}
	return nil
}

// ownFolder says why a folder in a bpffs that others share is not root's alone:
// whoever may write there could take the way back away.
func ownFolder(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return fmt.Errorf("looking at %s: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || st.Uid != 0 || st.Mode&0o022 != 0 {
		return fmt.Errorf("%s is not a folder that only root can write", dir)
	}
	return nil
}

// close takes the folder away where nothing is left in it.
func (k Keep) close() {
	entries, err := os.ReadDir(k.dir)
	if err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !strings.HasSuffix(e.Name(), ".debug") }) {
		return // maps.debug and progs.debug are the kernel's own
	}
	if k.mount && bpf.Mounted(k.dir) && unix.Unmount(k.dir, 0) != nil {
		return
	}
	_ = os.Remove(k.dir)
}

// Program pins a program by its id at a path of the keep. What is pinned there
// already must be the same program.
func (k Keep) Program(id uint32, path string) error {
	if err := k.open(); err != nil {
		return err
	}
	p, err := programOf(id)
	if err != nil {
		return fmt.Errorf("opening eBPF program %d: %w", id, err)
	}
	defer p.Close()
	err = retry.Call(func() error { return p.Pin(path) })
	if errors.Is(err, os.ErrExist) {
		return samePin(path, id)
	}
	if err != nil {
		return fmt.Errorf("pinning eBPF program %d at %s: %w", id, path, err)
	}
	return nil
}

func samePin(path string, id uint32) error {
	p, err := Kept(path)
	if err != nil {
		return err
	}
	defer p.Close()
	there, err := bpf.IDOf(p)
	if err != nil {
		return fmt.Errorf("reading the pin %s: %w", path, err)
	}
	if there != id {
		return fmt.Errorf("%s holds another program already", path)
	}
	return nil
}

// Kept opens a program that was pinned.
func Kept(path string) (*ebpf.Program, error) {
	p, err := retry.Get(func() (*ebpf.Program, error) { return ebpf.LoadPinnedProgram(path, &ebpf.LoadPinOptions{}) })
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the program is no longer kept at %s (a restart ends it): %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the program kept at %s: %w", path, err)
	}
	return p, nil
}

// present says whether a program is pinned at a path.
func present(path string) error {
	if path == "" {
		return errors.New("no program was kept")
	}
	p, err := Kept(path)
	if err == nil {
		p.Close()
	}
	return err
}

// Possible says why no program can be kept; nil where one can.
func (k Keep) Possible() error { return k.possible() }

// Effects says what keeping a program does besides; nothing where none can be kept.
func (k Keep) Effects() []string {
	if k.possible() != nil {
		return nil
	}
	return []string{"programs stay loaded, pinned in " + k.dir + ", as the way back, until a restart or until those files are removed"}
}

// Present says why a program that was kept at a path is not there; nil where it is.
func Present(path string) error { return present(path) }

// Forget removes a pin of the keep, and the keep where it was the last.
func (k Keep) Forget(path string) {
	if filepath.Dir(path) == k.dir {
		_ = os.Remove(path) // what stays holds a program in memory, no more
	}
	k.close()
}

// KeepIn is a bpffs of its own, mounted on a folder when it is first needed.
func KeepIn(dir string) Keep { return Keep{dir: dir, mount: true} }
