package qemu

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// archive writes a file system as the kernel unpacks it at boot ("newc",
// Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	w    *bufio.Writer
	dirs map[string]bool
	err  error
	ino  int
}

func newArchive(w io.Writer) *archive {
	return &archive{w: bufio.NewWriterSize(w, 1<<20), dirs: map[string]bool{".": true}}
}

func (a *archive) entry(name string, mode uint32, data io.Reader, size int64) {
	if a.err != nil {
		return
	}
	a.ino++
	links := 1
	_, a.err = fmt.Fprintf(a.w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, links, 0, size, 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad(110 + int64(len(name)) + 1)
	if a.err == nil {
		_, a.err = io.CopyN(a.w, data, size)
	}
	a.pad(size)
}

// pad fills up to a multiple of four.
func (a *archive) pad(size int64) {
	for ; size%4 != 0 && a.err == nil; size++ {
		a.err = a.w.WriteByte(0)
	}
}

// dir makes a folder with those above it.
func (a *archive) dir(name string) {
	name = strings.Trim(path.Clean(name), "/")
	if name == "" || a.dirs[name] {
		return
	}
	a.dir(path.Dir(name))
	a.dirs[name] = true
	a.entry(name, 0o040755, strings.NewReader(""), 0)
}

// text makes a small file.
func (a *archive) text(name, text string) {
	a.dir(path.Dir(name))
	a.entry(strings.Trim(name, "/"), 0o100644, strings.NewReader(text), int64(len(text)))
}

// link makes a symbolic link.
func (a *archive) link(name, to string) {
	a.dir(path.Dir(name))
	a.entry(strings.Trim(name, "/"), 0o120777, strings.NewReader(to), int64(len(to)))
}

// file copies a file of this machine.
func (a *archive) file(name, from string) {
	f, err := os.Open(from)
	if err != nil {
		a.fail(err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		a.fail(err)
		return
	}
	a.dir(path.Dir(name))
	a.entry(strings.Trim(name, "/"), 0o100755, f, info.Size())
}

func (a *archive) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// close writes the end.
func (a *archive) close() error {
	a.entry("TRAILER!!!", 0, strings.NewReader(""), 0)
	if a.err == nil {
		a.err = a.w.Flush()
	}
	return a.err
}
