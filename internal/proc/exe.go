package proc

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// program is the file that a process runs.
type program struct {
	path    string
	deleted bool // the path is no more
	host    bool // the path is that very file in natwarden's own mount namespace
}

// deletedMark is what the kernel writes behind a path that is no more
// (fs/d_path.c). A file may bear the mark in its name as well.
const deletedMark = " (deleted)"

// programOf completes what the link /proc/PID/exe says with what the file is:
// whether the path still leads to it, seen from here.
func programOf(pid int, link string) program {
	p := program{path: link}
	var running, there unix.Stat_t
	readable := unix.Stat(fmt.Sprintf("/proc/%d/exe", pid), &running) == nil
	here := func(path string) bool {
		return readable && unix.Stat(path, &there) == nil && there.Dev == running.Dev && there.Ino == running.Ino
	}
	if bare, marked := strings.CutSuffix(link, deletedMark); marked && (!readable || running.Nlink == 0 || !here(link)) {
		return program{path: bare, deleted: true}
	}
	p.host = strings.HasPrefix(link, "/") && here(link)
	return p
}
