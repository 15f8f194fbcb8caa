package policy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// draftListener states a listener by its port and by what proves its process.
func draftListener(l *host.Listener) *draft {
	d := &draft{heading: listenerHeading(l), rowIDs: []string{l.ID}, exact: true,
		name:  processName(l) + "-" + l.Proto + "-" + strconv.Itoa(int(l.Port)),
		found: short(strings.ToValidUTF8(fmt.Sprintf("%s on %s %s port %d", orNobody(processName(l)), l.Proto, l.Address, l.Port), "\ufffd"))}
	d.set("proto", l.Proto)
	d.set("ports", strconv.Itoa(int(l.Port)))
	if bound := boundTo(l); bound.IsValid() {
		d.set("address", bound.String())
	}
	if l.Netns == "" {
		d.set("netns", "current")
	} else {
		d.set("netns", l.Netns)
	}
	d.setHolders(l)
	if l.Transparent {
		d.set("transparent", "true")
	}
	return d
}

// setHolders names what all processes on the socket have in common with
// themselves: a key is written only where it proves something of each.
func (d *draft) setHolders(l *host.Listener) {
	var exes, units, containers []string
	for i := range l.Processes {
		p := &l.Processes[i]
		if p.HostExe && !p.Deleted && p.Exe != "" {
			exes = append(exes, p.Exe)
		}
		if p.SystemUnit && p.Unit != "" {
			units = append(units, p.Unit)
		}
		if p.Container != "" {
			containers = append(containers, p.Container)
		}
	}
	for _, key := range []struct {
		name   string
		values []string
	}{{"exe", exes}, {"unit", units}, {"container", containers}} {
		if len(key.values) == len(l.Processes) {
			d.set(key.name, unique(key.values)...)
		}
	}
	user := l.User
	if _, err := strconv.ParseUint(user, 10, 32); err == nil || user == "" {
		user = strconv.FormatUint(uint64(l.UID), 10)
	}
	d.set("user", user)
}

func processName(l *host.Listener) string {
	if len(l.Processes) == 0 {
		return ""
	}
	return l.Processes[0].Name
}

func orNobody(name string) string {
	if name == "" {
		return "a socket without a process"
	}
	return name
}

func listenerHeading(l *host.Listener) string {
	if len(l.Processes) == 0 {
		return ""
	}
	p := &l.Processes[0]
	switch {
	case p.Container != "":
		return "container " + p.Container
	case p.Unit != "":
		return p.Unit
	}
	return p.Name
}
