package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/netns"
)

// needRight says whether the process may do what the verb needs. Without
// CAP_NET_ADMIN the kernel shows only half, and without CAP_SYS_ADMIN no network
// namespace can be entered (setns(2)), not even the own one: half an answer is worse than none.
func needRight(what string, capabilities ...int) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // two words in version 3, see capget(2)
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("asking for the process's capabilities: %w", err)
	}
	for _, c := range slices.Compact(append(capabilities, unix.CAP_SYS_ADMIN)) {
		if data[c/32].Effective&(1<<(c%32)) == 0 {
			return kindError{errPrivilege, fmt.Errorf("%s needs root: the capability %s is missing", what, capabilityName(c)),
				"run it with sudo, or as root"}
		}
	}
	return mayEnter(what)
}

// mayEnter tries to enter the namespace in which natwarden was started: the
// root of a user namespace has every capability, but none over what stands outside.
func mayEnter(what string) error {
	here, err := netns.Current()
	if err != nil {
		return err
	}
	defer here.Close()
	err = here.Do(context.Background(), func(context.Context) error { return nil })
	if errors.Is(err, unix.EPERM) {
		return kindError{errPrivilege, fmt.Errorf("%s needs root of the machine: %w", what, err),
			"this is a container or a user namespace: run it outside, as root"}
	}
	return err
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
