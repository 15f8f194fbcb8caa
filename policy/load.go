package policy

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// MaxSize is the largest policy that is read, in bytes.
const MaxSize = 1 << 20

// Load reads a policy file. It refuses a file that others than root (or the
// user who runs natwarden) could have written: whoever writes the policy
// decides what natwarden removes. Every error is an ErrPolicy; a missing file
// is an fs.ErrNotExist as well.
func Load(path string) (*Policy, error) {
	data, err := readTrusted(path, MaxSize)
	if err != nil {
		return nil, fmt.Errorf("reading policy %s: %w", path, untrusted{err})
	}
	return Parse(data, path)
}

// ReadTrusted reads a file that decides what natwarden does, at most limit
// bytes of it. It refuses one that others than root (or the user who runs natwarden) could have
// written, as Load does.
func ReadTrusted(path string, limit int64) ([]byte, error) {
	data, err := readTrusted(path, limit)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return data, nil
}

// TrustedProgram refuses a program that others than root (or the user who runs
// natwarden) could have written, or that cannot be run.
func TrustedProgram(path string) error {
	real, err := trustedPath(path)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(real, &st); err != nil {
		return &os.PathError{Op: "stat", Path: real, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
		return fmt.Errorf("%s is no program that can be run", path)
	}
	return trusted(&st, real)
}

// readTrusted follows symbolic links, so that a policy may stand in a
// checkout, but only through folders, links and to a file that nobody else can
// change; after that walk the place cannot be exchanged under it.
func readTrusted(path string, limit int64) ([]byte, error) {
	real, err := trustedPath(path)
	if err != nil {
		return nil, err
	}
	// O_NONBLOCK: opening a FIFO must not wait for a writer.
	fd, err := unix.Open(real, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: real, Err: err}
	}
	file := os.NewFile(uintptr(fd), real)
	defer file.Close()
	if err := trustedFile(fd, real); err != nil {
		return nil, err
	}
	return readBounded(file, limit)
}

func trustedFile(fd int, path string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("%s is no regular file", path)
	}
	return trusted(&st, path)
}

func readBounded(file *os.File, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d MiB", file.Name(), limit>>20)
	}
	return data, err
}
