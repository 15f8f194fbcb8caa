package suspect

import (
	"context"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/internal/proc"
)

// parked are the processes with open files in flight: sent over a unix socket
// and not received (SCM_RIGHTS, unix(7)). The kernel tells how many each unix
// socket has ("scm_fds" of fdinfo), not which. One whose process is the only
// one is where a listener without a process is.
type parked struct{ holders []host.Process }

// findParked walks the unix sockets of all processes. It is done only where a
// listener has no owner.
func findParked(ctx context.Context, labels map[netns.ID]string) *parked {
	out := &parked{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return out
	}
	d := proc.NewDescriber(labels)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || ctx.Err() != nil || !hasInFlight(pid) {
			continue
		}
		if p, err := d.Describe(ctx, pid); err == nil {
			out.holders = append(out.holders, p)
		}
	}
	return out
}

func hasInFlight(pid int) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	files, err := os.ReadDir(dir + "/fd")
	if err != nil {
		return false
	}
	link := make([]byte, 64)
	for _, f := range files {
		n, err := unix.Readlink(dir+"/fd/"+f.Name(), link)
		if err != nil || !strings.HasPrefix(string(link[:n]), "socket:[") {
			continue
		}
		info, err := os.ReadFile(dir + "/fdinfo/" + f.Name())
		if err == nil && inFlight(string(info)) {
			return true
		}
	}
	return false
}

// inFlight reads "scm_fds: 1" of fdinfo (net/unix/af_unix.c, unix_show_fdinfo).
func inFlight(info string) bool {
	for line := range strings.Lines(info) {
		if n, ok := strings.CutPrefix(line, "scm_fds:"); ok {
			return strings.TrimSpace(n) != "0"
		}
	}
	return false
}
