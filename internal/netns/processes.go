package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// ofProcesses adds the namespaces that processes live in, each under its
// smallest process. One stat tells whether a process lives in a namespace
// that is known already; only new ones are opened.
func ofProcesses(ctx context.Context, l *lister) {
	pids, err := processes()
	if err != nil {
		l.missed("network namespaces of processes", err)
		return
	}
	for _, pid := range pids {
		if ctx.Err() != nil {
			l.missed("network namespaces of processes", ctx.Err())
			return
		}
		if !l.addProcess(pid) {
			l.hidden = append(l.hidden, pid)
			continue
		}
		for _, tid := range otherThreads(pid) {
			l.addProcess(tid)
		}
	}
}

// otherThreads lists the threads of a process but the first one, which gave it
// its number: each may be in a network namespace of its own. The number of
// links of the folder tells how many there are (fs/proc/base.c).
func otherThreads(pid int) []int {
	path := fmt.Sprintf("/proc/%d/task", pid)
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Nlink <= 3 {
		return nil
	}
	tids, _ := numbersIn(path) // one that has ended holds nothing
	return slices.DeleteFunc(tids, func(tid int) bool { return tid == pid })
}

// addProcess says false of a process whose namespace may not be read.
func (l *lister) addProcess(pid int) (read bool) {
	label := "pid:" + strconv.Itoa(pid)
	path, _ := pathOf(label)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return gone(err)
	}
	if l.seen[ID{uint64(st.Dev), st.Ino}] {
		return true
	}
	h, err := Open(path)
	if err != nil {
		return gone(err)
	}
	l.keep(label, pid, h)
	return true
}

// gone says whether the process has ended: it has no file, or no namespace.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) }

// explainHidden tells which of the processes whose namespace may not be
// opened live in none that is known. Anybody may stat /proc/PID/net/dev, and its
// inode is the same for all processes of one namespace (fs/proc/proc_net.c
// makes the file once for each).
func (l *lister) explainHidden(ctx context.Context) {
	if len(l.hidden) == 0 {
		return
	}
	known := l.netFiles(ctx)
	var first, others int
	for _, pid := range l.hidden {
		file, err := netFile(fmt.Sprintf("/proc/%d/net/dev", pid))
		switch {
		case err == nil && known[file] || err != nil && gone(err):
		case first == 0:
			first = pid
		default:
			others++
		}
	}
	if first != 0 {
		l.missed(fmt.Sprintf("network namespace of process %d%s", first, andOthers(others)), unix.EACCES)
	}
}

func andOthers(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" and of %d others", n)
}

// netFiles are the files /proc/net/dev of the namespaces in the list.
func (l *lister) netFiles(ctx context.Context) map[ID]bool {
	known := map[ID]bool{}
	for _, s := range l.spaces {
		_ = s.Handle.Do(ctx, func(context.Context) error { // one that cannot be entered explains nothing
			file, err := netFile("/proc/thread-self/net/dev")
			if err == nil {
				known[file] = true
			}
			return err
		})
	}
	return known
}

func netFile(path string) (ID, error) {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	return ID{uint64(st.Dev), st.Ino}, err
}

// processes lists the process numbers of /proc, in order, without our own:
// our threads stand where Handle.Do took them.
func processes() ([]int, error) {
	pids, err := numbersIn("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing /proc: %w", err)
	}
	own := os.Getpid()
	return slices.DeleteFunc(pids, func(pid int) bool { return pid == own }), nil
}

// numbersIn lists the entries of a folder that are numbers, in order.
func numbersIn(path string) ([]int, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, n := range names {
		if number, err := strconv.ParseUint(n, 10, 31); err == nil {
			out = append(out, int(number))
		}
	}
	slices.Sort(out)
	return out, nil
}
