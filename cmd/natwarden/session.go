package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/remediate"
)

// mostAncestors bounds the way up: a process tree that is deeper is none of a person's.
const mostAncestors = 64

// callerSession finds the ssh session from which natwarden was called; nil
// where there is none. sudo takes SSH_CONNECTION away, so the processes above are asked too.
func callerSession() *remediate.Session {
	if s := parseSession(os.Getenv("SSH_CONNECTION")); s != nil {
		return s
	}
	pid := os.Getppid()
	for range mostAncestors {
		if pid <= 1 {
			return nil
		}
		if s := sessionOf(pid); s != nil {
			return s
		}
		pid = parentOf(pid)
	}
	return nil
}

// sessionOf reads a process's environment as it was when it began (proc(5)).
func sessionOf(pid int) *remediate.Session {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return nil
	}
	for _, pair := range bytes.Split(data, []byte{0}) {
		if value, found := bytes.CutPrefix(pair, []byte("SSH_CONNECTION=")); found {
			return parseSession(string(value))
		}
	}
	return nil
}

// parentOf reads the fourth field of /proc/PID/stat (proc_pid_stat(5)); 0
// where there is none.
func parentOf(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}

// parseSession reads SSH_CONNECTION: client address and port, server address
// and port (ssh(1)). What is not of that form is none.
func parseSession(text string) *remediate.Session {
	f := strings.Fields(text)
	if len(f) != 4 {
		return nil
	}
	client, errClient := endpoint(f[0], f[1])
	server, errServer := endpoint(f[2], f[3])
	if errClient != nil || errServer != nil {
		return nil
	}
	return &remediate.Session{Client: client, Server: server}
}

func endpoint(addr, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	p, err := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(a.Unmap().WithZone(""), uint16(p)), err
}
