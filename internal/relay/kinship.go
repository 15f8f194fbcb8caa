package relay

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// kinship says which processes act together.
type kinship struct {
	children map[int][]int // of a listening process, those that hold connections
	pipes    map[int][]int // processes that a listening one is joined to by pipes or FIFOs
}

// pipeID identifies a pipe or FIFO.
type pipeID struct{ dev, ino uint64 }

// readKinship looks at the processes that hold connections: are they children
// of a listening one, or at the other end of its standard input and output?
func readKinship(listeners []host.Listener, connected []int) kinship {
	k := kinship{children: map[int][]int{}, pipes: map[int][]int{}}
	pipes := map[pipeID][]int{}
	listening := map[int]bool{}
	for i := range listeners {
		for _, p := range listeners[i].Processes {
			if listening[p.PID] {
				continue
			}
			listening[p.PID] = true
			for _, id := range pipesOf(p.PID) {
				pipes[id] = append(pipes[id], p.PID)
			}
		}
	}
	for _, pid := range connected {
		if parent := parentOf(pid); listening[parent] {
			k.children[parent] = append(k.children[parent], pid)
		}
		k.join(pid, pipes)
	}
	return k
}

// join notes the listening processes that a process is joined to in both
// directions. One pipe alone is a log shipper.
func (k *kinship) join(pid int, pipes map[pipeID][]int) {
	shared := map[int]int{}
	for _, id := range pipesOf(pid) {
		for _, at := range pipes[id] {
			shared[at]++
		}
	}
	for at, n := range shared {
		if at != pid && n > 1 {
			k.pipes[at] = append(k.pipes[at], pid)
		}
	}
}

// pipesOf are the pipes and FIFOs at a process's standard input and output.
func pipesOf(pid int) []pipeID {
	var out []pipeID
	for fd := range 2 {
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/fd/%d", pid, fd), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
			out = append(out, pipeID{uint64(st.Dev), st.Ino})
		}
	}
	return out
}

// parentOf reads the parent's number (proc_pid_stat(5)); 0 where the process
// has ended.
func parentOf(pid int) int {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The name stands in parentheses and may hold any byte: fields follow the last one.
	_, rest, _ := strings.Cut(string(raw[strings.LastIndexByte(string(raw), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0
	}
	n, _ := strconv.Atoi(fields[1])
	return n
}
