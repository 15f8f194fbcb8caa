package proc

import (
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// initialCgroup is the inode number of the initial cgroup namespace
// (include/linux/proc_ns.h, PROC_CGROUP_INIT_INO).
const initialCgroup = 0xEFFFFFFB

// seesWholeCgroupTree says whether paths of cgroups begin at the root of the
// tree that systemd keeps: the host's, or that of a system container (LXC,
// systemd-nspawn) in which natwarden runs. It is false where that cannot be found out: from a
// namespace that begins further down, anybody's cgroup can look like system.slice.
func seesWholeCgroupTree() bool {
	var own unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/cgroup", &own) != nil {
		return false
	}
	return own.Ino == initialCgroup || isFirstSystemds(own)
}

// isFirstSystemds says whether a cgroup namespace is that of process 1, and
// process 1 is systemd in its place: "init.scope" at the root (systemd, cgroup.c).
func isFirstSystemds(own unix.Stat_t) bool {
	var its unix.Stat_t
	if unix.Stat("/proc/1/ns/cgroup", &its) != nil || its.Dev != own.Dev || its.Ino != own.Ino {
		return false
	}
	exe, err := os.Readlink("/proc/1/exe")
	if err != nil || path.Base(exe) != "systemd" {
		return false
	}
	text, err := os.ReadFile("/proc/1/cgroup")
	return err == nil && parseCgroup(string(text)).unit == "init.scope"
}
