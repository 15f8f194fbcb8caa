package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Life is what identifies a process beyond its number, which the kernel gives
// again: when it started and what it runs (proc_pid_stat(5)).
type Life struct {
	PID, Parent int
	Start       uint64 // in clock ticks since boot
	TTY         int    // 0: no controlling terminal
	Exe         string
}

// LifeOf reads it; an error means that the process has ended.
func LifeOf(pid int) (Life, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Life{}, fmt.Errorf("reading process %d: %w", pid, err)
	}
	// The name stands in parentheses and may hold any byte: fields follow the last one.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return Life{}, fmt.Errorf("process %d has ended", pid)
	}
	l := Life{PID: pid}
	l.Parent, _ = strconv.Atoi(fields[1])
	l.TTY, _ = strconv.Atoi(fields[4])
	l.Start, _ = strconv.ParseUint(fields[19], 10, 64)
	l.Exe, _ = os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return l, nil
}

// Fingerprint names the process for good: number, start and executable.
func (l Life) Fingerprint() string { return fmt.Sprintf("%d %d %s", l.PID, l.Start, l.Exe) }
