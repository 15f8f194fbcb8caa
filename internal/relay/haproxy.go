package relay

import (
	"path"
	"strings"
)

// haproxy is a configuration as far as it says who is reached: sections with
// what they bind and where they send.
type haproxySection struct {
	kind, name string
	binds      []string
	servers    []string
	backends   []string // default_backend, use_backend
}

// readHAProxy reads every file of -f (haproxy(1), "Configuration manual"
// sections 2 and 4). A folder stands for its *.cfg files.
func readHAProxy(p *program) ([]hop, error) {
	files := p.options("-f", "--")
	if len(files) == 0 {
		files = []string{"/etc/haproxy/haproxy.cfg"}
	}
	var sections []*haproxySection
	for _, name := range files {
		texts, err := p.configs(name, "*.cfg")
		if err != nil {
			return []hop{{kind: "proxy"}}, err
		}
		for _, text := range texts {
			sections = append(sections, haproxySections(text)...)
		}
	}
	out := haproxyHops(sections, files[0])
	if len(out) == 0 {
		return nil, nil // it serves statistics or errors only
	}
	return out, nil
}

// configs reads a file, or the files of a folder that fit the pattern.
func (p *program) configs(name, pattern string) ([]string, error) {
	names := []string{name}
	if listed, err := p.glob(path.Join(name, pattern)); err == nil && len(listed) > 0 {
		names = listed
	}
	var out []string
	for _, n := range names {
		b, err := p.readFile(n)
		if err != nil {
			return nil, err
		}
		out = append(out, string(b))
	}
	return out, nil
}

func haproxySections(text string) []*haproxySection {
	var out []*haproxySection
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch f[0] {
		case "listen", "frontend", "backend", "global", "defaults", "peers", "resolvers", "userlist", "cache", "program", "ring", "mailers":
			s := &haproxySection{kind: f[0]}
			if len(f) > 1 {
				s.name = f[1]
			}
			out = append(out, s)
			continue
		}
		if len(out) > 0 && len(f) > 1 {
			out[len(out)-1].keyword(f)
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
	case "default_backend", "use_backend":
		s.backends = append(s.backends, f[1])
	}
}

// haproxyHops joins what is bound with the servers of the same section or of
// the backends that it names.
func haproxyHops(sections []*haproxySection, file string) []hop {
	servers := map[string][]string{}
	for _, s := range sections {
		if s.kind == "backend" || s.kind == "listen" {
			servers[s.name] = append(servers[s.name], s.servers...)
		}
	}
	var out []hop
	for _, s := range sections {
		reached := s.servers
		for _, name := range s.backends {
			if strings.Contains(name, "%") { // chosen at run time: any of them
				reached = append(reached, all(servers)...)
				continue
			}
			reached = append(reached, servers[name]...)
		}
		if len(reached) == 0 {
			continue
		}
		for _, bind := range s.binds {
			h := hop{proto: "tcp", port: listenPort(bind), kind: "proxy", how: "haproxy " + s.kind + " " + s.name, file: file}
			for _, server := range reached {
				h.to = append(h.to, parseDestination(strings.TrimPrefix(strings.TrimPrefix(server, "ipv4@"), "ipv6@"), h.port))
			}
			out = append(out, h)
		}
	}
	return out
}

func all(servers map[string][]string) []string {
	var out []string
	for _, s := range servers {
		out = append(out, s...)
	}
	return sorted(out)
}
