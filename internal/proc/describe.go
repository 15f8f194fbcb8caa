package proc

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"sync"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
)

// Describer describes processes and users, each once.
type Describer struct {
	labels map[netns.ID]string
	// wholeTree is true where the cgroup tree is seen from its root; else a path
	// below system.slice may be anybody's.
	wholeTree bool

	mu    sync.Mutex
	users map[uint32]string
}

// NewDescriber makes a Describer. labels are the network namespaces that have
// a name in the report.
func NewDescriber(labels map[netns.ID]string) *Describer {
	return &Describer{labels: labels, wholeTree: seesWholeCgroupTree(), users: map[uint32]string{}}
}

// procIsProc keeps gopsutil from believing HOST_PROC of the environment.
func procIsProc(ctx context.Context) context.Context {
	return context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: "/proc"})
}

// Describe says what a process is. What cannot be read of it stays empty; an
// error means that it has ended, or that nothing at all can be read.
func (d *Describer) Describe(ctx context.Context, pid int) (host.Process, error) {
	ctx = procIsProc(ctx)
	// Not process.NewProcess: it parses mount tables and stat for what is not asked.
	ps := process.Process{Pid: int32(pid)}
	out := host.Process{PID: pid, Args: []string{}}
	var err error
	if out.Name, err = ps.NameWithContext(ctx); err != nil {
		return out, fmt.Errorf("reading process %d: %w", pid, err)
	}
	if args, err := ps.CmdlineSliceWithContext(ctx); err == nil && len(args) > 0 {
		out.Args = Mask(args)
	}
	if link, err := ps.ExeWithContext(ctx); err == nil {
		p := programOf(pid, link)
		out.Exe, out.Deleted, out.HostExe = p.path, p.deleted, p.host
	}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err == nil {
		m := parseCgroup(string(text))
		out.Unit, out.Container, out.SystemUnit = m.unit, m.container, m.system && d.wholeTree
	}
	out.HostExe = out.HostExe && (out.SystemUnit || ownUsers(pid))
	if uids, err := ps.UidsWithContext(ctx); err == nil && len(uids) > 1 {
		out.User = d.User(uint32(uids[1])) // the effective one
	}
	out.Netns = d.netns(pid)
	out.Notes = notes(&out)
	return out, nil
}

// ownUsers says whether the process is in natwarden's user namespace. In one of
// its own anybody may give a process another executable than the one it runs
// (prctl(2), PR_SET_MM_MAP), and never comes back from there.
func ownUsers(pid int) bool {
	var own, its unix.Stat_t
	return unix.Stat("/proc/thread-self/ns/user", &own) == nil &&
		unix.Stat(fmt.Sprintf("/proc/%d/ns/user", pid), &its) == nil && own.Dev == its.Dev && own.Ino == its.Ino
}

// netns is the label of the network namespace that the process lives in; ""
// is the one in which natwarden was started, also where it cannot be read.
func (d *Describer) netns(pid int) string {
	var st unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st) != nil || d.labels == nil {
		return ""
	}
	if label, ok := d.labels[netns.ID{Dev: uint64(st.Dev), Ino: st.Ino}]; ok {
		return label
	}
	return fmt.Sprintf("pid:%d", pid)
}

// User is the name of a user, or the number where it has none.
func (d *Describer) User(uid uint32) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	name, ok := d.users[uid]
	if !ok {
		name = strconv.FormatUint(uint64(uid), 10)
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
		d.users[uid] = name
	}
	return name
}
