package relay

import (
	"errors"
	"fmt"
	"strings"
)

var errNoDestination = errors.New("its destination could not be found in its arguments or configuration")

// readSocat reads two socat addresses (socat(1)): the one that listens and the
// one that it is joined to.
func readSocat(p *program) ([]hop, error) {
	var addresses []string
	for _, a := range p.args[min(1, len(p.args)):] {
		if !strings.HasPrefix(a, "-") || a == "-" {
			addresses = append(addresses, a)
		}
	}
	if len(addresses) < 2 {
		return nil, nil
	}
	addresses = addresses[len(addresses)-2:]
	for i, a := range addresses {
		word, rest, _ := strings.Cut(a, ":")
		word = strings.ToUpper(word)
		if !strings.Contains(word, "LISTEN") && word != "TCP-L" && !strings.HasSuffix(word, "RECVFROM") {
			continue
		}
		port, _, _ := strings.Cut(rest, ",")
		h := hop{proto: socatProto(word), port: listenPort(port), kind: "forwarder", how: "socat joins " + word + " to its second address"}
		return socatTo(h, addresses[1-i])
	}
	return nil, nil
}

func socatProto(word string) string {
	switch {
	case strings.HasPrefix(word, "UDPLITE"):
		return "udplite"
	case strings.HasPrefix(word, "UDP"):
		return "udp"
	case strings.HasPrefix(word, "SCTP"):
		return "sctp"
	}
	return "tcp"
}

func socatTo(h hop, address string) ([]hop, error) {
	address, _, _ = strings.Cut(address, ",")
	word, rest, _ := strings.Cut(address, ":")
	switch word = strings.ToUpper(word); {
	case strings.HasPrefix(word, "EXEC"), strings.HasPrefix(word, "SYSTEM"), strings.HasPrefix(word, "SHELL"):
		return []hop{h}, fmt.Errorf("socat runs a command for each connection: %w", errNoDestination)
	case strings.HasPrefix(word, "SOCKS"), strings.HasPrefix(word, "PROXY"):
		parts := strings.Split(rest, ":") // PROXY-SERVER:TARGET:PORT
		if len(parts) < 3 {
			return []hop{h}, errNoDestination
		}
		h.to = []destination{parseDestination(parts[1]+":"+parts[2], 0)}
	case strings.HasPrefix(word, "UNIX"), strings.HasPrefix(word, "ABSTRACT"):
		h.to = []destination{parseDestination("unix:"+rest, 0)}
	case strings.HasPrefix(word, "TCP"), strings.HasPrefix(word, "UDP"), strings.HasPrefix(word, "OPENSSL"), strings.HasPrefix(word, "SSL"), strings.HasPrefix(word, "SCTP"), strings.HasPrefix(word, "DCCP"):
		h.to = []destination{parseDestination(rest, 0)}
	default:
		return nil, nil // a file, a terminal, its own output: no relay
	}
	return []hop{h}, nil
}

// readSocketProxyd reads systemd-socket-proxyd(8), and the activator that
// holds the socket until the first connection.
func readSocketProxyd(p *program) ([]hop, error) {
	args := p.args
	if p.name == "systemd-socket-activate" {
		for i, a := range args {
			if strings.HasSuffix(a, "systemd-socket-proxyd") {
				args = args[i:]
				break
			}
		}
		if len(args) == 0 || !strings.HasSuffix(args[0], "systemd-socket-proxyd") {
			return nil, nil
		}
	}
	for i := len(args) - 1; i > 0; i-- {
		if !strings.HasPrefix(args[i], "-") {
			return []hop{{proto: "tcp", kind: "forwarder", how: "argument of systemd-socket-proxyd", to: []destination{parseDestination(args[i], 80)}}}, nil
		}
	}
	return []hop{{proto: "tcp", kind: "forwarder"}}, errNoDestination
}

// readDockerProxy reads docker-proxy, which serves a published port.
func readDockerProxy(p *program) ([]hop, error) {
	addr, ok := p.option("-container-ip", "--container-ip")
	port, ok2 := p.option("-container-port", "--container-port")
	if !ok || !ok2 {
		return []hop{{kind: "forwarder"}}, errNoDestination
	}
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	proto, _ := p.option("-proto", "--proto")
	hostPort, _ := p.option("-host-port", "--host-port")
	return []hop{{proto: proto, port: listenPort(hostPort), kind: "forwarder", how: "arguments of docker-proxy",
		to: []destination{parseDestination(addr+":"+port, 0)}}}, nil
}

// readSSH reads ssh -L, -D: the far end of the tunnel is the server; what lies
// behind it stands in the evidence.
func readSSH(p *program) ([]hop, error) {
	var out []hop
	for _, forward := range p.options("-L") {
		port := sshListen(forward)
		out = append(out, hop{proto: "tcp", port: port, kind: "tunnel", how: "ssh -L " + forward})
	}
	for _, dynamic := range p.options("-D") {
		out = append(out, hop{proto: "tcp", port: listenPort(dynamic), kind: "tunnel", how: "ssh -D " + dynamic, open: true})
	}
	return out, nil // the far end is taken from its connection
}

// sshListen gives the local port of [BIND:]PORT:HOST:HOSTPORT.
func sshListen(forward string) uint16 {
	parts := strings.Split(forward, ":")
	if strings.HasPrefix(forward, "[") {
		_, rest, _ := strings.Cut(forward, "]:")
		parts = strings.Split(rest, ":")
		return listenPort(parts[0])
	}
	if len(parts) >= 4 {
		return listenPort(parts[1])
	}
	return listenPort(parts[0])
}

// readNetcat reads ncat -c, -e, --sh-exec "ncat HOST PORT". A netcat that is
// joined to another by pipes is found by its pipes (see peers.go).
func readNetcat(p *program) ([]hop, error) {
	command, ok := p.option("-c", "--sh-exec", "-e", "--exec")
	if !ok || !strings.ContainsAny(strings.Join(p.args, " "), "l") {
		return nil, nil
	}
	words := strings.Fields(command)
	for i := 1; i+1 < len(words); i++ {
		port := listenPort(words[i+1])
		if !strings.HasPrefix(words[i], "-") && port != 0 {
			return []hop{{kind: "forwarder", how: "command of netcat", to: []destination{parseDestination(words[i], port)}}}, nil
		}
	}
	return nil, nil
}

// readSSLH reads sslh(8): every service that it may hand a connection to.
func readSSLH(p *program) ([]hop, error) {
	h := hop{proto: "tcp", kind: "proxy", how: "arguments of sslh"}
	joined := *p
	joined.args = rejoined(p.args)
	p = &joined
	for _, service := range []string{"--ssh", "--tls", "--ssl", "--http", "--openvpn", "--tinc", "--xmpp", "--adb", "--socks5", "--rdp", "--syslog", "--anyprot"} {
		for _, v := range p.options(service) {
			h.to = append(h.to, parseDestination(v, 0))
		}
	}
	if file, ok := p.option("-F", "--config"); ok && len(h.to) == 0 {
		text, err := p.readFile(file)
		if err != nil {
			return []hop{h}, err
		}
		h.file, h.how, h.to = file, "configuration of sslh", sslhConfig(string(text))
	}
	if len(h.to) == 0 {
		return []hop{h}, errNoDestination
	}
	return []hop{h}, nil
}

// rejoined mends arguments whose colons sslh overwrote with NUL while it read
// them: "127.0.0.1", "22" were one.
func rejoined(args []string) []string {
	var out []string
	for _, a := range args {
		last := len(out) - 1
		if last > 0 && listenPort(a) != 0 && !strings.HasPrefix(out[last], "-") && !strings.Contains(out[last], ":") {
			out[last] += ":" + a
			continue
		}
		out = append(out, a)
	}
	return out
}

// sslhConfig reads `host: "…"; port: "…";` pairs of the protocols section
// (libconfig syntax).
func sslhConfig(text string) []destination {
	_, text, _ = strings.Cut(text, "protocols")
	var out []destination
	for _, group := range strings.Split(text, "}") {
		h, p := quotedAfter(group, "host"), quotedAfter(group, "port")
		if h != "" && p != "" {
			out = append(out, parseDestination(h, listenPort(p)))
		}
	}
	return out
}

func quotedAfter(text, key string) string {
	_, rest, ok := strings.Cut(text, key)
	if !ok {
		return ""
	}
	rest = strings.TrimLeft(rest, " \t:=")
	if !strings.HasPrefix(rest, `"`) {
		return ""
	}
	value, _, _ := strings.Cut(rest[1:], `"`)
	return value
}
