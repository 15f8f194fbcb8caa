package relay

import (
	"regexp"
	"strings"
)

var (
	// hostPort finds addresses with a port in a configuration that is not parsed.
	hostPort = regexp.MustCompile(`(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):\d{1,5}\b`)
	// urlHost finds URLs: a host with or without a port.
	urlHost = regexp.MustCompile(`\b(?:https?|h2c|tcp|udp|ws|wss|grpcs?|fcgi)://[^\s"'/,;)}]+`)
	// envoyAddress finds socket_address blocks of envoy, in YAML or JSON.
	envoyAddress = regexp.MustCompile(`address"?\s*:\s*"?([0-9a-zA-Z.:_-]+)"?[\s,]+"?port_value"?\s*:\s*"?(\d+)`)
	// caddyWord is the directive of a Caddyfile, and dial the key of its JSON.
	caddyWord = regexp.MustCompile(`(?m)\b(?:reverse_proxy|php_fastcgi|proxy|to)\b([^\n{]*)`)
	// caddyAddress is what an upstream looks like, and a path does not.
	caddyAddress = regexp.MustCompile(`^[A-Za-z0-9\[:][\w.:\[\]/-]*$`)
	caddyDial    = regexp.MustCompile(`"dial"\s*:\s*"([^"]+)"`)
)

// mostScanned bounds how many destinations are taken of one file.
const mostScanned = 1000

// readByScan reads envoy, traefik and caddy: programs that exist to pass on,
// whose configurations are languages of their own. Every address with a port that
// the file names may be a destination; what it binds is among them and is told
// apart by being an address of this host.
func readByScan(p *program) ([]hop, error) {
	usual := map[string]string{"envoy": "/etc/envoy/envoy.yaml", "traefik": "/etc/traefik/traefik.yml", "caddy": "/etc/caddy/Caddyfile"}[p.name]
	file, text, err := p.firstFile(usual, "-c", "--config-path", "--configFile", "--configfile", "--config")
	if inline, ok := p.option("--config-yaml"); ok {
		text, err = text+"\n"+inline, nil
	}
	h := hop{kind: "proxy", how: "addresses in the configuration of " + p.name, file: file}
	if p.name == "caddy" && len(p.args) > 1 && p.args[1] == "reverse-proxy" {
		text, err = "reverse_proxy "+strings.Join(p.options("--to", "-t"), " "), nil
	}
	if err != nil && len(p.options("--providers.file.filename", "--providers.file.directory")) == 0 {
		return []hop{h}, err
	}
	h.to = scanned(p.name, uncommented(text+p.traefikFiles(text), "#"))
	switch {
	case len(h.to) > 0:
		return []hop{h}, nil
	case p.name == "caddy" && !strings.Contains(text, "proxy") && !strings.Contains(text, "fastcgi"):
		return nil, nil // it serves files
	}
	return []hop{h}, errNoDestination
}

// scanned gives every destination that a text may name.
func scanned(program, text string) []destination {
	var out []destination
	for _, m := range envoyAddress.FindAllStringSubmatch(text, mostScanned) {
		out = append(out, hostAndPort(m[1], parsePort(m[2])))
	}
	for _, m := range hostPort.FindAllString(text, mostScanned) {
		out = append(out, parseDestination(m, 0))
	}
	for _, m := range urlHost.FindAllString(text, mostScanned) {
		if program == "traefik" {
			out = append(out, parseDestination(m, 0))
		}
	}
	if program != "caddy" {
		return out
	}
	for _, m := range caddyDial.FindAllStringSubmatch(text, mostScanned) {
		out = append(out, parseDestination(m[1], 0))
	}
	for _, m := range caddyWord.FindAllStringSubmatch(text, mostScanned) {
		for _, word := range strings.Fields(m[1]) {
			if strings.ContainsAny(word, ".:") && caddyAddress.MatchString(word) {
				out = append(out, caddyUpstream(word))
			}
		}
	}
	return out
}

// caddyUpstream reads "host:port", ":port", "unix//path", a URL.
func caddyUpstream(word string) destination {
	if port := parsePort(strings.TrimPrefix(word, ":")); strings.HasPrefix(word, ":") && port != 0 {
		return hostAndPort("", port)
	}
	return parseDestination(word, 80)
}

var (
	traefikFile = regexp.MustCompile(`(?m)^\s*"?filename"?\s*[:=]\s*"?([^"\s]+)`)
	traefikDir  = regexp.MustCompile(`(?m)^\s*"?directory"?\s*[:=]\s*"?([^"\s]+)`)
)

// traefikFiles reads what traefik's file provider names.
func (p *program) traefikFiles(text string) string {
	if p.name != "traefik" {
		return ""
	}
	names := p.options("--providers.file.filename", "--providers.file.directory")
	for _, re := range []*regexp.Regexp{traefikFile, traefikDir} {
		for _, m := range re.FindAllStringSubmatch(text, 20) {
			names = append(names, m[1])
		}
	}
	var out []string
	for _, name := range names {
		if more, err := p.configs(name, "*.[yt]*ml"); err == nil {
			out = append(out, more...)
		}
	}
	return "\n" + strings.Join(out, "\n")
}
