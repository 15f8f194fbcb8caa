package proc

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
)

// source is the name under which what could not be read is reported.
const source = "processes"

// Attach gives the listeners of all spaces their namespace, user, processes
// and id, and packet sockets and queues their processes, in one walk of /proc. labels are the network namespaces that have a
// name in the report; nil leaves Process.Netns empty.
//
// Blind are listeners of which no process was found although some processes
// could not be looked into, and processes that could not be described.
func Attach(ctx context.Context, spaces []*host.Space, labels map[netns.ID]string) ([]host.Blind, error) {
	wanted := map[uint64]bool{}
	for l := range listeners(spaces) {
		wanted[l.Inode] = true
	}
	for inode := range others(spaces) {
		wanted[inode] = true
	}
	delete(wanted, 0) // the kernel's own
	held, err := Holders(ctx, wanted)
	if err != nil {
		return nil, err
	}
	d := NewDescriber(labels)
	known, blind := d.describeAll(ctx, held)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("describing processes: %w", err)
	}
	for l := range listeners(spaces) {
		l.User = d.User(l.UID)
		l.Processes = pick(held.PIDs[l.Inode], known)
		l.Unheld = len(l.Processes) == 0 && held.Unread == 0
		if len(l.Processes) == 0 && held.Unread > 0 {
			blind = append(blind, unproven(l, held))
		}
	}
	for inode, processes := range others(spaces) {
		*processes = pick(held.PIDs[inode], known)
	}
	Identify(spaces)
	return blind, nil
}

// listeners goes through the listeners of all spaces and names their namespace.
func listeners(spaces []*host.Space) func(yield func(*host.Listener) bool) {
	return func(yield func(*host.Listener) bool) {
		for _, s := range spaces {
			for i := range s.Listeners {
				s.Listeners[i].Netns = s.Netns
				if !yield(&s.Listeners[i]) {
					return
				}
			}
		}
	}
}

// others goes through the further sockets of all spaces that processes hold:
// packet sockets and those that read netfilter queues.
func others(spaces []*host.Space) func(yield func(uint64, *[]host.Process) bool) {
	return func(yield func(uint64, *[]host.Process) bool) {
		for _, s := range spaces {
			for i := range s.Packets {
				if !yield(s.Packets[i].Inode, &s.Packets[i].Processes) {
					return
				}
			}
			for i := range s.Queues {
				if !yield(s.Queues[i].Inode, &s.Queues[i].Processes) {
					return
				}
			}
		}
	}
}

func unproven(l *host.Listener, held *Held) host.Blind {
	return host.Blind{
		Source: source,
		What:   fmt.Sprintf("who holds %s %s port %d", l.Proto, l.Address, l.Port),
		Why:    fmt.Sprintf("the descriptors of %d processes could not be read (first: process %d: %v)", held.Unread, held.First, held.Why),
	}
}

func pick(pids []int, known map[int]host.Process) []host.Process {
	out := make([]host.Process, 0, len(pids))
	for _, pid := range pids {
		if p, ok := known[pid]; ok {
			out = append(out, p)
		}
	}
	return out
}

// describeAll describes each process that holds something, on a few workers.
// One that has ended since holds nothing any more.
func (d *Describer) describeAll(ctx context.Context, held *Held) (map[int]host.Process, []host.Blind) {
	var pids []int
	for _, list := range held.PIDs {
		pids = append(pids, list...)
	}
	slices.Sort(pids)
	pids = slices.Compact(pids)
	described, failed := make([]host.Process, len(pids)), make([]error, len(pids))
	var workers sync.WaitGroup
	n := min(runtime.GOMAXPROCS(0), 4)
	for start := range n {
		workers.Go(func() {
			for i := start; i < len(pids) && ctx.Err() == nil; i += n {
				described[i], failed[i] = d.Describe(ctx, pids[i])
			}
		})
	}
	workers.Wait()
	return sift(pids, described, failed)
}

func sift(pids []int, described []host.Process, failed []error) (map[int]host.Process, []host.Blind) {
	known := make(map[int]host.Process, len(pids))
	var blind []host.Blind
	for i, pid := range pids {
		switch {
		case failed[i] != nil && ended(failed[i]):
		case failed[i] != nil:
			blind = append(blind, host.Blind{Source: source, What: fmt.Sprintf("process %d", pid), Why: failed[i].Error()})
			known[pid] = host.Process{PID: pid, Args: []string{}}
		default:
			known[pid] = described[i]
		}
	}
	return known, blind
}
