package relay

import (
	"path"
	"slices"
	"strings"
)

// braced splits "name { key = value … }" files: redsocks, xinetd. ends is what
// ends a value besides the end of the line.
func braced(text, ends string) []section {
	var out []section
	parts := strings.NewReplacer("{", "\x00{\x00", "}", "\x00}\x00", ends, "\x00")
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "#") || strings.HasPrefix(strings.TrimSpace(line), "//") {
			continue
		}
		for _, part := range strings.Split(parts.Replace(line), "\x00") {
			part = strings.TrimSpace(part)
			switch {
			case part == "" || part == "{":
			case part == "}":
				out = append(out, section{keys: map[string][]string{}})
			case !strings.Contains(part, "="):
				out = append(out, section{part, map[string][]string{}})
			case len(out) > 0:
				key, value, _ := strings.Cut(part, "=")
				key = strings.ToLower(strings.TrimSpace(strings.TrimRight(strings.TrimSpace(key), "+-")))
				out[len(out)-1].keys[key] = append(out[len(out)-1].keys[key], strings.Trim(strings.TrimSpace(value), `"`))
			}
		}
	}
	return out
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
		if !slices.Contains([]string{"redsocks", "redudp", "dnstc", "dnsu2t"}, s.name) {
			continue
		}
		h := hop{proto: "tcp", listen: onPort(parsePort(s.one("local_port"))), kind: "proxy", file: file, fed: p.isHosts("/usr/sbin/", "/usr/bin/"),
			how: s.name + " section, through a " + s.one("type") + " proxy"}
		if s.name != "redsocks" {
			h.proto = "udp"
		}
		switch {
		case s.one("ip") != "":
			h.to = []destination{hostAndPort(s.one("ip"), parsePort(s.one("port")))}
		case s.one("remote_ip") != "":
			h.to = []destination{hostAndPort(s.one("remote_ip"), parsePort(s.one("remote_port")))}
		case s.name == "dnstc":
			h.serves = true // it answers by itself that the client should ask by TCP
		default:
			h.open = true
		}
		out = append(out, h)
	}
	return out, nil
}

// isHosts says whether the program is the host's own file in one of these
// folders: only then is it what its name says.
func (p *program) isHosts(dirs ...string) bool {
	return p.host && slices.Contains(dirs, path.Dir(p.exe)+"/")
}

// readXinetd reads services with `redirect = HOST PORT`, and those whose server
// connects elsewhere (xinetd.conf(5)).
func readXinetd(p *program) ([]hop, error) {
	file, text, err := p.firstFile("/etc/xinetd.conf", "-f")
	if err != nil {
		return []hop{{kind: "forwarder"}}, err
	}
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) != 2 || f[0] != "includedir" && f[0] != "include" {
			continue
		}
		more, err := p.configs(f[1], "[^.]*")
		if err != nil {
			return []hop{{kind: "forwarder"}}, err
		}
		text += "\n" + strings.Join(more, "\n")
	}
	services := p.services()
	var out []hop
	for _, s := range braced(text, "\x01") {
		if name, ok := strings.CutPrefix(s.name, "service"); ok && s.one("disable") != "yes" {
			out = append(out, xinetdHop(s, strings.TrimSpace(name), file, services))
		}
	}
	return out, nil
}

func xinetdHop(s section, name, file string, services services) hop {
	h := hop{proto: s.one("protocol"), kind: "forwarder", how: "xinetd service " + name, file: file}
	if h.proto == "" && s.one("socket_type") == "dgram" {
		h.proto = "udp"
	}
	port := s.one("port")
	if port == "" {
		port = name
	}
	h.listen = onPort(services.port(port, h.proto))
	h.listen.addr = parseListen(s.one("bind") + s.one("interface")).addr
	if to := strings.Fields(s.one("redirect")); len(to) == 2 {
		h.how += " with redirect"
		h.to = []destination{hostAndPort(to[0], services.port(to[1], h.proto))}
		return h
	}
	w, ok := connector(append([]string{s.one("server")}, strings.Fields(strings.Join(s.keys["server_args"], " "))...), 0)
	if !ok {
		h.serves = true // a server of its own
		return h
	}
	h.how, h.kind, h.to = h.how+": "+w.how, w.kind, []destination{w.to}
	return h
}
