package suspect

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/netns"
)

// kernel is what there is of services that listen by themselves, without any
// process. Their sockets look like any other; what they serve is known from
// their own files, or from the port that they are told to use.
type kernel struct {
	tunnels map[uint16]string // UDP port to interface (vxlan, geneve)
	exact   map[string]string // "tcp 2049" to the service
	threads map[string]bool   // names of kernel threads
	unsaid  []string          // services that are there and do not tell their ports
}

func readKernel(spaces []*host.Space) *kernel {
	k := &kernel{tunnels: map[uint16]string{}, exact: map[string]string{}, threads: kernelThreads()}
	wireguard := false
	for _, s := range spaces {
		for _, i := range s.Ifaces {
			if i.Port != 0 {
				k.tunnels[i.Port] = i.Name
			}
			wireguard = wireguard || i.Kind == "wireguard"
		}
	}
	k.nfsd()
	k.lockd()
	k.nvmet()
	if wireguard {
		k.unsaid = append(k.unsaid, "wireguard")
	}
	for _, module := range []string{"l2tp_core", "fou", "gtp", "rxrpc", "tipc", "rdma_rxe", "drbd", "dlm", "ocfs2_nodemanager", "rds_tcp", "smc"} {
		if _, err := os.Stat("/sys/module/" + module); err == nil {
			k.unsaid = append(k.unsaid, module)
		}
	}
	return k
}

// owns says which service of the kernel answers there; or else why it may be one.
func (k *kernel) owns(l *host.Listener) (service, maybe string) {
	if l.Inode == 0 {
		return "the socket belongs to no file", ""
	}
	if l.UID != 0 {
		return "", "" // the kernel's sockets are root's
	}
	if name, ok := k.tunnels[l.Port]; ok && l.Proto == "udp" {
		return "interface " + name, ""
	}
	if service, ok := k.exact[fmt.Sprintf("%s %d", l.Proto, l.Port)]; ok {
		return service, ""
	}
	for _, t := range kernelServers() {
		if t.proto == l.Proto && (t.port == 0 || t.port == l.Port) && k.hasThread(t.thread) {
			return t.service, ""
		}
	}
	if len(k.unsaid) > 0 && (l.Proto == "udp" || len(k.unsaid) > 1 || k.unsaid[0] != "wireguard") {
		return "", "it may be the kernel's own, which does not say where these listen: " + words(k.unsaid)
	}
	return "", ""
}

// kernelServer is a service of the kernel that is known by its thread.
type kernelServer struct {
	thread  string // how the name of the thread starts; only the kernel can make one
	proto   string
	port    uint16 // 0 for any
	service string
}

func kernelServers() []kernelServer {
	return []kernelServer{
		{"ksmbd", "tcp", 445, "the SMB server of the kernel (ksmbd)"},
		{"ksmbd", "tcp", 139, "the SMB server of the kernel (ksmbd)"},
		{"iscsi_np", "tcp", 0, "an iSCSI target portal (LIO)"},
		{"nfsv4.0-svc", "tcp", 0, "the callback service of the NFS client"},
		{"NFSv4 callback", "tcp", 0, "the callback service of the NFS client"},
	}
}

func (k *kernel) hasThread(prefix string) bool {
	for name := range k.threads {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// nfsd reads where the NFS server listens: lines "tcp 2049".
func (k *kernel) nfsd() {
	f, err := os.Open("/proc/fs/nfsd/portlist")
	if err != nil {
		if k.hasThread("nfsd") {
			k.exact["tcp 2049"], k.exact["udp 2049"] = "the NFS server (nfsd)", "the NFS server (nfsd)"
		}
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 {
			k.exact[fields[0]+" "+fields[1]] = "the NFS server (nfsd)"
		}
	}
}

// lockd listens where it is told, or anywhere above the reserved ports.
func (k *kernel) lockd() {
	if !k.hasThread("lockd") {
		return
	}
	for _, proto := range []string{"tcp", "udp"} {
		port, err := os.ReadFile("/proc/sys/fs/nfs/nlm_" + proto + "port")
		if text := strings.TrimSpace(string(port)); err == nil && text != "0" {
			k.exact[proto+" "+text] = "the NFS lock manager (lockd)"
			continue
		}
		k.unsaid = append(k.unsaid, "lockd ("+proto+")")
	}
}

// nvmet reads where NVMe targets listen.
func (k *kernel) nvmet() {
	files, _ := filepath.Glob("/sys/kernel/config/nvmet/ports/*/addr_trsvcid")
	for _, file := range files {
		if port, err := os.ReadFile(file); err == nil {
			k.exact["tcp "+strings.TrimSpace(string(port))] = "an NVMe target (nvmet)"
		}
	}
}

// kernelThread is PF_KTHREAD of include/linux/sched.h, in the ninth field of
// /proc/PID/stat (proc(5)): no process can set it.
const kernelThread = 0x00200000

func kernelThreads() map[string]bool {
	out := map[string]bool{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if name, flags, ok := parseStat(string(raw)); ok && flags&kernelThread != 0 {
			out[name] = true
		}
	}
	return out
}

// parseStat reads name and flags: "PID (name) state ppid pgrp session tty tpgid flags …".
// The name may hold any byte; what follows its last parenthesis may not.
func parseStat(text string) (name string, flags uint64, ok bool) {
	from, to := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if from < 0 || to < from {
		return "", 0, false
	}
	fields := strings.Fields(text[to+1:])
	if len(fields) < 7 {
		return "", 0, false
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	return text[from+1 : to], flags, err == nil
}

// initialPIDs is the inode of the initial PID namespace (PROC_PID_INIT_INO of
// include/linux/proc_ns.h).
const initialPIDs = 0xEFFFFFFC

// sharedOutside says why processes that cannot be seen from here may live in
// the network namespace. In a PID namespace of its own natwarden sees the
// processes in it; the network namespace of its first process may have come
// from outside (containers that share one), one that was made inside has not.
//
// home is where natwarden was started, zero where that is not known. It may be
// the first process itself, whose first thread may stand anywhere (netns.Handle.Do).
func sharedOutside(id, home netns.ID) string {
	var pids, first unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &pids) == nil && pids.Ino == initialPIDs {
		return ""
	}
	brought := home
	if os.Getpid() != 1 {
		if unix.Stat("/proc/1/ns/net", &first) != nil {
			return unseen
		}
		brought = netns.ID{Dev: uint64(first.Dev), Ino: first.Ino}
	}
	if zero := (netns.ID{}); brought == zero || id == zero || id == brought {
		return unseen
	}
	return ""
}

const unseen = "natwarden runs in a PID namespace of its own: processes outside of it may live in the network namespace"
