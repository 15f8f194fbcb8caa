package proc

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// AloneInNetns says whether no process besides this one and its ancestors
// lives in the network namespace of the calling thread. One that cannot be
// looked at is company.
func AloneInNetns(ctx context.Context) bool {
	var here unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &here) != nil {
		return false
	}
	own := ancestors()
	dir, err := os.Open("/proc")
	if err != nil {
		return false
	}
	defer dir.Close()
	pids, err := numbers(int(dir.Fd()))
	if err != nil || ctx.Err() != nil {
		return false
	}
	for _, pid := range pids {
		var st unix.Stat_t
		if own[pid] {
			continue
		}
		switch err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st); {
		case err == unix.ENOENT || err == unix.ESRCH:
		case err != nil && pid != 1: // init can often not be looked at, and makes no rules by itself
			return false
		case err == nil && st.Dev == here.Dev && st.Ino == here.Ino:
			return false
		}
	}
	return true
}

// ancestors are this process and those that it descends from.
func ancestors() map[int]bool {
	out := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !out[pid]; {
		out[pid] = true
		life, err := LifeOf(pid)
		if err != nil {
			break
		}
		pid = life.Parent
	}
	return out
}
