package bpf

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// mostCgroups bounds how many cgroups are asked; beyond, the rest is blind.
const mostCgroups = 50_000

// unbound lists what belongs to no network namespace: programs of cgroups, and
// kinds of programs that are present and not judged. Where no program of such a type is loaded, nobody is asked.
func (l *listing) unbound(ctx context.Context) {
	loaded, err := programTypes(ctx)
	if err != nil {
		if !noKernel(err) {
			l.unread("loaded programs", err)
		}
		return
	}
	for t, name := range map[ebpf.ProgramType]string{ebpf.SkMsg: "sockmap (sk_msg)", ebpf.SkSKB: "sockmap (sk_skb)", ebpf.LWTIn: "lwtunnel (in)",
		ebpf.LWTOut: "lwtunnel (out)", ebpf.LWTXmit: "lwtunnel (xmit)", ebpf.LWTSeg6Local: "lwtunnel (seg6local)"} {
		if n := loaded[t]; n > 0 {
			l.blind = append(l.blind, host.Blind{Source: "bpf", What: name + " programs", Why: fmt.Sprintf("%d loaded: present and not judged", n)})
		}
	}
	if loaded[ebpf.CGroupSockAddr]+loaded[ebpf.CGroupSock]+loaded[ebpf.SockOps] == 0 {
		return
	}
	mounts, err := mountsOf("cgroup2")
	if err != nil {
		l.unread("mounted cgroup2 trees", err)
		return
	}
	if len(mounts) == 0 {
		l.unread("programs of cgroups", errors.New("such programs are loaded and no cgroup2 tree is mounted here"))
	}
	for _, m := range mounts {
		l.tree(ctx, m)
	}
}

// programTypes counts the loaded programs by type.
func programTypes(ctx context.Context) (map[ebpf.ProgramType]int, error) {
	out := map[ebpf.ProgramType]int{}
	for id := ebpf.ProgramID(0); ctx.Err() == nil; {
		next, err := nextProgram(id)
		if errors.Is(err, os.ErrNotExist) {
			return out, nil
		}
		if err != nil {
			return nil, reading("loaded programs", err)
		}
		id = next
		p, err := openProgram(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, reading("loaded programs", err)
		}
		out[p.Type()]++
		p.Close()
	}
	return out, ctx.Err()
}

// cgroupHooks are those that may give a connection another end, or that say so.
func cgroupHooks() []hook {
	return []hook{
		{"connect4", ebpf.AttachCGroupInet4Connect}, {"connect6", ebpf.AttachCGroupInet6Connect},
		{"sendmsg4", ebpf.AttachCGroupUDP4Sendmsg}, {"sendmsg6", ebpf.AttachCGroupUDP6Sendmsg},
		{"recvmsg4", ebpf.AttachCGroupUDP4Recvmsg}, {"recvmsg6", ebpf.AttachCGroupUDP6Recvmsg},
		{"bind4", ebpf.AttachCGroupInet4Bind}, {"bind6", ebpf.AttachCGroupInet6Bind},
		{"getpeername4", ebpf.AttachCgroupInet4GetPeername}, {"getpeername6", ebpf.AttachCgroupInet6GetPeername},
		{"getsockname4", ebpf.AttachCgroupInet4GetSockname}, {"getsockname6", ebpf.AttachCgroupInet6GetSockname},
		{"post_bind4", ebpf.AttachCGroupInet4PostBind}, {"post_bind6", ebpf.AttachCGroupInet6PostBind},
		{"connect_unix", ebpf.AttachCgroupUnixConnect}, {"sendmsg_unix", ebpf.AttachCgroupUnixSendmsg},
		{"sock_ops", ebpf.AttachCGroupSockOps},
	}
}

// tree asks every cgroup below a mount.
func (l *listing) tree(ctx context.Context, root string) {
	hooks, n := cgroupHooks(), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil // a cgroup that has ended meanwhile
		}
		if n++; n > mostCgroups {
			return fmt.Errorf("there are more than %d cgroups", mostCgroups)
		}
		hooks = l.cgroup(path, hooks)
		return ctx.Err()
	})
	if err != nil {
		l.unread("programs of cgroups below "+root, err)
	}
}

// cgroup asks one cgroup, and gives the hooks that the kernel has.
func (l *listing) cgroup(path string, hooks []hook) []hook {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return hooks
	}
	if err != nil {
		l.unread("programs of cgroup "+path, err)
		return hooks
	}
	defer unix.Close(fd)
	var known []hook
	for _, h := range hooks {
		programs, err := query(fd, uint32(h.at))
		if unsupported(err) {
			continue
		}
		known = append(known, h)
		if err != nil {
			l.unread("programs of cgroup "+path+" "+h.name, err)
			continue
		}
		for _, p := range programs {
			l.found = append(l.found, Attachment{Kind: Cgroup, Cgroup: path, Hook: h.name, Type: uint32(h.at), Program: p.program, Flags: p.flags})
		}
	}
	return known
}

// cgroupID is the id by which links name a cgroup: its file handle on cgroup2
// (name_to_handle_at(2), eight bytes); 0 where it cannot be read.
func cgroupID(path string) uint64 {
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, path, 0)
	if err != nil || len(handle.Bytes()) != 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(handle.Bytes())
}

// mountsOf lists the mount points of a file system type
// (/proc/self/mountinfo, proc(5)).
func mountsOf(fstype string) ([]string, error) {
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, reading("mounts", err)
	}
	defer f.Close()
	var out []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if kind, _, _ := strings.Cut(after, " "); ok && kind == fstype && len(fields) > 4 {
			out = append(out, unescape(fields[4]))
		}
	}
	return out, nil
}

// unescape reads the octal escapes of mountinfo: \040 is a space.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
