package edit

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/proc"
)

// groupOf gives the processes that must end together, the named one first: a
// script without a terminal that starts it again and again, those that hold the
// same sockets, and its children of the same program.
func groupOf(ctx context.Context, first proc.Life) ([]proc.Life, error) {
	all, err := everybody(ctx)
	if err != nil {
		return nil, err
	}
	group := []proc.Life{first}
	add := func(l proc.Life) {
		if l.PID > 1 && l.PID != os.Getpid() && !slices.ContainsFunc(group, func(g proc.Life) bool { return g.PID == l.PID }) {
			group = append(group, l)
		}
	}
	if loop, ok := all[first.Parent]; ok && restarts(loop) {
		add(loop)
		for _, l := range all { // what the loop runs beside it: the other end of a pipe
			if l.Parent == loop.PID {
				add(l)
			}
		}
	}
	sockets := socketsOf(first.PID)
	for _, l := range all {
		if l.Exe != first.Exe || l.Exe == "" {
			continue
		}
		if l.Parent == first.PID || shares(sockets, socketsOf(l.PID)) {
			add(l)
		}
	}
	slices.SortStableFunc(group[1:], func(a, b proc.Life) int { return order(a) - order(b) })
	return group, nil
}

// order ends loops first, so that they start nothing again.
func order(l proc.Life) int {
	if restarts(l) {
		return 0
	}
	return 1
}

// restarts says whether a process is a script that nobody sits at and that
// starts things again and again: a shell without a terminal whose script loops.
func restarts(l proc.Life) bool {
	switch path.Base(l.Exe) {
	case "sh", "bash", "dash", "zsh", "ksh", "ash", "busybox", "mksh":
		return l.TTY == 0 && l.PID > 1 && loops(scriptOf(l.PID))
	}
	return false
}

// loops looks for the shell's loop words.
func loops(script string) bool {
	for _, word := range strings.FieldsFunc(script, func(r rune) bool { return strings.ContainsRune(" \t\r\n;&|(){}", r) }) {
		if word == "while" || word == "until" || word == "for" {
			return true
		}
	}
	return false
}

// maxScript bounds what is read of a script, in bytes.
const maxScript = 1 << 20

// scriptOf is the text that a shell runs: the argument of -c, or its file.
func scriptOf(pid int) string {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return ""
	}
	args := strings.Split(string(raw), "\x00")
	for i, a := range args[1:] {
		switch {
		case strings.HasPrefix(a, "-") && strings.HasSuffix(a, "c") && i+2 < len(args):
			return args[i+2]
		case a != "" && !strings.HasPrefix(a, "-"):
			return regularFile(pid, a)
		}
	}
	return ""
}

// regularFile reads a file of the process; of anything but a small regular
// file it reads nothing.
func regularFile(pid int, name string) string {
	at := fmt.Sprintf("/proc/%d/root", pid)
	if !path.IsAbs(name) {
		at = fmt.Sprintf("/proc/%d/cwd", pid)
	}
	full := path.Join(at, path.Clean("/"+name))
	st, err := os.Lstat(full)
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxScript {
		return ""
	}
	b, err := os.ReadFile(full)
	if err != nil {
		return ""
	}
	return string(b)
}

func everybody(ctx context.Context) (map[int]proc.Life, error) {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing /proc: %w", err)
	}
	out := map[int]proc.Life{}
	for _, n := range names {
		pid, err := strconv.Atoi(n.Name())
		if err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("listing processes: %w", err)
		}
		if l, err := proc.LifeOf(pid); err == nil {
			out[pid] = l
		}
	}
	return out, nil
}

// socketsOf lists the sockets of a process, as /proc/PID/fd names them.
func socketsOf(pid int) []string {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	names, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range names {
		if link, err := os.Readlink(dir + "/" + n.Name()); err == nil && strings.HasPrefix(link, "socket:") {
			out = append(out, link)
		}
	}
	return out
}

func shares(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}
