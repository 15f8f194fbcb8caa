package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/tether"
	"github.com/natwarden/natwarden/rollback"
)

// caller says who started natwarden, for the action log.
func caller() *rollback.Who {
	w := &rollback.Who{UID: os.Getuid(), PID: os.Getpid(), SudoUser: os.Getenv("SUDO_USER"), TTY: terminalName()}
	w.User = userName(uint32(w.UID))
	if id := loginUID(); id != nil {
		w.LoginUID, w.LoginUser = id, userName(*id)
	}
	if client, found := tether.Client(os.Getenv("SSH_CONNECTION")); found {
		w.SSH = client.String()
	}
	return w
}

func userName(uid uint32) string {
	u, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return ""
	}
	return u.Username
}

// loginUID reads who logged in (proc_pid_loginuid(5)); -1 as 32 bits is nobody.
func loginUID() *uint32 {
	data, err := os.ReadFile("/proc/self/loginuid")
	if err != nil {
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(data)), 10, 32)
	if err != nil || n == math.MaxUint32 {
		return nil
	}
	id := uint32(n)
	return &id
}

// terminalName names the controlling terminal, the seventh field of
// /proc/self/stat (proc_pid_stat(5)): of its number bits 8 to 15 are the major, the others
// the minor. Majors from 136 are pseudo-terminals, 4 the console's (devices.txt of the kernel).
func terminalName() string {
	data, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 5 {
		return ""
	}
	n, err := strconv.ParseUint(fields[4], 10, 32)
	if err != nil || n == 0 {
		return ""
	}
	major, minor := n>>8&0xff, n&0xff|n>>12&0xfff00
	switch {
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<8+minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	}
	return fmt.Sprintf("device %d:%d", major, minor)
}
