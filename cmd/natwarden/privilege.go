package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// needRight says whether the process may do what the verb needs. Without
// CAP_NET_ADMIN the kernel shows only half: half an answer is worse than none.
func needRight(what string, capabilities ...int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // two words in version 3, see capget(2)
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("asking for the process's capabilities: %w", err)
	}
	for _, c := range capabilities {
		if data[c/32].Effective&(1<<(c%32)) == 0 {
			return kindError{errPrivilege, fmt.Errorf("%s needs root: the capability %s is missing", what, capabilityName(c)),
				"run it with sudo, or as root"}
		}
	}
	return nil
}

func capabilityName(c int) string {
	switch c {
	case unix.CAP_NET_ADMIN:
		return "CAP_NET_ADMIN"
	case unix.CAP_SYS_ADMIN:
		return "CAP_SYS_ADMIN"
	}
	return fmt.Sprint(c)
}

// errNotAsked says that a person would have to be asked and there is none.
var errNotAsked = errors.New("standard input is no terminal, so nobody can be asked")
