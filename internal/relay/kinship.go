package relay

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// kinship says which processes act together.
type kinship struct {
	children   map[int][]int    // of a listening process, those of its descendants that hold connections
	acceptors  map[uint16][]int // of a port, who holds connections that came to it
	pipes      map[int][]int    // processes that a listening one is joined to by pipes or FIFOs in both directions
	neighbours map[int][]int    // processes at the other end of a process's unix sockets
}

// deepestFamily bounds how many parents are looked at.
const deepestFamily = 8

// readKinship looks at the processes that hold connections: are they
// descendants of a listening one? And which others is that joined to by its
// standard input and output?
func readKinship(listeners []host.Listener, acceptors map[uint16][]int, connected []int) kinship {
	k := kinship{children: map[int][]int{}, acceptors: acceptors, pipes: map[int][]int{}}
	elders := map[int]bool{}
	for i := range listeners {
		for j := range listeners[i].Processes {
			pid := listeners[i].Processes[j].PID
			elders[pid] = pid > 1 // all descend from the first
		}
	}
	k.joinPipes(elders)
	for _, list := range acceptors {
		for _, pid := range list {
			elders[pid] = pid > 1
		}
	}
	for _, pid := range connected {
		parent := pid
		for range deepestFamily {
			if parent = parentOf(parent); parent <= 1 {
				break
			}
			if elders[parent] {
				k.children[parent] = append(k.children[parent], pid)
			}
		}
	}
	return k
}

// pipeID identifies a pipe or FIFO.
type pipeID struct{ dev, ino uint64 }

// piping is the pipes at a process's standard input and output; the zero
// pipeID is none.
type piping struct{ in, out pipeID }

// joinPipes finds, for each listening process with pipes at both ends, the
// processes that its output reaches and whose output reaches it, through
// others (tee) as well. A log pipe leads away only.
func (k *kinship) joinPipes(listening map[int]bool) {
	wanted := map[int]piping{}
	for pid := range listening {
		if p := pipesOf(pid); p.in != (pipeID{}) && p.out != (pipeID{}) && p.in != p.out {
			wanted[pid] = p
		}
	}
	if len(wanted) == 0 {
		return
	}
	readers, writes := pipeGraph()
	for pid := range wanted {
		for _, other := range reached(pid, readers, writes) {
			if other != pid && slices.Contains(reached(other, readers, writes), pid) {
				k.pipes[pid] = append(k.pipes[pid], other)
			}
		}
		slices.Sort(k.pipes[pid])
	}
}

// pipeGraph says of all processes what they write to, and who reads it.
func pipeGraph() (readers map[pipeID][]int, writes map[int]pipeID) {
	readers, writes = map[pipeID][]int{}, map[int]pipeID{}
	names, err := os.ReadDir("/proc")
	if err != nil {
		return readers, writes
	}
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		p := pipesOf(pid)
		if p.in == p.out { // both ends are its own, or there are none
			continue
		}
		if p.in != (pipeID{}) {
			readers[p.in] = append(readers[p.in], pid)
		}
		if p.out != (pipeID{}) {
			writes[pid] = p.out
		}
	}
	return readers, writes
}

// reached are the processes that a process's output comes to.
func reached(pid int, readers map[pipeID][]int, writes map[int]pipeID) []int {
	var out []int
	next := []int{pid}
	for len(next) > 0 {
		at, ok := writes[next[0]]
		next = next[1:]
		if !ok {
			continue
		}
		for _, reader := range readers[at] {
			if !slices.Contains(out, reader) {
				out, next = append(out, reader), append(next, reader)
			}
		}
	}
	return out
}

// pipesOf gives the pipes or FIFOs at a process's standard input and output.
func pipesOf(pid int) piping {
	return piping{pipeAt(pid, 0), pipeAt(pid, 1)}
}

func pipeAt(pid, fd int) pipeID {
	var st unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/fd/%d", pid, fd), &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO {
		return pipeID{uint64(st.Dev), st.Ino}
	}
	return pipeID{}
}

// parentOf gives the parent's number; 0 where the process has ended.
func parentOf(pid int) int {
	life, err := proc.LifeOf(pid)
	if err != nil {
		return 0
	}
	return life.Parent
}

// exeOf is the path of the program that a process runs; "" where it has ended.
func exeOf(pid int) string {
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(link, " (deleted)")
}
