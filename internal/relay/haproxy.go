package relay

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// haproxySection is a section as far as it says who is reached: what it binds
// and where it sends.
type haproxySection struct {
	kind, name string
	binds      []string
	servers    []string
	backends   []string // default_backend, use_backend
	open       bool     // the client or the packet chooses
}

// readHAProxy reads every file of -f (haproxy(1), "Configuration manual"
// sections 2 and 4). A folder stands for its *.cfg files.
func readHAProxy(p *program) ([]hop, error) {
	files := append([]string{}, p.options("-f")...)
	if i := slices.Index(p.args, "--"); i >= 0 {
		files = append(files, p.args[i+1:]...)
	}
	if len(files) == 0 {
		files = []string{"/etc/haproxy/haproxy.cfg"}
	}
	var sections []*haproxySection
	for _, name := range files {
		if dir, ok := p.option("-C"); ok && !path.IsAbs(name) {
			name = path.Join(dir, name)
		}
		texts, err := p.configs(name, "*.cfg")
		if err != nil {
			return []hop{{kind: "proxy"}}, err
		}
		for _, text := range texts {
			sections = append(sections, haproxySections(p.expanded(text))...)
		}
	}
	out := haproxyHops(sections, files[0])
	for _, at := range p.options("-S") {
		out = append(out, hop{listen: parseListen(at), serves: true})
	}
	return append(out, hop{kind: "proxy", rest: true}), nil
}

// expanded replaces ${NAME} by what the process's environment says, where that
// looks like an address or a port and so is no secret.
func (p *program) expanded(text string) string {
	if !strings.Contains(text, "${") {
		return text
	}
	raw, err := os.ReadFile(p.proc("environ"))
	if err != nil {
		return text
	}
	for _, pair := range strings.SplitN(string(raw), "\x00", mostVariables) {
		name, value, ok := strings.Cut(pair, "=")
		if ok && looksLikeAddress(value) {
			text = strings.ReplaceAll(text, "${"+name+"}", value)
		}
	}
	return text
}

// looksLikeAddress says whether a text can be nothing but an address, a port,
// or both.
func looksLikeAddress(text string) bool {
	if parsePort(text) != 0 {
		return true
	}
	d := parseDestination(text, 0)
	return d.name == "" && d.target.Lo.IsValid() && text != ""
}

func haproxySections(text string) []*haproxySection {
	var out []*haproxySection
	var defaults []string // of the last defaults section
	for _, line := range strings.Split(uncommented(text, "#"), "\n") {
		f := shellWords(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "listen", "frontend", "backend", "global", "defaults", "peers", "resolvers", "userlist", "cache", "program", "ring", "log-forward", "mailers", "http-errors", "fcgi-app":
			s := &haproxySection{kind: f[0]}
			if len(f) > 1 {
				s.name = f[1]
			}
			if f[0] == "defaults" {
				defaults = nil
			}
			if f[0] == "frontend" || f[0] == "listen" {
				s.backends = slices.Clone(defaults)
			}
			out = append(out, s)
			continue
		}
		if len(out) == 0 || len(f) < 2 {
			continue
		}
		last := out[len(out)-1]
		last.keyword(f)
		if last.kind == "defaults" {
			defaults = last.backends
		}
	}
	return out
}

func (s *haproxySection) keyword(f []string) {
	switch f[0] {
	case "bind":
		s.binds = append(s.binds, strings.Split(f[1], ",")...)
	case "server", "server-template", "dispatch":
		at := map[string]int{"server": 2, "server-template": 3, "dispatch": 1}[f[0]]
		if len(f) > at {
			s.servers = append(s.servers, f[at])
		}
	case "peer":
		if len(f) > 2 {
			s.binds = append(s.binds, f[2])
		}
	case "stats":
		if f[1] == "socket" && len(f) > 2 {
			s.binds = append(s.binds, f[2])
		}
	case "default_backend", "use_backend":
		if s.kind == "defaults" {
			s.backends = nil
		}
		s.backends = append(s.backends, f[1])
	case "transparent":
		s.open = true
	case "option":
		s.open = s.open || f[1] == "transparent" || f[1] == "http_proxy"
	case "http-request", "tcp-request":
		s.open = s.open || strings.Contains(strings.Join(f[1:], " "), "set-dst")
	}
}

// anyBackend stands for all backends together; no section can be named so.
const anyBackend = "%"

// haproxyHops joins what is bound with the servers of the same section or of
// the backends that it names.
func haproxyHops(sections []*haproxySection, file string) []hop {
	behind := map[string]*haproxySection{}
	for _, s := range sections {
		if s.kind != "backend" && s.kind != "listen" {
			continue
		}
		if behind[s.name] == nil {
			behind[s.name] = &haproxySection{}
		}
		behind[s.name].servers = append(behind[s.name].servers, s.servers...)
		behind[s.name].open = behind[s.name].open || s.open
	}
	anyone := &haproxySection{}
	for _, b := range behind {
		anyone.servers, anyone.open = append(anyone.servers, b.servers...), anyone.open || b.open
	}
	anyone.servers = slices.Compact(sorted(anyone.servers))
	behind[anyBackend] = anyone
	var out []hop
	left := mostDestinations
	for _, s := range sections {
		if len(s.binds) == 0 {
			continue
		}
		servers, open := []string(nil), true
		if left >= 0 {
			servers, open = s.reached(behind)
		}
		if left -= len(servers) * len(s.binds); left < 0 {
			servers, open = nil, true
		}
		for _, bind := range s.binds {
			h := hop{kind: "proxy", how: "haproxy " + s.kind + " " + s.name, file: file, open: open, serves: len(servers) == 0 && !open}
			h.listen, h.proto = haproxyListen(bind)
			for _, server := range servers {
				d, anywhere := haproxyServer(server, h.listen.port())
				if h.open = h.open || anywhere; !anywhere {
					h.to = append(h.to, d)
				}
			}
			out = append(out, h)
		}
	}
	return out
}

// reached gives the servers of a section and of the backends that it names. A
// name that is chosen at run time may be any.
func (s *haproxySection) reached(behind map[string]*haproxySection) (servers []string, open bool) {
	servers, open = slices.Clone(s.servers), s.open
	for _, name := range s.backends {
		if b := behind[name]; b != nil {
			servers, open = append(servers, b.servers...), open || b.open
		}
		if len(servers) > mostDestinations {
			return nil, true
		}
	}
	if slices.ContainsFunc(s.backends, func(name string) bool { return strings.Contains(name, "%") }) {
		servers, open = append(servers, behind[anyBackend].servers...), open || behind[anyBackend].open
	}
	return slices.Compact(sorted(servers)), open
}

// haproxyListen reads an address of bind: a family may stand before it.
func haproxyListen(text string) (listen, string) {
	proto := "tcp"
	if family, rest, ok := strings.Cut(text, "@"); ok {
		switch family {
		case "ipv4", "ipv6", "tcp", "tcp4", "tcp6":
			text = rest
		case "udp", "udp4", "udp6", "quic4", "quic6":
			text, proto = rest, "udp"
		case "fd", "sockpair", "rhttp":
			return listen{}, ""
		}
	}
	return parseListen(text), proto
}

// haproxyServer reads the address of a server: without a port it keeps that of
// the client's, "+N" shifts it; 0.0.0.0 is wherever the client wanted to go.
func haproxyServer(text string, port uint16) (d destination, anywhere bool) {
	if family, rest, ok := strings.Cut(text, "@"); ok && family != "unix" && family != "abns" {
		if family == "fd" || family == "sockpair" || family == "rhttp" {
			return destination{name: text}, false
		}
		text = rest
	}
	if strings.HasPrefix(text, "0.0.0.0") || text == "*" || strings.HasPrefix(text, "*:") {
		return d, true
	}
	if at := strings.LastIndexAny(text, ":"); at >= 0 && at+1 < len(text) && strings.IndexByte("+-", text[at+1]) >= 0 {
		shift, err := strconv.Atoi(text[at+1:])
		if err == nil && int(port)+shift > 0 && int(port)+shift < 1<<16 {
			text = fmt.Sprintf("%s:%d", text[:at], int(port)+shift)
		}
	}
	return parseDestination(text, port), false
}
