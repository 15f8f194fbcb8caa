package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The two questions that are asked without cilium/ebpf: it loads small programs
// to find out what the kernel can, and reading must load nothing. Layouts are those of union bpf_attr
// and struct bpf_prog_info (include/uapi/linux/bpf.h).

// queryAttr is the part of union bpf_attr that BPF_PROG_QUERY uses.
type queryAttr struct {
	target      uint32
	attachType  uint32
	queryFlags  uint32
	attachFlags uint32
	programs    uint64
	count       uint32
	_           uint32
	progFlags   uint64
	links       uint64
	linkFlags   uint64
	revision    uint64
}

// attached is one program of an answer to BPF_PROG_QUERY.
type attached struct{ program, link, flags uint32 }

// mostAttached bounds the programs of one place; the kernel allows 64.
const mostAttached = 256

// query asks which programs are attached at a place, in the order in which
// they run. target is an interface number or a descriptor.
func query(target int, at uint32) ([]attached, error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	programs, links := make([]uint32, mostAttached), make([]uint32, mostAttached)
	attr := queryAttr{target: uint32(target), attachType: at, count: mostAttached, programs: address(&pins, programs)}
	if linked(at) {
		attr.links = address(&pins, links)
	}
	_, err := call(unix.BPF_PROG_QUERY, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return nil, fmt.Errorf("asking for attached programs: %w", err)
	}
	if attr.count > mostAttached {
		return nil, fmt.Errorf("%d programs are attached, more than are read", attr.count)
	}
	out := make([]attached, attr.count)
	for i := range out {
		out[i] = attached{programs[i], links[i], attr.attachFlags}
	}
	return out, nil
}

// linked says whether the answer for a hook names links: those of
// bpf_mprog, tcx and netkit (BPF_TCX_INGRESS to BPF_NETKIT_PEER).
func linked(at uint32) bool {
	switch ebpf.AttachType(at) {
	case ebpf.AttachTCXIngress, ebpf.AttachTCXEgress, ebpf.AttachNetkitPrimary, ebpf.AttachNetkitPeer:
		return true
	}
	return false
}

// infoAttr is the part of union bpf_attr that BPF_OBJ_GET_INFO_BY_FD uses.
type infoAttr struct {
	fd, length uint32
	info       uint64
}

// programInfo is the beginning of struct bpf_prog_info, as of Linux 4.15.
type programInfo struct {
	kind, id    uint32
	tag         [8]byte
	jitedSize   uint32
	codeSize    uint32
	jited, code uint64
	loaded      uint64 // nanoseconds after boot
	uid         uint32
	mapCount    uint32
	maps        uint64
	name        [16]byte
}

// describe reads what the kernel says of a program, its translated code and
// its maps. code is empty where the kernel does not show it.
func describe(fd int) (info programInfo, code []byte, maps []uint32, err error) {
	if err := infoOf(fd, &info); err != nil {
		return info, nil, nil, err
	}
	var pins runtime.Pinner
	defer pins.Unpin()
	second := programInfo{}
	if info.codeSize > 0 {
		code = make([]byte, info.codeSize)
		second.codeSize, second.code = info.codeSize, address(&pins, code)
	}
	if info.mapCount > 0 {
		maps = make([]uint32, info.mapCount)
		second.mapCount, second.maps = info.mapCount, address(&pins, maps)
	}
	err = infoOf(fd, &second)
	if second.code == 0 { // the kernel hides it: net.core.bpf_jit_harden with kernel.kptr_restrict
		code = nil
	}
	return info, code, maps, err
}

func infoOf(fd int, info *programInfo) error {
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(info)
	attr := infoAttr{fd: uint32(fd), length: uint32(unsafe.Sizeof(*info)), info: uint64(uintptr(unsafe.Pointer(info)))}
	_, err := call(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return fmt.Errorf("asking for a program's description: %w", err)
	}
	return nil
}

// call makes the bpf system call, again where a signal or the verifier's lock
// interrupts it.
func call(command uintptr, attr unsafe.Pointer, size uintptr) (uintptr, error) {
	for range 16 {
		r, _, errno := unix.Syscall(unix.SYS_BPF, command, uintptr(attr), size)
		switch errno {
		case 0:
			return r, nil
		case unix.EINTR, unix.EAGAIN:
			continue
		}
		return 0, errno
	}
	return 0, unix.EAGAIN
}

// address is where a slice begins, for the kernel; pins keeps it there.
func address[T any](pins *runtime.Pinner, s []T) uint64 {
	first := unsafe.SliceData(s)
	pins.Pin(first)
	return uint64(uintptr(unsafe.Pointer(first)))
}

func (i *programInfo) text() string {
	name, _, _ := bytes.Cut(i.name[:], []byte{0})
	return string(name)
}

func (i *programInfo) tagText() string {
	return fmt.Sprintf("%016x", binary.BigEndian.Uint64(i.tag[:]))
}
