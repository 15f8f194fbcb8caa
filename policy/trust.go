package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// untrusted is an error of reading the file: an ErrPolicy that prints as what
// happened.
type untrusted struct{ error }

// Unwrap gives ErrPolicy and the reason.
func (u untrusted) Unwrap() []error { return []error{ErrPolicy, u.error} }

// maxLinks is the kernel's own bound on symbolic links in one path (MAXSYMLINKS,
// include/linux/namei.h).
const maxLinks = 40

// trustedPath resolves the path as the kernel would and checks every folder
// and link on the way. The result has no symbolic link left.
func trustedPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	w := walk{at: "/", rest: abs}
	if err := w.check("/"); err != nil {
		return "", err
	}
	for {
		done, err := w.step()
		if done || err != nil {
			return w.at, err
		}
	}
}

// walk is a path half resolved: at is resolved and trusted, rest is to come.
type walk struct {
	at, rest string
	links    int
}

func (w *walk) step() (done bool, err error) {
	name, rest, _ := strings.Cut(strings.TrimLeft(w.rest, "/"), "/")
	w.rest = rest
	switch name {
	case "":
		return rest == "", nil
	case ".":
		return false, nil
	case "..":
		w.at = filepath.Dir(w.at)
		return false, nil
	}
	next := filepath.Join(w.at, name)
	var st unix.Stat_t
	if err := unix.Lstat(next, &st); err != nil {
		return false, &os.PathError{Op: "open", Path: next, Err: err}
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return false, w.follow(next, &st)
	}
	w.at = next
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return false, trusted(&st, next)
	}
	return rest == "", nil // the file itself is checked where it is open
}

func (w *walk) check(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return trusted(&st, dir)
}

func (w *walk) follow(link string, st *unix.Stat_t) error {
	if w.links++; w.links > maxLinks {
		return &os.PathError{Op: "open", Path: link, Err: unix.ELOOP}
	}
	if !ours(st.Uid) {
		return fmt.Errorf("the link %s belongs to uid %d, who can point it elsewhere: chown -h root %s", link, st.Uid, link)
	}
	target, err := os.Readlink(link)
	if err != nil {
		return err
	}
	if filepath.IsAbs(target) {
		w.at = "/"
	}
	w.rest = target + "/" + w.rest
	return nil
}

// trusted says that only root and the user who runs natwarden can write the
// file or folder. In a sticky folder of root's, such as /tmp, nobody can exchange
// what belongs to another.
func trusted(st *unix.Stat_t, path string) error {
	folder := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if !ours(st.Uid) {
		return fmt.Errorf("%s belongs to uid %d, who can write it: chown root %s", path, st.Uid, path)
	}
	if folder && st.Mode&unix.S_ISVTX != 0 && st.Uid == 0 {
		return nil
	}
	if st.Mode&(unix.S_IWGRP|unix.S_IWOTH) != 0 {
		return fmt.Errorf("%s can be written by others than root (mode %04o): chmod go-w %s", path, st.Mode&0o7777, path)
	}
	return nil
}

func ours(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }
