package proc

import (
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// KeepFromChildren has every open descriptor from the given one on closed in the
// programs that this process starts (close_range(2)), unless it is handed to them. Go
// opens its own so; what whoever started natwarden left open is not.
func KeepFromChildren(from int) {
	if unix.CloseRange(uint(from), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	entries, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return // natwarden does nothing without /proc
	}
	for _, e := range entries {
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err == nil && fd >= from {
			unix.CloseOnExec(fd)
		}
	}
}
