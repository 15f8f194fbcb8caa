package proc

import (
	"os"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestFilesOfARing(t *testing.T) {
	text := "pos:\t0\nflags:\t02\nSqMask:\t0x7\nUserFiles:\t3\n    0: socket:[4711]\n    1: /tmp/a socket:[x]\n    2: socket:[12]\nUserBufs:\t0\n"
	if got := ringFiles([]byte(text)); !slices.Equal(got, []uint64{4711, 12}) {
		t.Errorf("read %v", got)
	}
	if got := ringFiles([]byte("socket:[\n")); got != nil {
		t.Errorf("read %v of a torn line", got)
	}
}

// A listener that is registered with a ring and closed is still held by who
// has the ring.
func TestASocketInARing(t *testing.T) {
	space := labtest.New(t)
	f := heldByTest(t, space)
	var params [120]byte // struct io_uring_params
	ring, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		t.Skipf("this kernel gives no io_uring: %v", errno)
	}
	defer unix.Close(int(ring))
	files := [1]int32{int32(f.Fd())}
	const registerFiles = 2
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, ring, registerFiles, uintptr(unsafe.Pointer(&files)), 1, 0, 0); errno != 0 {
		t.Skipf("this kernel registers no files: %v", errno)
	}
	runtime.KeepAlive(&files)
	f.Close()
	found := readSpace(t, space)
	if len(found) != 1 || len(found[0].Processes) != 1 || found[0].Processes[0].PID != os.Getpid() {
		t.Errorf("want one listener of this process, read %+v", found)
	}
}
