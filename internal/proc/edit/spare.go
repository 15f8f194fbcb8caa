package edit

import (
	"os"

	"github.com/natwarden/natwarden/internal/proc"
)

// ancestors are this process and those that it descends from: the shell, the
// sudo and the sshd of whoever runs it.
func ancestors() map[int]bool {
	out := map[int]bool{}
	for pid := os.Getpid(); pid > 0 && !out[pid]; {
		out[pid] = true
		life, err := proc.LifeOf(pid)
		if err != nil {
			break
		}
		pid = life.Parent
	}
	return out
}

// kthreadd is the parent of all kernel threads.
const kthreadd = 2

// endable refuses what must never be ended.
func endable(l proc.Life, own map[int]bool) error {
	switch {
	case l.PID <= 1:
		return refuse("process 1 is never ended: stop what it holds the socket for")
	case l.PID == kthreadd && l.Exe == "" || l.Parent == kthreadd && l.Exe == "":
		return refuse("process %d is a kernel thread", l.PID)
	case own[l.PID]:
		return refuse("process %d is one that natwarden itself was started by: end it from another session", l.PID)
	}
	return nil
}
