package proc

import (
	"crypto/sha256"
	"encoding/hex"
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

// listenerID hashes the parts with their lengths, so that no two lists of
// parts read the same.
func listenerID(l *host.Listener) string {
	b := make([]byte, 0, 256)
	for _, part := range [...]string{l.Proto, l.Address, lastingLabel(l.Netns), l.Device} {
		b = appendPart(b, part)
	}
	b = strconv.AppendUint(b, uint64(l.Port), 10)
	sum := sha256.Sum256(appendHolders(b, l.Processes))
	return hex.EncodeToString(sum[:6])
}

func appendPart(b []byte, part string) []byte {
	b = strconv.AppendInt(b, int64(len(part)), 10)
	b = append(b, ':')
	return append(b, part...)
}

// lastingLabel leaves out labels that name a process: the number is another
// one tomorrow. Who listens tells such namespaces apart.
func lastingLabel(label string) string {
	if strings.HasPrefix(label, "pid:") || strings.HasPrefix(label, "fd:") || strings.HasPrefix(label, "/proc/") {
		return ""
	}
	return label
}

// appendHolders writes who holds the socket by what lasts: program, unit,
// container. Several processes of one program are written once.
func appendHolders(b []byte, list []host.Process) []byte {
	if len(list) == 1 { // nearly always
		return appendHolder(b, &list[0])
	}
	holders := make([]string, 0, len(list))
	for i := range list {
		holders = append(holders, string(appendHolder(nil, &list[i])))
	}
	slices.Sort(holders)
	for _, h := range slices.Compact(holders) {
		b = append(b, h...)
	}
	return b
}

func appendHolder(b []byte, p *host.Process) []byte {
	for _, part := range [...]string{p.Exe, lastingUnit(p.Unit), p.Container} {
		b = appendPart(b, part)
	}
	return b
}

// lastingUnit leaves out units that systemd numbers anew each time: sessions
// and what systemd-run(1) starts.
func lastingUnit(unit string) string {
	if strings.HasSuffix(unit, ".scope") || strings.HasPrefix(unit, "run-") {
		return ""
	}
	return unit
}
