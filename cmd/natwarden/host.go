package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/audit"
)

// thisHost says which machine a report is about.
func thisHost() (audit.Host, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return audit.Host{}, fmt.Errorf("asking for the host's name: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return audit.Host{}, fmt.Errorf("reading the boot id (is /proc mounted?): %w", err)
	}
	return audit.Host{
		Name:   unix.ByteSliceToString(u.Nodename[:]),
		Kernel: unix.ByteSliceToString(u.Release[:]),
		BootID: strings.TrimSpace(string(boot)),
	}, nil
}

// initialPIDNamespace is the inode of the first PID namespace: PROC_PID_INIT_INO
// of include/linux/proc_ns.h.
const initialPIDNamespace = "pid:[4026531836]"

// pidNamespace says in which PID namespace natwarden runs: in another than the
// initial one it sees the processes of that one only.
func pidNamespace() (string, error) {
	link, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "", fmt.Errorf("reading the PID namespace (is /proc mounted?): %w", err)
	}
	if link == initialPIDNamespace {
		return "initial", nil
	}
	return link, nil
}
