package fault

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Exec puts the filter before this process and becomes argv[0]. It is what the
// child of Start does first, and returns only where that failed. Root needs no
// PR_SET_NO_NEW_PRIVS (seccomp(2)), which would show in the program.
func Exec(argv []string) error {
	runtime.LockOSThread()
	program := filter()
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return fmt.Errorf("setting the filter: %w", errno)
	}
	return unix.Exec(argv[0], argv, os.Environ())
}

// Offsets in struct seccomp_data (linux/seccomp.h): the number, and the low
// word of the third argument.
const (
	atNumber   = 0
	atArgument = 16 + 2*8
)

// filter stops the calls of changing, an openat(2) only where it may write, a
// setsockopt(2) only where it replaces an x_tables table or adds to its counters.
func filter() []unix.SockFilter {
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	jump := func(op uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	const mayWrite = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC
	out := []unix.SockFilter{
		load(atNumber),
		jump(unix.BPF_JEQ, unix.SYS_OPENAT, 0, 2),
		load(atArgument),
		jump(unix.BPF_JSET, mayWrite, 4, 5),
		jump(unix.BPF_JEQ, unix.SYS_SETSOCKOPT, 0, 5),
		load(atArgument),
		jump(unix.BPF_JEQ, setReplace, 1, 0),
		jump(unix.BPF_JEQ, setAddCounters, 0, 1),
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	for number := range changing {
		out = append(out, jump(unix.BPF_JEQ, uint32(number), 0, 1),
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE})
	}
	return append(out, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}
