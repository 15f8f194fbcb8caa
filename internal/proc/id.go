package proc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// Identify gives each listener of all spaces an id that is the same next
// week: a hash of what it is, never of a process or socket number. Equal ones
// get -2, -3, in the order of their sockets.
func Identify(spaces []*host.Space) {
	seen := map[string]int{}
	for l := range listeners(spaces) {
		id := listenerID(l)
		seen[id]++
		l.ID = id
		if n := seen[id]; n > 1 {
			l.ID += "-" + strconv.Itoa(n)
		}
	}
}

func listenerID(l *host.Listener) string {
	h := sha256.New()
	for _, part := range []string{l.Proto, l.Address, strconv.Itoa(int(l.Port)), lastingLabel(l.Netns), l.Device, holders(l.Processes)} {
		fmt.Fprintf(h, "%d:%s,", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// lastingLabel leaves out labels that name a process: the number is another
// one tomorrow. Who listens tells such namespaces apart.
func lastingLabel(label string) string {
	if strings.HasPrefix(label, "pid:") || strings.HasPrefix(label, "fd:") || strings.HasPrefix(label, "/proc/") {
		return ""
	}
	return label
}

// holders writes who holds the socket by what lasts: program, unit, container.
// Several processes of one program are written once.
func holders(list []host.Process) string {
	var out []string
	for _, p := range list {
		out = append(out, strconv.Quote(p.Exe)+strconv.Quote(lastingUnit(p.Unit))+strconv.Quote(p.Container))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ",")
}

// lastingUnit leaves out units that systemd numbers anew each time: sessions
// and what systemd-run(1) starts.
func lastingUnit(unit string) string {
	if strings.HasSuffix(unit, ".scope") || strings.HasPrefix(unit, "run-") {
		return ""
	}
	return unit
}
