package labtest

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Spent is what the test's process has cost so far: its own time on processors and
// the time for which processors had nothing to do at all, for each processor. On an idle
// machine it runs as a clock does; while others keep a machine busy it hardly
// runs, so that a limit on it holds anywhere. Waiting in vain costs as well.
func Spent(t testing.TB) time.Duration {
	t.Helper()
	var own unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &own); err != nil {
		t.Fatal(err)
	}
	return (time.Duration(own.Utime.Nano()+own.Stime.Nano()) + idle(t)) / time.Duration(runtime.NumCPU())
}

// idle is the time that all processors together were idle or waited for a disk:
// columns 4 and 5 of the first line of /proc/stat, in hundredths of a second (proc_stat(5)).
func idle(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	columns := strings.Fields(line)
	if len(columns) < 6 {
		t.Fatalf("/proc/stat begins with %q", line)
	}
	var ticks int64
	for _, column := range columns[4:6] {
		n, err := strconv.ParseInt(column, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
