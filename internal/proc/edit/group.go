package edit

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/proc"
)

// deepestLoop bounds how many parents may stand between a loop and what it runs.
const deepestLoop = 4

// groupOf gives the processes that must end together, the named one first: a
// script without a terminal that starts it again and again, those of the same
// program that hold the same listening sockets, and its children of the same program.
// Those that own names are never among them.
func groupOf(ctx context.Context, first proc.Life, own map[int]bool) ([]proc.Life, error) {
	all, err := everybody(ctx)
	if err != nil {
		return nil, err
	}
	group := []proc.Life{first}
	add := func(l proc.Life) {
		if endable(l, own) == nil && !slices.ContainsFunc(group, func(g proc.Life) bool { return g.PID == l.PID }) {
			group = append(group, l)
		}
	}
	for _, loop := range loopsOver(first, all, own) {
		add(loop)
		for _, l := range all { // what the loop runs beside it: the other end of a pipe
			if l.Parent == loop.PID {
				add(l)
			}
		}
	}
	listening := listeningSockets(first.PID)
	sockets := only(socketsOf(first.PID), listening)
	for _, l := range all {
		if l.Exe != first.Exe || l.Exe == "" {
			continue
		}
		if l.Parent == first.PID || shares(sockets, socketsOf(l.PID)) {
			add(l)
		}
	}
	slices.SortStableFunc(group[1:], func(a, b proc.Life) int { return cmp.Or(order(a)-order(b), a.PID-b.PID) })
	return group, nil
}

// loopsOver gives the scripts above a process up to the highest that loops.
func loopsOver(first proc.Life, all map[int]proc.Life, own map[int]bool) []proc.Life {
	var above, out []proc.Life
	for at := first; len(above) < deepestLoop; {
		parent, ok := all[at.Parent]
		if !ok || own[parent.PID] || !isScript(parent) {
			break
		}
		above = append(above, parent)
		if loops(scriptOf(parent.PID)) {
			out = slices.Clone(above)
		}
		at = parent
	}
	return out
}

// order ends loops first, so that they start nothing again.
func order(l proc.Life) int {
	if restarts(l) {
		return 0
	}
	return 1
}

// restarts says whether a process is a script that starts things again and again.
func restarts(l proc.Life) bool { return isScript(l) && loops(scriptOf(l.PID)) }

// isScript says whether a process is a shell that nobody sits at.
func isScript(l proc.Life) bool {
	switch path.Base(l.Exe) {
	case "sh", "bash", "dash", "zsh", "ksh", "ash", "busybox", "mksh":
		return l.TTY == 0 && l.PID > 1
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
	fd, err := unix.Open(path.Join(at, path.Clean("/"+name)), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxScript {
		return ""
	}
	b, err := io.ReadAll(io.LimitReader(f, maxScript))
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

// only leaves what wanted holds.
func only(links []string, wanted map[string]bool) []string {
	return slices.DeleteFunc(links, func(s string) bool { return !wanted[s] })
}

// listeningSockets lists the sockets that answer in the process's network
// namespace, as /proc/PID/fd names them: TCP in state LISTEN (0A) and UDP
// (proc_net(5)). Other sockets that two processes share prove no kinship.
func listeningSockets(pid int) map[string]bool {
	out := map[string]bool{}
	for _, name := range []string{"tcp", "tcp6", "udp", "udp6"} {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(raw)) {
			f := strings.Fields(line)
			if len(f) > 9 && (f[3] == "0A" || strings.HasPrefix(name, "udp")) {
				out["socket:["+f[9]+"]"] = true
			}
		}
	}
	return out
}
