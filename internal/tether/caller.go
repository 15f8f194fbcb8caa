package tether

import (
	"context"
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// mostAncestors bounds the way up: a process tree that is deeper is none of a person's.
const mostAncestors = 64

// ancestors are the processes above one, the nearest first, without the first
// of all.
func ancestors(pid int) (out []int) {
	for range mostAncestors {
		life, err := proc.LifeOf(pid)
		if err != nil || life.Parent <= 1 || slices.Contains(out, life.Parent) {
			return out
		}
		pid = life.Parent
		out = append(out, pid)
	}
	return out
}

// caller finds by which connections the caller is there: those that the
// processes above hold, and the one that ssh names in the environment, which
// sudo takes away and tmux keeps longer than it lasts.
func (f *finder) caller(ctx context.Context) {
	above := ancestors(f.asked.PID)
	f.session(ctx, above)
	for i, pid := range above {
		for _, s := range f.heldBy(ctx, pid) {
			f.ofAncestor(ctx, &s, pid, above[:i+1])
		}
	}
	f.detached(ctx, above)
	f.itself(above)
}

// ofAncestor adds a socket of a process above natwarden.
func (f *finder) ofAncestor(ctx context.Context, s *socket, pid int, below []int) {
	name := first(names(pid))
	switch {
	case s.listens:
	case s.connected() && f.accepted(s), s.connected() && slices.ContainsFunc(names(pid), isLogin):
		f.add(f.asked.Caller, fmt.Sprintf("your session %s, held by %s (pid %d),", ends(s, false), name, pid), *s, false, below...)
		f.carried(ctx, s, 0)
	case s.connected():
		f.add(f.asked.Remote, fmt.Sprintf("the connection of %s (pid %d), which called natwarden, %s", name, pid, ends(s, true)), *s, true, below...)
	case s.proto == "udp": // mosh-server answers whoever knows its key
		f.add(f.asked.Caller, fmt.Sprintf("your session at udp port %d of %s (pid %d)", s.here.Port(), name, pid), *s, false, below...)
	}
}

// logins are the programs that let people in over the network.
func isLogin(name string) bool {
	return slices.Contains([]string{"sshd", "sshd-session", "dropbear", "mosh-server", "in.telnetd", "telnetd", "utelnetd", "in.rlogind", "in.rshd",
		"ttyd", "gotty", "shellinaboxd", "cockpit-ws", "cockpit-session", "cockpit-tls", "ser2net", "conserver", "tinysshd", "lsh-server", "teleport", "tailscaled"}, name)
}

// session adds what SSH_CONNECTION names, of natwarden or of whoever stands above it.
func (f *finder) session(ctx context.Context, above []int) {
	told, ok := parseSession(f.asked.Session)
	for _, pid := range append([]int{f.asked.PID}, above...) {
		if ok {
			break
		}
		told, ok = sessionOf(pid)
	}
	if !ok {
		return
	}
	for _, pid := range above { // sshd may live in another namespace
		f.read(ctx, fmt.Sprintf("/proc/%d/ns/net", pid))
	}
	words := fmt.Sprintf("your ssh session from %s to %s", told.client, told.server)
	i := slices.IndexFunc(f.sockets, func(s socket) bool { return s.proto == "tcp" && s.here == told.server && s.there == told.client })
	if i < 0 {
		f.add(f.asked.Caller, words, socket{proto: "tcp", here: told.server, there: told.client}, false, above...)
		return
	}
	s := f.sockets[i]
	f.add(f.asked.Caller, words, s, false, above...)
	f.carried(ctx, &s, 0)
}

// detached adds every login session where it is not known by which one natwarden's
// caller came: within tmux or the like, and at a pseudo-terminal that no session is
// known of (systemd-run --pty, a terminal that outlived its session).
func (f *finder) detached(ctx context.Context, above []int) {
	within := slices.ContainsFunc(above, func(pid int) bool { return slices.ContainsFunc(names(pid), isMultiplexer) })
	if !within && (f.callers() || !atPseudoTerminal(f.asked.PID)) {
		return
	}
	f.each(ctx, func(pid int) {
		if !slices.ContainsFunc(names(pid), isLogin) {
			return
		}
		n := 0
		for _, s := range f.heldBy(ctx, pid) {
			if s.connected() && f.accepted(&s) && n < mostLines {
				n++
				f.add(f.asked.Caller, fmt.Sprintf("the session %s of %s (pid %d), by which you may have come to your terminal,", ends(&s, false), first(names(pid)), pid), s, false, pid)
			}
		}
	})
}

// callers says whether a connection of the caller's was found.
func (f *finder) callers() bool {
	return slices.ContainsFunc(f.lines, func(l host.Line) bool { return l.Guard == f.asked.Caller && l.Proto != "" })
}

// atPseudoTerminal says whether a process has a controlling terminal that is no
// console: pseudo-terminals have the majors 136 to 143 (devices.txt of the kernel), in bits 8 to 15.
func atPseudoTerminal(pid int) bool {
	life, err := proc.LifeOf(pid)
	major := life.TTY >> 8 & 0xff
	return err == nil && major >= 136 && major <= 143
}

func isMultiplexer(name string) bool {
	return slices.Contains([]string{"tmux: server", "tmux", "screen", "SCREEN", "dtach", "abduco", "zellij", "dvtm"}, name)
}

// itself adds the processes in which natwarden runs: to stop one of their
// units, or their container, would end it half way.
func (f *finder) itself(above []int) {
	f.lines = append(f.lines, hostLine(f.asked.Caller, "natwarden itself", f.describe(append([]int{f.asked.PID}, above...))))
}

func first(list []string) string {
	if len(list) == 0 {
		return "a process"
	}
	return list[0]
}
