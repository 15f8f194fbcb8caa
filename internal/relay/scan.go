package relay

import (
	"regexp"
	"strings"
)

// hostPort finds addresses with a port in a configuration that is not parsed.
var hostPort = regexp.MustCompile(`(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:]+\]):\d{1,5}\b`)

// envoyAddress finds socket_address blocks of envoy, in YAML or JSON.
var envoyAddress = regexp.MustCompile(`address"?\s*:\s*"?([0-9a-fA-F.:]+)"?[\s,]+"?port_value"?\s*:\s*"?(\d+)`)

// readByScan reads envoy, traefik and caddy: programs that exist to pass on,
// whose configurations are languages of their own. Every address with a port that
// the file names may be a destination; what it binds is among them and is told
// apart by being an address of this host.
func readByScan(p *program) ([]hop, error) {
	usual := map[string]string{"envoy": "/etc/envoy/envoy.yaml", "traefik": "/etc/traefik/traefik.yml", "caddy": "/etc/caddy/Caddyfile"}[p.name]
	file, text, err := p.firstFile(usual, "-c", "--config-path", "--configFile", "--configfile", "--config")
	if err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	if p.name == "caddy" && !strings.Contains(text, "reverse_proxy") && !strings.Contains(text, "proxy") {
		return nil, nil // it serves files
	}
	h := hop{kind: "proxy", how: "addresses in the configuration of " + p.name, file: file}
	for _, m := range envoyAddress.FindAllStringSubmatch(text, 1000) {
		h.to = append(h.to, parseDestination(bracket(m[1])+":"+m[2], 0))
	}
	for _, m := range hostPort.FindAllString(text, 1000) {
		h.to = append(h.to, parseDestination(m, 0))
	}
	if len(h.to) == 0 {
		return []hop{h}, errNoDestination
	}
	return []hop{h}, nil
}

func bracket(addr string) string {
	if strings.Contains(addr, ":") {
		return "[" + addr + "]"
	}
	return addr
}
