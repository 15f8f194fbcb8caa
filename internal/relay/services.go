package relay

import "strings"

// services are the ports of named services (services(5)), as "name/proto".
type services map[string]uint16

// services reads the list of the process's root; without one, names stay
// unknown, which makes their port any.
func (p *program) services() services {
	out := services{}
	b, err := p.readFile("/etc/services")
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		port, proto, _ := strings.Cut(f[1], "/")
		for _, name := range append([]string{f[0]}, f[2:]...) {
			out[name+"/"+proto] = parsePort(port)
		}
	}
	return out
}

// port reads a number or a service's name; 0 for what is neither.
func (s services) port(text, proto string) uint16 {
	if n := parsePort(text); n != 0 {
		return n
	}
	if proto == "" {
		proto = "tcp"
	}
	return s[text+"/"+proto]
}

// numbered replaces a service's name behind the last colon by its port.
func (s services) numbered(text string) string {
	at := strings.LastIndexByte(text, ':') + 1
	if port := s.port(text[at:], "tcp"); port != 0 {
		return text[:at] + decimal(port)
	}
	return text
}

// portAlone writes "8080" as this host's port.
func (s services) portAlone(text string) string {
	text = s.numbered(text)
	if parsePort(text) != 0 {
		return "127.0.0.1:" + text
	}
	return text
}
