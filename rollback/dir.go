package rollback

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/retry"
)

// dir is an open folder. Everything below it is reached by one name at a time
// relative to its descriptor and never through a symlink, so that nobody can
// swap a part of the path under us (openat(2), O_NOFOLLOW).
type dir struct {
	file *os.File
	path string
}

func (d *dir) fd() int { return int(d.file.Fd()) }

// Close lets the folder go.
func (d *dir) Close() error { return d.file.Close() }

// checkName refuses what would lead out of the folder.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q is no file name", name)
	}
	return nil
}

// sub opens a folder inside. A folder that is not there (nil) holds nothing.
func (d *dir) sub(name string) (*dir, error) {
	if d == nil {
		return nil, &fs.PathError{Op: "opening", Path: name, Err: fs.ErrNotExist}
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	path := filepath.Join(d.path, name)
	fd, err := retry.Open(func() (int, error) {
		return unix.Openat(d.fd(), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%s is a symlink or no folder: natwarden follows none", path)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "opening", Path: path, Err: err}
	}
	return &dir{os.NewFile(uintptr(fd), path), path}, nil
}

// mkdir makes a folder inside with mode 0700 and opens it.
func (d *dir) mkdir(name string) (*dir, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if err := retry.Call(func() error { return unix.Mkdirat(d.fd(), name, 0o700) }); err != nil {
		return nil, &fs.PathError{Op: "making", Path: filepath.Join(d.path, name), Err: err}
	}
	return d.sub(name)
}

// ensure opens a folder inside, and makes it where it is missing.
func (d *dir) ensure(name string) (*dir, error) {
	s, err := d.mkdir(name)
	if errors.Is(err, fs.ErrExist) {
		return d.sub(name)
	}
	if err != nil {
		return nil, err
	}
	if err := d.sync(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// open opens a file inside with mode 0600 where it is made. It must be a
// regular file with one name: no symlink, device, pipe or hard link.
func (d *dir) open(name string, flags int) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	path := filepath.Join(d.path, name)
	fd, err := retry.Open(func() (int, error) {
		return unix.Openat(d.fd(), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0o600)
	})
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symlink: natwarden follows none", path)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "opening", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	if err := checkRegular(fd, path); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func checkRegular(fd int, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &fs.PathError{Op: "examining", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink > 1 {
		return fmt.Errorf("%s is no regular file of its own", path)
	}
	return nil
}

// read gives a file's bytes, at most limit of them.
func (d *dir) read(name string, limit int64) ([]byte, error) {
	f, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", f.Name(), limit)
	}
	return data, nil
}

// write makes a new file with the given bytes and brings it to the disk.
func (d *dir) write(name string, data []byte) error {
	f, err := d.open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Name(), err)
	}
	return nil
}

// rename gives a new name inside the folder, which must be free, and brings
// the folder to the disk.
func (d *dir) rename(from, to string) error {
	if err := errors.Join(checkName(from), checkName(to)); err != nil {
		return err
	}
	err := retry.Call(func() error { return unix.Renameat2(d.fd(), from, d.fd(), to, unix.RENAME_NOREPLACE) })
	if err != nil {
		return &fs.PathError{Op: "naming", Path: filepath.Join(d.path, to), Err: err}
	}
	return d.sync()
}

func (d *dir) sync() error {
	if err := d.file.Sync(); err != nil {
		return fmt.Errorf("bringing %s to the disk: %w", d.path, err)
	}
	return nil
}

// names lists the folder in order. It opens the folder anew: a descriptor
// remembers how far it was read. A folder that is not there (nil) has none.
func (d *dir) names() ([]string, error) {
	if d == nil {
		return nil, nil
	}
	fd, err := retry.Open(func() (int, error) {
		return unix.Openat(d.fd(), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &fs.PathError{Op: "listing", Path: d.path, Err: err}
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", d.path, err)
	}
	slices.Sort(names)
	return names, nil
}

// discard removes a folder of plain files inside. It descends nowhere:
// natwarden nests no deeper.
func (d *dir) discard(name string) error {
	s, err := d.sub(name)
	if err != nil {
		return err
	}
	defer s.Close()
	names, err := s.names()
	if err != nil {
		return err
	}
	if err := retry.Call(func() error { return unix.Fchmod(s.fd(), 0o700) }); err != nil {
		return &fs.PathError{Op: "unlocking", Path: s.path, Err: err}
	}
	for _, n := range names {
		if err := retry.Call(func() error { return unix.Unlinkat(s.fd(), n, 0) }); err != nil {
			return &fs.PathError{Op: "removing", Path: filepath.Join(s.path, n), Err: err}
		}
	}
	if err := retry.Call(func() error { return unix.Unlinkat(d.fd(), name, unix.AT_REMOVEDIR) }); err != nil {
		return &fs.PathError{Op: "removing", Path: s.path, Err: err}
	}
	return nil
}
