package tether

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// session is what sshd says of itself in SSH_CONNECTION (ssh(1)); the server's
// end is the one after translation.
type session struct{ client, server netip.AddrPort }

// sessionOf reads a process's environment as it was when it began (proc(5)).
func sessionOf(pid int) (session, bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return session{}, false
	}
	for _, pair := range bytes.Split(data, []byte{0}) {
		if value, found := bytes.CutPrefix(pair, []byte("SSH_CONNECTION=")); found {
			return parseSession(string(value))
		}
	}
	return session{}, false
}

// parseSession reads client address and port, server address and port. What is
// not of that form is none.
func parseSession(text string) (session, bool) {
	f := strings.Fields(text)
	if len(f) != 4 {
		return session{}, false
	}
	client, errClient := endpoint(f[0], f[1])
	server, errServer := endpoint(f[2], f[3])
	return session{client, server}, errClient == nil && errServer == nil
}

func endpoint(addr, port string) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return netip.AddrPort{}, err
	}
	p, err := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(a.Unmap().WithZone(""), uint16(p)), err
}

// Client is the ssh client from which this process was called, by text (the
// value of SSH_CONNECTION) or else by the environment of the processes above; false where there is none.
func Client(text string) (netip.AddrPort, bool) {
	if s, found := parseSession(text); found {
		return s.client, true
	}
	for _, pid := range ancestors(os.Getpid()) {
		if s, found := sessionOf(pid); found {
			return s.client, true
		}
	}
	return netip.AddrPort{}, false
}
