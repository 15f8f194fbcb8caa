package relay

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// sshValued are the letters of ssh(1)'s options that take a value.
const sshValued = "BbcDEeFIiJLlmOopQRSWw"

// readSSH reads ssh -L, -D and their like in a configuration: an ssh client
// listens for nothing else, so any listener of it is a tunnel. The far end is
// taken from its connection; what lies behind it stands in the evidence.
func readSSH(p *program) ([]hop, error) {
	var out []hop
	for _, forward := range append(p.options("-L"), p.sshConfig("localforward")...) {
		out = append(out, hop{proto: "tcp", listen: sshListen(forward), kind: "tunnel", how: "ssh -L " + forward})
	}
	for _, dynamic := range append(p.options("-D"), p.sshConfig("dynamicforward")...) {
		l := parseListen(dynamic)
		out = append(out, hop{proto: "tcp", listen: listen{lo: l.lo, hi: l.hi}, kind: "tunnel", how: "ssh -D " + dynamic, open: true})
	}
	return append(out, hop{kind: "tunnel", how: "an ssh client listens only to forward", rest: true}), nil
}

// sshConfig gives the values of a keyword of the file of -F and of -o. A file
// that cannot be read hides only the words: the listener tells enough.
func (p *program) sshConfig(keyword string) []string {
	lines := p.options("-o")
	if file, ok := p.option("-F"); ok {
		if b, err := p.readFile(file); err == nil {
			lines = append(lines, strings.Split(string(b), "\n")...)
		}
	}
	var out []string
	for _, line := range lines {
		f := strings.Fields(strings.Replace(line, "=", " ", 1))
		if len(f) > 1 && strings.EqualFold(f[0], keyword) {
			out = append(out, strings.Join(f[1:], ":"))
		}
	}
	return out
}

// sshListen gives what [BIND:]PORT:HOST:HOSTPORT listens on. The address is
// left out: -g and GatewayPorts change it.
func sshListen(forward string) listen {
	if _, rest, ok := strings.Cut(forward, "]:"); ok && strings.HasPrefix(forward, "[") {
		first, _, _ := strings.Cut(rest, ":")
		return onPort(parsePort(first))
	}
	parts := strings.SplitN(forward, ":", 3)
	if port := parsePort(parts[0]); port != 0 || len(parts) < 2 {
		return onPort(port)
	}
	return onPort(parsePort(parts[1]))
}

// sshHost gives the server that ssh's arguments name.
func sshHost(args []string) (destination, bool) {
	rest := operands(args, sshValued)
	if len(rest) == 0 {
		return destination{}, false
	}
	p := &program{args: append([]string{"ssh"}, args...)}
	port := parsePort(p.value("-p"))
	if port == 0 {
		port = 22
	}
	server := strings.TrimPrefix(rest[0], "ssh://")
	return hostAndPort(server[strings.LastIndexByte(server, '@')+1:], port), true
}

// sshFarEnd is the server of an ssh client: what it is connected to, or the
// command that it connects through, or else what its arguments name.
func sshFarEnd(p *program, b *busy) []destination {
	if ends := b.farEnds(p.pid); len(ends) > 0 {
		return ends
	}
	for _, child := range b.kin.children[p.pid] {
		if ends := b.farEnds(child); len(ends) > 0 {
			return ends
		}
	}
	if d, ok := sshHost(p.args[min(1, len(p.args)):]); ok {
		return []destination{d}
	}
	return nil
}

// sshdHop recognizes the far side of ssh -R: a session of sshd, which holds the
// connection that it serves, listens as well. Its client answers there. The
// daemon itself holds no connection.
func sshdHop(l *host.Listener, p *host.Process, b *busy) []hop {
	for _, c := range b.byPID[p.PID] {
		if c.local.Port() == l.Port || !b.listening[c.local.Port()] {
			continue
		}
		return []hop{{proto: "tcp", kind: "tunnel", to: []destination{{target: host.AddrTarget(c.remote.Addr(), 0)}},
			how: fmt.Sprintf("a session of sshd from %s listens: ssh -R leads what comes to that client", c.remote.Addr())}}
	}
	return nil
}
