package proc

import (
	"fmt"
	"os"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// notes says what is odd about a process: it runs a file that is no more, or
// calls itself what the kernel's own threads are called.
func notes(p *host.Process) []string {
	var out []string
	if p.Deleted {
		out = append(out, deletedNote(p))
	}
	if name := pretended(p); name != "" && p.Exe != "" { // a kernel thread has no executable
		out = append(out, fmt.Sprintf("process %d calls itself %s, as threads of the kernel are shown, and runs %s", p.PID, name, p.Exe))
	}
	return out
}

// deletedNote tells an upgrade, after which another file has the path, from a
// program that hides: nothing has.
func deletedNote(p *host.Process) string {
	if _, err := os.Lstat(fmt.Sprintf("/proc/%d/root%s", p.PID, p.Exe)); err == nil {
		return fmt.Sprintf("%s (pid %d) runs an older %s than the one that is there now: restart it", p.Name, p.PID, p.Exe)
	}
	return fmt.Sprintf("the executable of %s (pid %d) is no more on disk: %s", p.Name, p.PID, p.Exe)
}

// pretended is the name by which a process looks like a thread of the kernel:
// ps(1) shows those in brackets, because they have no arguments.
func pretended(p *host.Process) string {
	if len(p.Args) > 0 && bracketed(p.Args[0]) {
		return p.Args[0]
	}
	for _, stem := range []string{"kworker/", "ksoftirqd/", "migration/", "kthreadd", "rcu_sched", "rcu_preempt", "kswapd", "kcompactd", "khugepaged", "cpuhp/"} {
		if strings.HasPrefix(p.Name, stem) {
			return p.Name
		}
	}
	if bracketed(p.Name) {
		return p.Name
	}
	return ""
}

func bracketed(s string) bool {
	return len(s) > 2 && s[0] == '[' && (s[len(s)-1] == ']' || len(s) == longestName)
}

// longestName is how many bytes of a thread's name the kernel keeps
// (TASK_COMM_LEN less the zero): a closing bracket may be cut off.
const longestName = 15
