package xtables

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/retry"
)

// Socket options of include/uapi/linux/netfilter_ipv4/ip_tables.h; those of
// ip6_tables.h have the same numbers at another level, those of arp_tables.h others.
const (
	getInfo    = 64 // IPT_SO_GET_INFO, IP6T_SO_GET_INFO
	getEntries = 65 // IPT_SO_GET_ENTRIES, IP6T_SO_GET_ENTRIES
	arpGetInfo = 96 // ARPT_SO_GET_INFO
)

// Socket is a raw socket through which the kernel is asked for tables. It
// belongs to the network namespace of the thread that opened it.
type Socket struct {
	fd    int
	level int
}

// OpenSocket opens a socket for the tables of a family. It needs CAP_NET_RAW;
// the questions need CAP_NET_ADMIN.
func OpenSocket(f host.Family) (*Socket, error) {
	domain, level := unix.AF_INET, unix.IPPROTO_IP
	if f == host.IP6 {
		domain, level = unix.AF_INET6, unix.IPPROTO_IPV6
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return nil, fmt.Errorf("opening a raw socket for %s tables (needs CAP_NET_RAW): %w", f, err)
	}
	return &Socket{fd, level}, nil
}

// Close closes the socket.
func (s *Socket) Close() error { return unix.Close(s.fd) }

// Get asks an option whose question and answer share buf, and gives the
// length of the answer.
func (s *Socket) Get(option int, buf []byte) (int, error) {
	n := uint32(len(buf))
	err := retry.Call(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(s.fd), uintptr(s.level), uintptr(option),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(unsafe.Pointer(&n)), 0)
		return asError(errno)
	})
	return int(n), err
}

// Set sets an option to the bytes of buf.
func (s *Socket) Set(option int, buf []byte) error {
	return retry.Call(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(s.fd), uintptr(s.level), uintptr(option),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0)
		return asError(errno)
	})
}

func asError(errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}
