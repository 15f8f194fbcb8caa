package tether

import (
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
)

// inodes gives the sockets that a process holds; none where it cannot be read.
func inodes(pid int) map[uint64]bool {
	out := map[uint64]bool{}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return out
	}
	for _, e := range entries {
		link, err := os.Readlink(dir + "/" + e.Name())
		if err != nil {
			continue
		}
		if digits, ok := strings.CutPrefix(link, "socket:["); ok {
			if n, err := strconv.ParseUint(strings.TrimSuffix(digits, "]"), 10, 64); err == nil {
				out[n] = true
			}
		}
	}
	return out
}

// names are what a process may be known by: the name that the kernel has for
// it, its executable's, and that of the script that an interpreter runs. They
// prove nothing, and need not: a false one makes natwarden more careful.
func names(pid int) []string {
	var out []string
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return nil
	}
	out = append(out, strings.TrimSpace(string(comm)))
	if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil {
		out = append(out, path.Base(strings.TrimSuffix(exe, " (deleted)")))
	}
	return out
}

// scripts are the base names of a process's first arguments: of "python3
// /usr/bin/salt-minion" and "ruby -W0 /opt/bin/puppet" the script.
func scripts(pid int) []string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return nil
	}
	var out []string
	for i, arg := range strings.Split(string(raw), "\x00") {
		if i > 3 || len(arg) > 4096 {
			break
		}
		if i > 0 && arg != "" && !strings.HasPrefix(arg, "-") {
			out = append(out, path.Base(arg))
		}
	}
	return out
}
