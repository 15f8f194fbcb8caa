package sock

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// looks is how often the two ways are compared before they are said to
// disagree: sockets come and go between one question and the next.
const looks = 3

// other is a socket that one of the two ways lists and the other does not.
type other struct {
	proto  string
	inode  uint64
	port   uint16
	byDiag bool
}

// twice asks /proc/net what sock_diag has told. A socket that only one of them
// lists, time and again, is hidden from the other: what else is hidden, and from
// both, nobody can tell.
func (r *reader) twice() {
	if len(r.asked) == 0 {
		return
	}
	odd := r.differences(r.found)
	for range looks - 1 {
		if len(odd) == 0 || r.ctx.Err() != nil {
			return
		}
		again := newReader(r.ctx, r.modules)
		for _, a := range r.asked {
			if err := again.ask(a.kind, a.v6); err != nil {
				again.close()
				return // the reading has told what cannot be read
			}
		}
		again.asked = r.asked
		later := again.differences(again.found)
		again.close()
		odd = slices.DeleteFunc(odd, func(o other) bool { return !slices.Contains(later, o) })
	}
	for _, o := range odd {
		r.blind = append(r.blind, host.Blind{Source: source, What: fmt.Sprintf("%s port %d, socket %d", o.proto, o.port, o.inode), Why: o.text()})
	}
}

func (o other) text() string {
	if o.byDiag {
		return "sock_diag lists it and /proc/net does not: one of them does not tell the truth"
	}
	return "/proc/net lists it and sock_diag does not: one of them does not tell the truth"
}

// differences compares what sock_diag listed with /proc/net.
func (r *reader) differences(byDiag []host.Listener) []other {
	seen := map[other]bool{}
	unlisted := map[string]bool{} // protocols that /proc/net does not list
	var agreed [2]bool            // TCP over IPv4, IPv6
	var out []other
	for _, a := range r.asked {
		if a.name == "tcp" && countsAgree(a.v6, byDiag) {
			agreed[a.v6] = true
			continue
		}
		list, ok := a.byFile()
		if !ok {
			unlisted[a.name] = true
		}
		for i := range list {
			seen[other{a.name, list[i].Inode, list[i].Port, true}] = true
		}
	}
	told := map[other]bool{}
	for i := range byDiag {
		l := &byDiag[i]
		o := other{l.Proto, l.Inode, l.Port, true}
		told[o] = true
		if !seen[o] && !unlisted[l.Proto] && !(l.Proto == "tcp" && agreed[family(l)]) {
			out = append(out, o)
		}
	}
	for o := range seen {
		if !told[o] {
			o.byDiag = false
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b other) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return out
}

// countsAgree says whether the kernel has exactly as many TCP sockets in use
// as were listed (proc(5), /proc/net/sockstat). Then nobody hides one, and the
// list in /proc/net, for which the kernel goes through the connections of all
// namespaces, need not be read.
func countsAgree(v6 int, byDiag []host.Listener) bool {
	listed := map[uint64]bool{}
	for i := range byDiag {
		if l := &byDiag[i]; l.Proto == "tcp" && family(l) == v6 {
			listed[l.Inode] = true
		}
	}
	n, ok := InUse(v6)
	return ok && n == len(listed)
}

// family is 1 of a listener on an IPv6 socket.
func family(l *host.Listener) int {
	if strings.Contains(l.Address, ":") {
		return 1
	}
	return 0
}

// InUse says how many TCP sockets listen or are connected in the network
// namespace of the calling thread: over IPv4, or over IPv6 where v6 is 1.
func InUse(v6 int) (int, bool) {
	file := [2]string{"sockstat", "sockstat6"}[v6]
	text, err := os.ReadFile("/proc/thread-self/net/" + file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) >= 3 && (fields[0] == "TCP:" || fields[0] == "TCP6:") && fields[1] == "inuse" {
			n, err := strconv.Atoi(fields[2])
			return n, err == nil
		}
	}
	return 0, false
}

// asked is one question that sock_diag has answered.
type asked struct {
	kind
	v6 int
}

// byFile reads the same sockets from /proc/net; not where there is no such file.
func (a asked) byFile() ([]host.Listener, bool) {
	if a.files[a.v6] == "" {
		return nil, false
	}
	f, err := os.Open("/proc/thread-self/net/" + a.files[a.v6])
	if err != nil {
		return nil, errors.Is(err, fs.ErrNotExist) && a.v6 == 1 // IPv6 is not there: no sockets
	}
	defer f.Close()
	parse := parseInet
	if a.name == "sctp" {
		parse = parseEndpoints
	}
	var in io.Reader = f
	if a.name == "tcp" {
		in = listening(f)
	}
	list, err := parse(in, a.kind)
	return list, err == nil
}

// listening ends a list of TCP sockets behind those that listen: the kernel
// lists them first (net/ipv4/tcp_ipv4.c, tcp_get_idx), and a busy host has many
// thousands of others.
func listening(f io.Reader) io.Reader {
	in, out := bufio.NewReaderSize(f, 4096), &strings.Builder{}
	for n := 0; ; n++ {
		line, err := in.ReadString('\n')
		if fields := strings.Fields(line); n > 0 && len(fields) > 3 && fields[3] != "0A" {
			break
		}
		out.WriteString(line)
		if err != nil {
			break
		}
	}
	return strings.NewReader(out.String())
}
