package fault

import (
	"golang.org/x/sys/unix"
)

// Socket options by which a table of x_tables is changed
// (linux/netfilter_ipv4/ip_tables.h).
const (
	setReplace     = 64 // IPT_SO_SET_REPLACE
	setAddCounters = 65 // IPT_SO_SET_ADD_COUNTERS
)

// how says what of a call's arguments tells its object.
type how int

const (
	byPath   how = iota // a path
	byAt                // a folder's descriptor and a name in it
	byRename            // two of those
	byFile              // a descriptor
	byWrite             // a descriptor and bytes
	bySend              // a socket, and bytes or a struct msghdr
	byOption            // a socket, a level, an option and its bytes
	byNumber            // the first argument as a number
)

type kind struct {
	name string
	how  how
}

// changing are the calls that change something outside the process and are
// always of interest, by number. The others are in kindOf.
var changing = map[int]kind{
	unix.SYS_WRITE: {"write", byWrite}, unix.SYS_PWRITE64: {"pwrite", byWrite}, unix.SYS_WRITEV: {"writev", byWrite},
	unix.SYS_PWRITEV: {"pwritev", byWrite}, unix.SYS_PWRITEV2: {"pwritev2", byWrite},
	unix.SYS_FSYNC: {"fsync", byFile}, unix.SYS_FDATASYNC: {"fdatasync", byFile}, unix.SYS_FTRUNCATE: {"ftruncate", byFile},
	unix.SYS_FALLOCATE: {"fallocate", byFile}, unix.SYS_FLOCK: {"flock", byFile},
	unix.SYS_FCHMOD: {"fchmod", byFile}, unix.SYS_FCHOWN: {"fchown", byFile}, unix.SYS_COPY_FILE_RANGE: {"copy_file_range", byFile},
	unix.SYS_OPEN: {"open", byPath}, unix.SYS_CREAT: {"creat", byPath}, unix.SYS_TRUNCATE: {"truncate", byPath},
	unix.SYS_MKDIR: {"mkdir", byPath}, unix.SYS_RMDIR: {"rmdir", byPath}, unix.SYS_UNLINK: {"unlink", byPath},
	unix.SYS_RENAME: {"rename", byPath}, unix.SYS_LINK: {"link", byPath}, unix.SYS_SYMLINK: {"symlink", byPath},
	unix.SYS_CHMOD: {"chmod", byPath}, unix.SYS_CHOWN: {"chown", byPath}, unix.SYS_MOUNT: {"mount", byPath}, unix.SYS_UMOUNT2: {"umount2", byPath},
	unix.SYS_EXECVE:  {"execve", byPath},
	unix.SYS_OPENAT2: {"openat2", byAt}, unix.SYS_MKDIRAT: {"mkdirat", byAt}, unix.SYS_UNLINKAT: {"unlinkat", byAt},
	unix.SYS_FCHMODAT: {"fchmodat", byAt}, unix.SYS_FCHMODAT2: {"fchmodat2", byAt}, unix.SYS_FCHOWNAT: {"fchownat", byAt},
	unix.SYS_MKNODAT: {"mknodat", byAt}, unix.SYS_UTIMENSAT: {"utimensat", byAt}, unix.SYS_EXECVEAT: {"execveat", byAt},
	unix.SYS_RENAMEAT: {"renameat", byRename}, unix.SYS_RENAMEAT2: {"renameat2", byRename}, unix.SYS_LINKAT: {"linkat", byRename},
	unix.SYS_SENDTO: {"sendto", bySend}, unix.SYS_SENDMSG: {"sendmsg", bySend}, unix.SYS_SENDMMSG: {"sendmmsg", bySend},
	unix.SYS_BPF: {"bpf", byNumber}, unix.SYS_KILL: {"kill", byNumber}, unix.SYS_PIDFD_SEND_SIGNAL: {"pidfd_send_signal", byNumber},
	unix.SYS_SETNS: {"setns", byFile},
}

func kindOf(number int) (kind, bool) {
	switch number {
	case unix.SYS_OPENAT:
		return kind{"openat", byAt}, true
	case unix.SYS_SETSOCKOPT:
		return kind{"setsockopt", byOption}, true
	}
	k, ok := changing[number]
	return k, ok
}

// registers are those of a thread at the entry of a call.
type registers struct{ unix.PtraceRegs }

func (r *registers) number() int { return int(r.Orig_rax) }

func (r *registers) argument(i int) uint64 {
	return [6]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9}[i]
}

// skip makes the kernel leave the call out and answer with an error.
func (r *registers) skip(errno unix.Errno) {
	r.Orig_rax = ^uint64(0)
	r.answer(errno)
}

// answer sets the result of the call.
func (r *registers) answer(errno unix.Errno) { r.Rax = uint64(-int64(errno)) }
