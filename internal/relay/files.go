package relay

import (
	"fmt"
	"path"
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
// "/udp", as numbers or services.
func readRinetd(p *program) ([]hop, error) {
	file, text, err := p.firstFile("/etc/rinetd.conf", "-c", "--conf-file")
	if err != nil {
		return []hop{{kind: "forwarder"}}, err
	}
	services := p.services()
	var out []hop
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 4 || strings.HasPrefix(f[0], "#") || f[0] == "allow" || f[0] == "deny" {
			continue
		}
		port, proto, _ := strings.Cut(f[1], "/")
		remote, _, _ := strings.Cut(f[3], "/")
		if proto == "" {
			proto = "tcp"
		}
		l := onPort(services.port(port, proto))
		l.addr = parseListen(f[0]).addr
		out = append(out, hop{proto: proto, listen: l, kind: "forwarder", how: "line of rinetd's configuration", file: file,
			to: []destination{hostAndPort(f[2], services.port(remote, proto))}})
	}
	return out, nil
}

// A section of an ini-like file: key and value pairs.
type section struct {
	name string
	keys map[string][]string
}

func (s section) one(key string) string {
	if v := s.keys[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// iniSections splits "[name]" files with "key = value" lines (stunnel(8)).
func iniSections(text, comments string) []section {
	out := []section{{keys: map[string][]string{}}}
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
		if line == "" || strings.IndexByte(comments, line[0]) >= 0 {
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
		if a == "-fd" {
			return []hop{{kind: "proxy"}}, fmt.Errorf("stunnel read its configuration from a descriptor: %w", errNoDestination)
		}
		if !strings.HasPrefix(a, "-") {
			file = a
		}
	}
	texts, err := p.configs(file, "*.conf")
	if err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	text := strings.Join(texts, "\n")
	for _, dir := range iniSections(text, ";#")[0].keys["include"] {
		more, err := p.configs(dir, "*")
		if err != nil {
			return []hop{{kind: "proxy"}}, err
		}
		text += "\n" + strings.Join(more, "\n")
	}
	return stunnelHops(text, file, p.services()), nil
}

func stunnelHops(text, file string, services services) []hop {
	var out []hop
	for _, s := range iniSections(text, ";#") {
		h := hop{proto: "tcp", kind: "proxy", how: "stunnel service " + s.name, file: file}
		for _, c := range append(s.keys["connect"], s.keys["redirect"]...) {
			h.to = append(h.to, parseDestination(services.portAlone(c), 0))
		}
		if run := s.one("exec"); run != "" {
			if w, ok := connector(append([]string{run}, operandsOf(s.one("execargs"))...), 0); ok {
				h.kind, h.to = w.kind, append(h.to, w.to)
			}
		}
		h.open = s.one("protocol") == "socks" && s.one("client") != "yes" || s.one("transparent") == "destination" || s.one("transparent") == "both"
		h.serves = len(h.to) == 0 && !h.open
		for _, a := range s.keys["accept"] {
			h.listen = parseListen(services.numbered(a))
			out = append(out, h)
		}
	}
	return out
}

// operandsOf are the arguments behind argv[0], which stunnel's execArgs names.
func operandsOf(args string) []string {
	words := strings.Fields(args)
	return words[min(1, len(words)):]
}

// readHitch reads frontend and backend (hitch.conf(5)): "[host]:port" or
// host:port.
func readHitch(p *program) ([]hop, error) {
	file, text, err := p.firstFile("/etc/hitch/hitch.conf", "--config")
	backends := p.options("-b", "--backend")
	if err != nil && len(backends) == 0 {
		return []hop{{kind: "proxy"}}, err
	}
	h := hop{proto: "tcp", kind: "proxy", how: "backend of hitch", file: file}
	if b := valueAfter(uncommented("\n"+text, "#"), "\nbackend"); b != "" {
		backends = append(backends, b)
	}
	for _, b := range backends {
		name, port, _ := cutPort(b)
		if strings.HasPrefix(b, "/") {
			h.to = append(h.to, parseDestination("unix:"+b, 0))
			continue
		}
		h.to = append(h.to, hostAndPort(strings.Trim(name, "[]"), port))
	}
	if len(h.to) == 0 {
		return []hop{h}, errNoDestination
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
	lines, err := p.squidLines(text, 0)
	if err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	var ports []hop
	var peers []destination
	for _, f := range lines {
		switch f[0] {
		case "http_port", "https_port":
			accel := strings.Contains(strings.Join(f[2:], " "), "accel") || strings.Contains(strings.Join(f[2:], " "), "vhost")
			ports = append(ports, hop{proto: "tcp", listen: parseListen(f[1]), kind: "proxy", how: "squid " + f[0], file: file, open: !accel})
		case "cache_peer":
			if len(f) > 3 {
				peers = append(peers, hostAndPort(f[1], parsePort(f[3])))
			}
		}
	}
	for _, port := range p.options("-a") {
		ports = append(ports, hop{proto: "tcp", listen: parseListen(port), kind: "proxy", how: "squid -a", file: file, open: true})
	}
	for i := range ports {
		ports[i].to = peers
	}
	return ports, nil
}

// squidLines gives the words of the lines of a configuration with what it
// includes.
func (p *program) squidLines(text string, depth int) ([][]string, error) {
	var out [][]string
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if f[0] != "include" || depth > 8 {
			out = append(out, f)
			continue
		}
		names, err := p.glob(path.Clean(strings.Trim(f[1], `"`)))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			b, err := p.readFile(name)
			if err != nil {
				return nil, err
			}
			more, err := p.squidLines(string(b), depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		}
	}
	return out, nil
}
