package suspect

import (
	"fmt"
	"slices"

	"github.com/natwarden/natwarden/internal/host"
)

// note adds what is odd about who holds the listeners of a space.
func note(s *host.Space) {
	ports := map[string][]*host.Listener{}
	for i := range s.Listeners {
		l := &s.Listeners[i]
		key := fmt.Sprintf("%s %s %d %s", l.Proto, l.Address, l.Port, l.Device)
		ports[key] = append(ports[key], l)
		byItself(s, l)
	}
	for _, sharing := range ports {
		if len(sharing) > 1 {
			share(sharing)
		}
	}
}

// byItself notes what the listener alone shows.
func byItself(s *host.Space, l *host.Listener) {
	for i := range l.Processes {
		p := &l.Processes[i]
		l.Notes = append(l.Notes, p.Notes...)
		if p.Netns != s.Netns {
			l.Notes = append(l.Notes, fmt.Sprintf("%s (pid %d) lives in %s", p.Name, p.PID, spaceText(p.Netns)))
		}
	}
	if programs := programsOf(l.Processes); len(programs) > 1 {
		l.Notes = append(l.Notes, "different programs hold the same socket: "+words(programs))
	}
	if l.MPTCP {
		l.Notes = append(l.Notes, "it takes Multipath TCP as well")
	}
}

func spaceText(label string) string {
	if label == "" {
		return "the network namespace in which natwarden was started"
	}
	return "network namespace " + label
}

// share notes that sockets of different programs share a port by
// SO_REUSEPORT: the kernel gives each a part of the connections.
func share(sharing []*host.Listener) {
	var all []host.Process
	for _, l := range sharing {
		all = append(all, l.Processes...)
	}
	programs := programsOf(all)
	if len(programs) < 2 {
		return
	}
	for _, l := range sharing {
		l.Notes = append(l.Notes, fmt.Sprintf("%d sockets share the port (SO_REUSEPORT), of different programs: %s", len(sharing), words(programs)))
	}
}

// programsOf gives one line for each program among processes.
func programsOf(list []host.Process) []string {
	seen := map[string]string{}
	for i := range list {
		p := &list[i]
		key := p.Exe + "\x00" + p.Container
		if _, ok := seen[key]; !ok {
			seen[key] = fmt.Sprintf("%s (pid %d)", first(p.Exe, p.Name), p.PID)
		}
	}
	out := make([]string, 0, len(seen))
	for _, text := range seen {
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

func words(list []string) string {
	text := ""
	for i, w := range list {
		if i > 0 {
			text += ", "
		}
		text += w
	}
	return text
}
