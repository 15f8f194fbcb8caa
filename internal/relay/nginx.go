package relay

import (
	"slices"
	"strings"
)

// nginx is what a configuration says about who is reached.
type nginx struct {
	upstreams map[string][]string
	variables map[string][]string // of set, map, geo and split_clients: every value
	file      string
	hops      []hop
	taken     int // destinations so far
}

func nginxHops(top []directive, file string) []hop {
	n := nginx{upstreams: map[string][]string{}, variables: map[string][]string{}, file: file}
	n.collect(top)
	n.servers(top, "")
	return n.hops
}

// collect finds the upstream groups and the variables of every level.
func (n *nginx) collect(block []directive) {
	for _, d := range block {
		if len(d.words) == 0 {
			continue
		}
		switch last := d.words[len(d.words)-1]; {
		case d.words[0] == "upstream" && len(d.words) == 2:
			for _, s := range d.block {
				if len(s.words) > 1 && s.words[0] == "server" {
					n.upstreams[last] = append(n.upstreams[last], s.words[1])
				}
			}
		case d.words[0] == "set" && len(d.words) == 3:
			n.variables[d.words[1]] = append(n.variables[d.words[1]], last)
		case slices.Contains([]string{"map", "geo", "split_clients"}, d.words[0]) && len(d.block) > 0:
			for _, value := range d.block {
				if len(value.words) > 1 {
					n.variables[last] = append(n.variables[last], value.words[len(value.words)-1])
				}
			}
		}
		n.collect(d.block)
	}
}

// servers finds the server blocks of http and stream.
func (n *nginx) servers(block []directive, context string) {
	for _, d := range block {
		if len(d.words) == 0 {
			continue
		}
		switch d.words[0] {
		case "http", "stream", "mail":
			n.servers(d.block, d.words[0])
		case "server":
			if context != "" && len(d.block) > 0 {
				n.server(d.block, context)
			}
		}
	}
}

func (n *nginx) server(block []directive, context string) {
	h := hop{kind: "proxy", how: "nginx " + context + " server with proxy_pass", file: n.file}
	n.passes(block, &h)
	if context == "mail" {
		h.open, h.how = true, "nginx mail proxy: an authentication server says where to"
	}
	h.serves = len(h.to) == 0 && !h.open
	listens := 0
	for _, d := range block {
		if len(d.words) < 2 || d.words[0] != "listen" {
			continue
		}
		listens++
		one := h
		one.listen, one.proto = parseListen(d.words[1]), "tcp"
		if one.listen.lo == 0 && one.listen.unix == "" {
			one.listen.lo, one.listen.hi = 80, 80
		}
		if slices.Contains(d.words[2:], "udp") || slices.Contains(d.words[2:], "quic") {
			one.proto = "udp"
		}
		n.hops = append(n.hops, one)
	}
	if listens == 0 { // nginx's default: 80 for root, 8000 for others
		for _, port := range []uint16{80, 8000} {
			one := h
			one.listen, one.proto = onPort(port), "tcp"
			n.hops = append(n.hops, one)
		}
	}
}

// passes finds where a server and its locations pass on to.
func (n *nginx) passes(block []directive, h *hop) {
	for _, d := range block {
		n.passes(d.block, h)
		if len(d.words) < 2 {
			continue
		}
		switch d.words[0] {
		case "proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass":
			n.destinations(d.words[1], h, 0)
		}
	}
}

func nginxPort(scheme string) uint16 {
	return map[string]uint16{"http": 80, "grpc": 80, "https": 443, "grpcs": 443}[scheme]
}

// destinations adds where the argument of proxy_pass leads: a group, an
// address, or a variable with each of its values. A variable that the
// configuration does not fill leads wherever the request says.
func (n *nginx) destinations(text string, h *hop, depth int) {
	if n.taken++; n.taken > mostDestinations {
		h.open = true
		return
	}
	if at := strings.IndexByte(text, '$'); at >= 0 {
		n.variable(text, at, h, depth)
		return
	}
	bare, port := text, uint16(0)
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		bare, _, _ = strings.Cut(rest, "/")
		port = nginxPort(scheme)
	}
	servers, grouped := n.upstreams[bare]
	if !grouped {
		h.to = append(h.to, parseDestination(text, port))
		return
	}
	n.taken += len(servers)
	for _, s := range servers {
		h.to = append(h.to, parseDestination(s, 80))
	}
}

func (n *nginx) variable(text string, at int, h *hop, depth int) {
	for _, tail := range []string{"$request_uri", "$uri", "$document_uri", "$is_args", "$args", "$query_string"} { // behind the host
		if i := strings.Index(text, tail); i > 0 && text[i-1] != '/' {
			n.destinations(text[:i], h, depth)
			return
		}
	}
	if scheme, rest, ok := strings.Cut(text, "://"); ok && !strings.Contains(scheme, "$") {
		hostPart, path, _ := strings.Cut(rest, "/")
		if !strings.Contains(hostPart, "$") && strings.Contains(path, "$") { // only the path varies
			n.destinations(scheme+"://"+hostPart, h, depth)
			return
		}
		text, at = scheme+"://"+hostPart, strings.IndexByte(scheme+"://"+hostPart, '$')
	}
	if at < 0 || depth > 4 {
		h.open = true
		return
	}
	name, end := variableAt(text, at)
	values := n.variables[name]
	if len(values) == 0 {
		h.open = true
		return
	}
	for _, v := range values {
		n.destinations(text[:at]+v+text[end:], h, depth+1)
	}
}

// variableAt gives the variable that starts at a place of a text, as "$name",
// and where it ends.
func variableAt(text string, at int) (string, int) {
	if strings.HasPrefix(text[at:], "${") {
		if end := strings.IndexByte(text[at:], '}'); end > 0 {
			return "$" + text[at+2:at+end], at + end + 1
		}
	}
	end := at + 1
	for end < len(text) && (text[end] == '_' || text[end] >= '0' && text[end] <= '9' || text[end] >= 'a' && text[end] <= 'z' || text[end] >= 'A' && text[end] <= 'Z') {
		end++
	}
	return text[at:end], end
}
