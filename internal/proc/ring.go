package proc

import (
	"bytes"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ringLink is what the descriptor of an io_uring is called (io_uring/io_uring.c).
const ringLink = "anon_inode:[io_uring]"

// ring adds the wanted sockets among the files that are registered with a
// ring, which the process need not have open otherwise (io_uring_register(2),
// IORING_REGISTER_FILES). dir is the open fd folder: fdinfo stands beside it.
func (w *walk) ring(dir int, name string, s *scratch) {
	fd, err := unix.Openat(dir, "../fdinfo/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return // closed meanwhile
	}
	f := os.NewFile(uintptr(fd), "fdinfo")
	defer f.Close()
	text, _ := io.ReadAll(io.LimitReader(f, 1<<20)) // torn where it ends meanwhile
	for _, inode := range ringFiles(text) {
		if w.wanted[inode] {
			s.found = append(s.found, inode)
		}
	}
}

// ringFiles reads the sockets from the list of files in a ring's fdinfo
// (io_uring/fdinfo.c): a line "    0: socket:[12345]" for each.
func ringFiles(text []byte) []uint64 {
	var out []uint64
	for line := range bytes.Lines(text) {
		if at := bytes.Index(line, []byte("socket:[")); at >= 0 {
			if inode, ok := socketInode(bytes.TrimSpace(line[at:])); ok {
				out = append(out, inode)
			}
		}
	}
	return out
}
