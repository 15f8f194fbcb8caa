package relay

import (
	"strings"
)

// firstFile reads the file that an option names, or else the usual one.
func (p *program) firstFile(usual string, options ...string) (string, string, error) {
	name, ok := p.option(options...)
	if !ok {
		name = usual
	}
	b, err := p.readFile(name)
	return name, string(b), err
}

// readRinetd reads rinetd.conf(8): BIND PORT HOST PORT, ports with "/tcp" or
// "/udp".
func readRinetd(p *program) ([]hop, error) {
	file, text, err := p.firstFile("/etc/rinetd.conf", "-c", "--conf-file")
	if err != nil {
		return []hop{{kind: "forwarder"}}, err
	}
	var out []hop
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 4 || f[0] == "allow" || f[0] == "deny" {
			continue
		}
		port, proto, _ := strings.Cut(f[1], "/")
		to, _, _ := strings.Cut(f[3], "/")
		if proto == "" {
			proto = "tcp"
		}
		out = append(out, hop{proto: proto, port: listenPort(port), kind: "forwarder", how: "line of rinetd's configuration", file: file,
			to: []destination{parseDestination(f[2]+":"+to, 0)}})
	}
	return out, nil
}

// A section of an ini-like file: key and value pairs.
type section struct {
	name string
	keys map[string][]string
}

// iniSections splits "[name]" files with "key = value" lines (stunnel(8)).
func iniSections(text, comments string) []section {
	out := []section{{keys: map[string][]string{}}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.ContainsRune(comments, rune(line[0])) {
			continue
		}
		if strings.HasPrefix(line, "[") {
			out = append(out, section{strings.Trim(line, "[]"), map[string][]string{}})
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if ok {
			last := out[len(out)-1].keys
			key = strings.ToLower(strings.TrimSpace(key))
			last[key] = append(last[key], strings.Trim(strings.TrimSpace(value), `"`))
		}
	}
	return out
}

// readStunnel reads the services of stunnel(8).
func readStunnel(p *program) ([]hop, error) {
	file := "/etc/stunnel/stunnel.conf"
	for _, a := range p.args[min(1, len(p.args)):] {
		if !strings.HasPrefix(a, "-") {
			file = a
		}
	}
	texts, err := p.configs(file, "*.conf")
	if err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	var out []hop
	for _, s := range iniSections(strings.Join(texts, "\n"), ";#") {
		h := hop{proto: "tcp", kind: "proxy", how: "stunnel service " + s.name, file: file}
		for _, c := range s.keys["connect"] {
			h.to = append(h.to, parseDestination(portAlone(c), 0))
		}
		for _, a := range s.keys["accept"] {
			h.port = listenPort(a)
			if len(h.to) > 0 {
				out = append(out, h)
			}
		}
	}
	return out, nil
}

// portAlone writes "8080" as this host's port.
func portAlone(text string) string {
	if !strings.Contains(text, ":") && listenPort(text) != 0 {
		return "127.0.0.1:" + text
	}
	return text
}

// braced splits "name { key = value; … }" files: redsocks, xinetd.
func braced(text, ends string) []section {
	var out []section
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.NewReplacer("{", "\x00{\x00", "}", "\x00}\x00", ends, "\x00").Replace(line)
		for _, part := range strings.Split(line, "\x00") {
			part = strings.TrimSpace(part)
			switch {
			case part == "" || part == "{":
			case part == "}":
				out = append(out, section{keys: map[string][]string{}})
			case !strings.Contains(part, "="):
				out = append(out, section{part, map[string][]string{}})
			case len(out) > 0:
				key, value, _ := strings.Cut(part, "=")
				key = strings.TrimSpace(strings.TrimRight(key, "+-"))
				out[len(out)-1].keys[key] = append(out[len(out)-1].keys[key], strings.Trim(strings.TrimSpace(value), `"`))
			}
		}
	}
	return out
}

func (s section) one(key string) string {
	if v := s.keys[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// readRedsocks reads the redsocks, redudp and dnstc sections: what is handed to
// it leaves through the proxy that they name.
func readRedsocks(p *program) ([]hop, error) {
	file, text, err := p.firstFile("/etc/redsocks.conf", "-c")
	if err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	var out []hop
	for _, s := range braced(text, ";") {
		if s.name != "redsocks" && s.name != "redudp" || s.one("ip") == "" {
			continue
		}
		h := hop{proto: "tcp", port: listenPort(s.one("local_port")), kind: "proxy", how: "redsocks section, through a " + s.one("type") + " proxy", file: file, fed: true,
			to: []destination{parseDestination(s.one("ip")+":"+s.one("port"), 0)}}
		if s.name == "redudp" {
			h.proto = "udp"
		}
		out = append(out, h)
	}
	return out, nil
}

// readXinetd reads services with `redirect = HOST PORT` (xinetd.conf(5)).
func readXinetd(p *program) ([]hop, error) {
	file, text, err := p.firstFile("/etc/xinetd.conf", "-f")
	if err != nil {
		return []hop{{kind: "forwarder"}}, err
	}
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "includedir" {
			more, err := p.configs(f[1], "*")
			if err != nil {
				return []hop{{kind: "forwarder"}}, err
			}
			text += "\n" + strings.Join(more, "\n")
		}
	}
	var out []hop
	for _, s := range braced(text, "\x01") {
		to := strings.Fields(s.one("redirect"))
		if !strings.HasPrefix(s.name, "service") || len(to) != 2 || s.one("disable") == "yes" {
			continue
		}
		h := hop{proto: s.one("protocol"), port: listenPort(s.one("port")), kind: "forwarder", how: "xinetd " + s.name + " with redirect", file: file,
			to: []destination{parseDestination(to[0], listenPort(to[1]))}}
		out = append(out, h)
	}
	return out, nil
}

// readHitch reads frontend and backend (hitch.conf(5)).
func readHitch(p *program) ([]hop, error) {
	file, text, err := p.firstFile("/etc/hitch/hitch.conf", "--config")
	if err != nil && len(p.options("-b", "--backend")) == 0 {
		return []hop{{kind: "proxy"}}, err
	}
	h := hop{proto: "tcp", kind: "proxy", how: "backend of hitch", file: file}
	for _, b := range append(p.options("-b", "--backend"), quotedAfter(text, "backend")) {
		if b != "" {
			h.to = append(h.to, parseDestination(strings.NewReplacer("[", "", "]", "").Replace(b), 0))
		}
	}
	return []hop{h}, nil
}

// readSquid reads http_port and cache_peer (squid's reference): a forward proxy
// leads wherever its client asks, an accelerator to its peers.
func readSquid(p *program) ([]hop, error) {
	file, text, err := p.firstFile("/etc/squid/squid.conf", "-f")
	if err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	var ports []uint16
	h := hop{proto: "tcp", kind: "proxy", how: "squid", file: file}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "http_port", "https_port":
			ports = append(ports, listenPort(f[1]))
			h.open = true
		case "cache_peer":
			if len(f) > 3 {
				h.to = append(h.to, parseDestination(f[1], listenPort(f[3])))
			}
		}
	}
	var out []hop
	for _, port := range ports {
		h.port = port
		out = append(out, h)
	}
	return out, nil
}
