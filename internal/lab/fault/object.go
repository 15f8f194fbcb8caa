//go:build amd64

package fault

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// thread is a stopped thread whose memory and descriptors are looked at.
type thread int

// memory reads the thread's memory; what cannot be read is left out.
func (t thread) memory(at uint64, size int) []byte {
	buf := make([]byte, size)
	n, err := unix.ProcessVMReadv(int(t), []unix.Iovec{{Base: &buf[0], Len: uint64(size)}},
		[]unix.RemoteIovec{{Base: uintptr(at), Len: size}}, 0)
	if err != nil {
		// It may end on the border of a page.
		n, _ = unix.PtracePeekData(int(t), uintptr(at), buf)
	}
	return buf[:max(n, 0)]
}

func (t thread) text(at uint64) string {
	text, _, _ := bytes.Cut(t.memory(at, 512), []byte{0})
	return string(text)
}

func (t thread) file(fd uint64) string {
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", int(t), int32(fd)))
	if err != nil {
		return "nothing"
	}
	return strings.TrimSuffix(link, " (deleted)")
}

// at is a path relative to a descriptor.
func (t thread) at(fd, name uint64) string {
	text := t.text(name)
	if path.IsAbs(text) {
		return text
	}
	if int32(fd) == unix.AT_FDCWD {
		cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", int(t)))
		return path.Join(cwd, text)
	}
	return path.Join(t.file(fd), text)
}

// object says in words what a call works on.
func (t thread) object(k kind, arg func(int) uint64) string {
	switch k.how {
	case byPath:
		return t.text(arg(0))
	case byAt:
		return t.at(arg(0), arg(1))
	case byRename:
		return t.at(arg(0), arg(1)) + " to " + t.at(arg(2), arg(3))
	case byFile:
		return t.file(arg(0))
	case byWrite:
		return t.opened(arg(0))
	case bySend:
		return t.socket(arg(0)) + " " + t.sent(k.name, arg)
	case byOption:
		return fmt.Sprintf("level %d option %d table %s", arg(1), arg(2), t.text(arg(3)))
	}
	return fmt.Sprint(arg(0))
}

// opened names a descriptor to which bytes are written.
func (t thread) opened(fd uint64) string {
	switch link := t.file(fd); {
	case fd == 1:
		return "standard output"
	case fd == 2:
		return "standard error"
	case strings.HasPrefix(link, "pipe:"):
		return "pipe"
	case strings.HasPrefix(link, "socket:"):
		return t.socket(fd)
	default:
		return link
	}
}

// socket tells the kind of a socket by asking it, through a descriptor of our own.
func (t thread) socket(fd uint64) string {
	pidfd, err := unix.PidfdOpen(t.process(), 0)
	if err != nil {
		return "socket"
	}
	defer unix.Close(pidfd)
	own, err := unix.PidfdGetfd(pidfd, int(int32(fd)), 0)
	if err != nil {
		return "socket"
	}
	defer unix.Close(own)
	domain, _ := unix.GetsockoptInt(own, unix.SOL_SOCKET, unix.SO_DOMAIN)
	protocol, _ := unix.GetsockoptInt(own, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if domain != unix.AF_NETLINK {
		return fmt.Sprintf("socket of family %d", domain)
	}
	return fmt.Sprintf("netlink %d", protocol)
}

// process is the process of the thread.
func (t thread) process() int {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", int(t)))
	_, rest, _ := strings.Cut(string(status), "Tgid:")
	pid := int(t)
	_, _ = fmt.Sscan(rest, &pid)
	return pid
}

// sent tells a netlink message by its type, and a batch by that of the second
// message and by whether it is to be committed.
func (t thread) sent(call string, arg func(int) uint64) string {
	base, size := arg(1), arg(2)
	if call != "sendto" { // struct msghdr: the vector's place, the first entry
		head := t.memory(arg(1), 32)
		if len(head) < 32 {
			return "?"
		}
		vector := t.memory(binary.NativeEndian.Uint64(head[16:]), 16)
		if len(vector) < 16 {
			return "?"
		}
		base, size = binary.NativeEndian.Uint64(vector), binary.NativeEndian.Uint64(vector[8:])
	}
	return messages(t.memory(base, int(min(size, 1<<20))))
}

// messages names netlink messages by their types (struct nlmsghdr).
func messages(data []byte) string {
	var types []uint16
	for len(data) >= 16 {
		size := int(binary.NativeEndian.Uint32(data))
		if size < 16 || size > len(data) {
			break
		}
		types = append(types, binary.NativeEndian.Uint16(data[4:]))
		data = data[min((size+3)&^3, len(data)):]
	}
	switch {
	case len(types) == 0:
		return "no message"
	case types[0] != unix.NFNL_MSG_BATCH_BEGIN:
		return fmt.Sprintf("message %#x", types[0])
	case types[len(types)-1] == unix.NFNL_MSG_BATCH_END:
		return "batch"
	}
	return "batch to be checked"
}
