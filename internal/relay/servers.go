package relay

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// readOpenProxy is a program that leads wherever its client asks.
func readOpenProxy(p *program) ([]hop, error) {
	return []hop{{kind: "proxy", how: p.name + " is a proxy", open: true}}, nil
}

// readUnknownRelay is a program that exists to pass on, whose destinations it
// tells nobody here.
func readUnknownRelay(p *program) ([]hop, error) {
	return []hop{{kind: "forwarder", how: p.name + " passes on what it accepts"}}, fmt.Errorf("%s: %w", p.name, errNoDestination)
}

// readPound reads the BackEnd blocks of pound(8).
func readPound(p *program) ([]hop, error) {
	file, text, err := p.firstFile("/etc/pound/pound.cfg", "-f")
	if err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	h := hop{proto: "tcp", kind: "proxy", how: "BackEnd of pound", file: file}
	inside, addr, port := false, "", uint16(0)
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		switch word := strings.ToLower(f[0]); {
		case word == "backend" || word == "emergency":
			inside, addr, port = true, "", 0
		case word == "address" && inside && len(f) > 1:
			addr = f[1]
		case word == "port" && inside && len(f) > 1:
			port = parsePort(f[1])
		case word == "end" && inside:
			inside = false
			h.to = append(h.to, poundBackend(addr, port))
		}
	}
	if len(h.to) == 0 {
		return []hop{h}, errNoDestination
	}
	return []hop{h}, nil
}

func poundBackend(addr string, port uint16) destination {
	if strings.HasPrefix(addr, "/") {
		return parseDestination("unix:"+addr, 0)
	}
	return hostAndPort(addr, port)
}

// vclHost and vclPort find the parts of a backend in VCL.
var (
	vclHost = regexp.MustCompile(`\.host\s*=\s*"([^"]+)"`)
	vclPort = regexp.MustCompile(`\.port\s*=\s*"([^"]+)"`)
	vclPath = regexp.MustCompile(`\.path\s*=\s*"([^"]+)"`)
)

// readVarnish reads -b and the backends of the VCL of varnishd(1).
func readVarnish(p *program) ([]hop, error) {
	h := hop{proto: "tcp", kind: "proxy", how: "backend of varnish"}
	for _, b := range p.options("-b") {
		if b != "none" {
			h.to = append(h.to, parseDestination(b, 80))
		}
	}
	file, text, err := p.firstFile("/etc/varnish/default.vcl", "-f")
	if err != nil && len(h.to) == 0 {
		return []hop{h}, err
	}
	if !strings.Contains(file, "/") {
		file = path.Join("/etc/varnish", file)
	}
	h.file = file
	h.to = append(h.to, vclBackends(text)...)
	out := []hop{h}
	if len(h.to) == 0 {
		return out, errNoDestination
	}
	for _, admin := range p.options("-T") {
		out = append(out, hop{listen: parseListen(admin), serves: true})
	}
	return out, nil
}

func vclBackends(text string) []destination {
	var out []destination
	for _, block := range strings.Split(uncommented(text, "#", "//"), "}") {
		if m := vclPath.FindStringSubmatch(block); m != nil {
			out = append(out, parseDestination("unix:"+m[1], 0))
		}
		m := vclHost.FindStringSubmatch(block)
		if m == nil {
			continue
		}
		port := uint16(80)
		if at := vclPort.FindStringSubmatch(block); at != nil {
			port = parsePort(at[1])
		}
		out = append(out, hostAndPort(m[1], port))
	}
	return out
}

// lighttpdBackend finds the hosts of proxy.server and its kin.
var lighttpdBackend = regexp.MustCompile(`"host"\s*=>\s*"([^"]+)"(?:\s*,\s*"port"\s*=>\s*"?(\d+))?`)

// readLighttpd reads proxy.server, fastcgi.server and scgi.server of lighttpd,
// with include. What a command prints (include_shell) is not asked for.
func readLighttpd(p *program) ([]hop, error) {
	file, ok := p.option("-f")
	if !ok {
		file = "/etc/lighttpd/lighttpd.conf"
	}
	text, err := p.lighttpdText(file, path.Dir(file), 0)
	if err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	h := hop{proto: "tcp", kind: "proxy", how: "proxy.server of lighttpd", file: file}
	for _, m := range lighttpdBackend.FindAllStringSubmatch(uncommented(text, "#"), 1000) {
		port := parsePort(m[2])
		if port == 0 {
			port = 80
		}
		h.to = append(h.to, hostAndPort(m[1], port))
	}
	if len(h.to) == 0 {
		return nil, nil // it serves
	}
	return []hop{h}, nil
}

var lighttpdInclude = regexp.MustCompile(`(?m)^\s*include\s+"([^"]+)"`)

func (p *program) lighttpdText(file, dir string, depth int) (string, error) {
	if !path.IsAbs(file) {
		file = path.Join(dir, file)
	}
	b, err := p.readFile(file)
	if err != nil || depth > 4 {
		return "", err
	}
	text := string(b)
	for _, m := range lighttpdInclude.FindAllStringSubmatch(text, 200) {
		if !path.IsAbs(m[1]) {
			m[1] = path.Join(dir, m[1])
		}
		names, err := p.glob(m[1])
		if err != nil {
			return "", err
		}
		for _, name := range names {
			more, err := p.lighttpdText(name, dir, depth+1)
			if err != nil {
				return "", err
			}
			text += "\n" + more
		}
	}
	return text, nil
}

// readGost reads gost -L LISTEN[/TARGET] -F NEXT: without a target it is a
// proxy, with -F all goes through the next.
func readGost(p *program) ([]hop, error) {
	var next []destination
	for _, f := range p.options("-F") {
		next = append(next, parseDestination(f, 0))
	}
	var out []hop
	for _, l := range p.options("-L") {
		at := l[strings.Index(l, "://")+1:]
		at = strings.TrimLeft(at, ":/")
		if strings.HasPrefix(l, ":") {
			at = l
		}
		at, target, _ := strings.Cut(at, "/")
		at, _, _ = strings.Cut(at, "?")
		target, _, _ = strings.Cut(target, "?")
		h := hop{listen: onPort(parsePort(at[strings.LastIndexByte(at, ':')+1:])), kind: "proxy", how: "gost -L", to: next, open: target == ""}
		if target != "" {
			h.kind = "forwarder"
			h.to = append(h.to[:len(h.to):len(h.to)], parseDestination(target, 0))
		}
		out = append(out, h)
	}
	if len(out) == 0 {
		return readUnknownRelay(p)
	}
	return out, nil
}

// readChisel reads `chisel client SERVER …`: all leads to the server. A server's
// listeners lead to its clients.
func readChisel(p *program) ([]hop, error) {
	rest := operands(p.args[min(1, len(p.args)):], "v")
	if len(rest) > 1 && rest[0] == "client" {
		return []hop{{kind: "tunnel", how: "chisel client", to: []destination{parseDestination(rest[1], 0)}}}, nil
	}
	return []hop{{kind: "tunnel", how: "chisel server: it leads to its clients, or where they ask", open: true}}, nil
}

// readDockerProxy reads docker-proxy, which serves a published port.
func readDockerProxy(p *program) ([]hop, error) {
	addr, port := p.value("-container-ip", "--container-ip"), parsePort(p.value("-container-port", "--container-port"))
	if addr == "" || port == 0 {
		return []hop{{kind: "forwarder"}}, errNoDestination
	}
	l := onPort(parsePort(p.value("-host-port", "--host-port")))
	return []hop{{proto: p.value("-proto", "--proto"), listen: l, kind: "forwarder", how: "arguments of docker-proxy", to: []destination{hostAndPort(addr, port)}}}, nil
}
