package rollback

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultDir is the state directory unless the user names another.
const DefaultDir = "/var/lib/natwarden"

// ErrNoState says that the state directory does not exist: natwarden has
// changed nothing on this host yet.
var ErrNoState = errors.New("no state directory")

// The folders of a state directory.
const (
	snapshotsDir = "snapshots"
	changesDir   = "changes"
	// tempPrefix begins the names of folders that are not complete yet.
	tempPrefix = ".tmp-"
)

// Store is an open state directory:
//
//	lock                     one writer at a time
//	snapshots/ID/            manifest.json and the files it lists
//	changes/CHANGE/          plan.json and journal: all that a rollback needs
//	last-plan.json           what the last change took away, in words
//	actions.log              who did what
//	actions.head             the last line of that
//
// Whoever can write it can decide what a rollback puts into the kernel. So it
// is refused when others than root and the caller can write it or a folder
// above it, or when a symlink leads to it.
type Store struct {
	root, snapshots, changes *dir // the last two nil where they are missing and were not made
}

// Create opens the state directory and makes it, mode 0700, where it is missing.
func Create(path string) (*Store, error) {
	s, err := openStore(path, (*dir).ensure)
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSPC) {
		return nil, fmt.Errorf("%w; name another place with --state-dir", err)
	}
	return s, err
}

// Open opens a state directory that is there; a missing one is ErrNoState.
func Open(path string) (*Store, error) {
	s, err := openStore(path, (*dir).sub)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNoState, err)
	}
	return s, err
}

// Path is where the store is.
func (s *Store) Path() string { return s.root.path }

// Close lets the state directory go.
func (s *Store) Close() error {
	var errs []error
	for _, d := range []*dir{s.root, s.snapshots, s.changes} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

// step opens the next folder of a path.
type step = func(*dir, string) (*dir, error)

func openStore(path string, next step) (*Store, error) {
	root, err := walk(path, next)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	s := &Store{root: root}
	for _, inside := range []struct {
		name string
		d    **dir
	}{{changesDir, &s.changes}, {snapshotsDir, &s.snapshots}} {
		*inside.d, err = next(root, inside.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // lost: what the other one holds is still good
		}
		if err == nil {
			err = (*inside.d).checkOwn()
		}
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("state directory: %w", err)
		}
	}
	return s, nil
}

// walk opens a path folder by folder from the root and looks at each.
func walk(path string, next step) (*dir, error) {
	path, err := absolute(path)
	if err != nil {
		return nil, err
	}
	root, err := os.Open("/")
	if err != nil {
		return nil, err
	}
	here := &dir{root, "/"}
	for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' }) {
		err := here.checkParent()
		var below *dir
		if err == nil {
			below, err = next(here, name)
		}
		here.Close()
		if err != nil {
			return nil, err
		}
		here = below
	}
	if err := here.checkOwn(); err != nil {
		here.Close()
		return nil, err
	}
	return here, nil
}

// absolute completes a relative path with the kernel's idea of the current
// folder: $PWD may lead through symlinks.
func absolute(path string) (string, error) {
	if path == "" {
		path = DefaultDir
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(buf)
	if err != nil {
		return "", fmt.Errorf("finding the current folder: %w", err)
	}
	return filepath.Join(string(buf[:n-1]), path), nil
}

// checkOwn refuses a folder that others can write.
func (d *dir) checkOwn() error {
	st, err := d.ownedByUs()
	if err != nil {
		return err
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("%s can be written by others (mode %04o): chmod 0700 it, or name another with --state-dir", d.path, st.Mode&0o7777)
	}
	return nil
}

// checkParent refuses a folder in which others can swap what lies below: one
// that they own, or can write and that is not sticky as /tmp is.
func (d *dir) checkParent() error {
	st, err := d.ownedByUs()
	if err != nil {
		return err
	}
	if st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return fmt.Errorf("%s, above the state directory, can be written by others (mode %04o)", d.path, st.Mode&0o7777)
	}
	return nil
}

func (d *dir) ownedByUs() (*unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd(), &st); err != nil {
		return nil, &fs.PathError{Op: "examining", Path: d.path, Err: err}
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("%s belongs to uid %d: neither root nor the caller", d.path, st.Uid)
	}
	return &st, nil
}

// clean removes what an interrupted run left half written. The caller holds
// the lock.
func (s *Store) clean() error {
	for _, d := range []*dir{s.snapshots, s.changes} {
		names, err := d.names()
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, tempPrefix) {
				continue
			}
			if err := d.discard(name); err != nil {
				return fmt.Errorf("clearing away an interrupted run: %w", err)
			}
		}
	}
	return nil
}
