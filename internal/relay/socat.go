package relay

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// readSocat reads the two addresses of socat(1), which are always its last
// arguments: the one that listens and the one that it is joined to.
func readSocat(p *program) ([]hop, error) {
	if len(p.args) < 3 {
		return nil, nil
	}
	addresses := p.args[len(p.args)-2:]
	var listening []int
	for i, a := range addresses {
		if _, ok := socatListen(a); ok {
			listening = append(listening, i)
		}
	}
	if len(listening) == 0 {
		return nil, nil
	}
	h, _ := socatListen(addresses[listening[0]])
	if len(listening) == 2 {
		h.listen = listen{}
		h.how = "socat joins two listening sockets: whoever comes to the one is answered by who came to the other"
		return []hop{h}, errNoDestination
	}
	return socatTo(h, addresses[1-listening[0]])
}

// socatListen reads an address that waits for others. "A!!B" is two of one
// direction each.
func socatListen(address string) (hop, bool) {
	for _, one := range strings.Split(address, "!!") {
		word, rest := socatWord(one)
		listens := strings.HasSuffix(word, "-LISTEN") || strings.HasSuffix(word, "-L") || strings.HasSuffix(word, "-RECVFROM") ||
			strings.HasSuffix(word, "-RECV") || strings.HasSuffix(word, "-SERVER")
		if !listens {
			continue
		}
		h := hop{proto: socatProto(word), kind: "forwarder", how: "socat joins " + word + " to its other address"}
		at, options, _ := strings.Cut(rest, ",")
		if strings.HasPrefix(word, "UNIX") || strings.HasPrefix(word, "ABSTRACT") {
			h.listen = listen{unix: socatPath(word, at)}
			return h, true
		}
		h.listen = onPort(parsePort(at))
		for _, o := range strings.Split(options, ",") {
			if bind, ok := strings.CutPrefix(o, "bind="); ok {
				h.listen.addr = parseListen(bind).addr
			}
		}
		return h, true
	}
	return hop{}, false
}

func socatWord(address string) (word, rest string) {
	word, rest, _ = strings.Cut(address, ":")
	if w, _, ok := strings.Cut(word, ","); ok { // an address without parameters
		word, rest = w, ""
	}
	return strings.ToUpper(word), rest
}

// socatPath writes the name of an abstract socket with the "@" of the kernel's lists.
func socatPath(word, path string) string {
	if strings.HasPrefix(word, "ABSTRACT") {
		return "@" + path
	}
	return path
}

func socatProto(word string) string {
	switch {
	case strings.HasPrefix(word, "UDPLITE"):
		return "udplite"
	case strings.HasPrefix(word, "UDP"), strings.Contains(word, "DTLS"):
		return "udp"
	case strings.HasPrefix(word, "SCTP"):
		return "sctp"
	}
	return "tcp"
}

func socatTo(h hop, address string) ([]hop, error) {
	whole := address
	for _, one := range strings.Split(address, "!!") {
		word, rest := socatWord(one)
		switch {
		case hasAnyPrefix(word, "EXEC", "SYSTEM", "SHELL"):
			_, command, _ := strings.Cut(whole, ":")
			return socatCommand(h, word, command)
		case hasAnyPrefix(word, "TUN", "INTERFACE", "SOCKET", "VSOCK", "FD", "ACCEPT"):
			return []hop{h}, fmt.Errorf("socat leads to its address %s: %w", word, errNoDestination)
		}
		if d, ok := socatDestination(word, rest); ok {
			h.to = append(h.to, d)
		}
	}
	if len(h.to) == 0 {
		h.serves = true // a file, a terminal, its own output
	}
	return []hop{h}, nil
}

// socatCommand reads the command of EXEC, SYSTEM and SHELL; options follow its
// commas.
func socatCommand(h hop, word, command string) ([]hop, error) {
	command = strings.Trim(command, `"'`)
	w, ok := scriptConnector(command, 0)
	if !ok {
		bare, _, _ := strings.Cut(command, ",")
		if h.serves = plainCommand(shellWords(bare)); h.serves {
			return []hop{h}, nil
		}
		return []hop{h}, fmt.Errorf("socat runs a command for each connection: %w", errNoDestination)
	}
	h.kind, h.to, h.how = w.kind, []destination{w.to}, "socat "+word+": "+w.how
	return []hop{h}, nil
}

// socatDestination reads an address that connects somewhere.
func socatDestination(word, rest string) (destination, bool) {
	at, _, _ := strings.Cut(rest, ",")
	at = strings.Trim(at, `"'`)
	switch {
	case hasAnyPrefix(word, "SOCKS", "PROXY"): // PROXY-SERVER:TARGET:PORT
		server, target, ok := strings.Cut(at, ":")
		if port, after, more := strings.Cut(target, ":"); more && parsePort(port) != 0 && strings.Contains(after, ":") {
			target = after // SOCKS5:SERVER:PORT:TARGET:PORT
		}
		return parseDestination(target, 0), ok && server != ""
	case hasAnyPrefix(word, "UNIX", "ABSTRACT"):
		return destination{target: host.Target{Unix: socatPath(word, at)}}, true
	case word == "GOPEN" || strings.HasPrefix(word, "/"):
		return destination{}, false
	case hasAnyPrefix(word, "TCP", "UDP", "OPENSSL", "SSL", "SCTP", "DCCP"):
		return parseDestination(at, 0), at != ""
	}
	return destination{}, false
}

func hasAnyPrefix(text string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(text, p) {
			return true
		}
	}
	return false
}

// socatConnector reads socat as the command of another: its address that
// connects.
func socatConnector(args []string) (way, bool) {
	if len(args) < 2 {
		return way{}, false
	}
	for _, a := range args[len(args)-2:] {
		word, rest := socatWord(a)
		if _, listens := socatListen(a); listens {
			continue
		}
		if d, ok := socatDestination(word, rest); ok {
			return way{d, "forwarder", "socat to " + word}, true
		}
	}
	return way{}, false
}
