// Package doubt says what could falsify a report of this host: whoever can
// make the kernel or /proc tell something else than what is. Its notes stand
// beside the verdict and change none: that something could lie proves neither
// that it does nor that it does not.
//
// It reads a few files and judges nothing. natwarden is a program, not a library.
package doubt

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Notes are what can be seen from files: the taint of the kernel, mounts over
// /proc, a PID namespace of its own, libraries that are loaded into every
// program, processes that cannot be looked into.
func Notes() []string {
	var out []string
	for _, look := range []func() []string{tainted, covered, nested, preloaded, hidden} {
		out = append(out, look()...)
	}
	return out
}

// taints are the flags of /proc/sys/kernel/tainted (Documentation/admin-guide/
// tainted-kernels.rst) that mean that code from elsewhere may run in the kernel.
func taints() map[uint]string {
	return map[uint]string{
		1: "a module was loaded by force", 3: "a module was unloaded by force", 12: "a module from outside of the kernel's sources is loaded",
		13: "a module without a valid signature is loaded", 15: "the kernel was patched while it runs",
	}
}

func tainted() []string {
	text, err := os.ReadFile("/proc/sys/kernel/tainted")
	if err != nil {
		return []string{"the taint of the kernel could not be read: " + err.Error()}
	}
	return taintsOf(string(text))
}

func taintsOf(text string) []string {
	bits, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return []string{fmt.Sprintf("the taint of the kernel is not understood: %q", text)}
	}
	var out []string
	for flag := range uint(64) {
		if word, known := taints()[flag]; known && bits>>flag&1 == 1 {
			out = append(out, "the kernel is tainted: "+word)
		}
	}
	return out
}

// covered finds mounts below /proc, behind which processes or settings hide.
func covered() []string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return []string{"the mounts could not be read: " + err.Error()}
	}
	defer f.Close()
	return mountsOver(f)
}

// mountsOver reads mountinfo (proc(5)): the fifth field is the mount point,
// the type follows " - ".
func mountsOver(in io.Reader) []string {
	var out []string
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 4096), 1<<20)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		kind, _, _ := strings.Cut(after, " ")
		switch {
		case len(fields) < 6:
		case fields[4] == "/proc":
			if kind != "proc" { // one proc over another is how a PID namespace is made
				out = append(out, fmt.Sprintf("%s is mounted over /proc", kind))
			} else if hides(lines.Text()) {
				out = append(out, "/proc is mounted with hidepid")
			}
		case strings.HasPrefix(fields[4], "/proc/") && !usual(fields[4], kind):
			out = append(out, fmt.Sprintf("%s is mounted over %s", kind, fields[4]))
		}
	}
	return out
}

func hides(line string) bool {
	for _, mode := range []string{"hidepid=1", "hidepid=2", "hidepid=4", "hidepid=noaccess", "hidepid=invisible", "hidepid=ptraceable"} {
		if strings.Contains(line, mode) {
			return true
		}
	}
	return false
}

// usual tells the mounts that every system, and every container, has there.
func usual(point, kind string) bool {
	return kind == "binfmt_misc" || kind == "nfsd" || kind == "autofs" && point == "/proc/sys/fs/binfmt_misc"
}

// nested: in a PID namespace of its own natwarden does not see the processes
// of others.
func nested() []string {
	const initial = 0xEFFFFFFC // PROC_PID_INIT_INO of include/linux/proc_ns.h
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &st) != nil || st.Ino != initial {
		return []string{"natwarden runs in a PID namespace of its own and sees only the processes in it"}
	}
	return nil
}

func preloaded() []string {
	text, err := os.ReadFile("/etc/ld.so.preload")
	if err != nil || strings.TrimSpace(string(text)) == "" {
		return nil
	}
	return []string{"/etc/ld.so.preload names libraries that are loaded into every program: " + strings.Join(strings.Fields(string(text)), ", ")}
}

// hidden are processes whose open files cannot be listed even so.
func hidden() []string {
	dir, err := os.Open("/proc")
	if err != nil {
		return []string{"/proc could not be read: " + err.Error()}
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return []string{"/proc could not be read: " + err.Error()}
	}
	var pids []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil && denied("/proc/"+n+"/cwd") {
			pids = append(pids, pid)
		}
	}
	if len(pids) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the open files of process %d%s cannot be listed: what only they hold is not seen", slices.Min(pids), others(len(pids)-1))}
}

// denied asks for a link that the same right opens as those of open files
// (ptrace(2), PTRACE_MODE_READ_FSCREDS).
func denied(link string) bool {
	_, err := unix.Readlink(link, make([]byte, 1))
	return err == unix.EACCES || err == unix.EPERM
}

func others(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d others", n)
}
