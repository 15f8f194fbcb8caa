package smoke

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/proc"
)

// errOtherProc is a /proc whose numbers mean other processes than those of kill(2).
var errOtherProc = errors.New("/proc is not of natwarden's own PID namespace (mount it anew: unshare --mount-proc), and what the program starts could not be ended")

// ownProc refuses a /proc of another PID namespace: there a process has a number
// for each namespace from that of /proc down to its own (NSpid, proc_pid_status(5)).
func ownProc() error {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return fmt.Errorf("%w: %w", errOtherProc, err)
	}
	_, rest, found := bytes.Cut(data, []byte("\nNSpid:"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	if numbers := strings.Fields(string(line)); !found || len(numbers) != 1 || numbers[0] != strconv.Itoa(os.Getpid()) {
		return errOtherProc
	}
	return nil
}

// children are the processes whose parent a process is.
func children(pid int) []int {
	out, err := listedChildren(pid)
	if err != nil {
		return searchedChildren(pid)
	}
	return out
}

// listedChildren reads the kernel's list of each thread (proc_tid_children(5)),
// which not every kernel has (CONFIG_PROC_CHILDREN).
func listedChildren(pid int) (out []int, err error) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil, err
	}
	for _, t := range threads {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		if err != nil {
			return nil, err
		}
		for _, text := range strings.Fields(string(data)) {
			if n, err := strconv.Atoi(text); err == nil {
				out = append(out, n)
			}
		}
	}
	return out, nil
}

// searchedChildren asks every process for its parent.
func searchedChildren(pid int) (out []int) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil
	}
	for _, name := range names {
		n, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if life, err := proc.LifeOf(n); err == nil && life.Parent == pid {
			out = append(out, n)
		}
	}
	return out
}

// named are processes by number and name.
func named(pids []int) (out []string) {
	for _, pid := range pids {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil {
			continue
		}
		out = append(out, fmt.Sprintf("%d (%s)", pid, strings.TrimSpace(string(comm))))
	}
	return out
}
