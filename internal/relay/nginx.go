package relay

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// A directive of an nginx configuration: words, and what stands in its braces.
type directive struct {
	words []string
	block []directive
}

// nginxFiles bounds how many files one configuration may include.
const nginxFiles = 500

// readNginx reads the configuration that nginx was started with: servers that
// pass on (proxy_pass and its kin), in http and in stream.
func readNginx(p *program) ([]hop, error) {
	prefix, ok := p.option("-p")
	if !ok {
		prefix = "/etc/nginx"
	}
	file, ok := p.option("-c")
	if !ok {
		file = "/etc/nginx/nginx.conf"
	}
	if !path.IsAbs(file) {
		file = path.Join(prefix, file)
	}
	r := nginxReader{program: p, prefix: path.Dir(file)}
	top, err := r.file(file)
	if err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	n := nginx{upstreams: map[string][]string{}, file: file}
	n.collect(top)
	n.servers(top, "")
	return n.hops, nil
}

type nginxReader struct {
	program *program
	prefix  string
	files   int
}

// file reads one file with what it includes.
func (r *nginxReader) file(name string) ([]directive, error) {
	if r.files++; r.files > nginxFiles {
		return nil, fmt.Errorf("the configuration includes more than %d files", nginxFiles)
	}
	b, err := r.program.readFile(name)
	if err != nil {
		return nil, err
	}
	tokens := nginxTokens(string(b))
	out, _, err := r.block(tokens, 0)
	return out, err
}

var errBraces = errors.New("the braces of the nginx configuration do not match")

// block parses directives until the brace that ends the block.
func (r *nginxReader) block(tokens []string, depth int) ([]directive, []string, error) {
	var out []directive
	var words []string
	for len(tokens) > 0 {
		t := tokens[0]
		tokens = tokens[1:]
		switch t {
		case ";":
			more, err := r.simple(words)
			if err != nil {
				return nil, nil, err
			}
			out, words = append(out, more...), nil
		case "{":
			if depth > 32 {
				return nil, nil, errBraces
			}
			inner, rest, err := r.block(tokens, depth+1)
			if err != nil {
				return nil, nil, err
			}
			out, words, tokens = append(out, directive{words, inner}), nil, rest
		case "}":
			if depth == 0 {
				return nil, nil, errBraces
			}
			return out, tokens, nil
		default:
			words = append(words, t)
		}
	}
	if depth > 0 {
		return nil, nil, errBraces
	}
	return out, nil, nil
}

// simple is a directive without a block; include is replaced by its files.
func (r *nginxReader) simple(words []string) ([]directive, error) {
	if len(words) != 2 || words[0] != "include" {
		return []directive{{words: words}}, nil
	}
	pattern := words[1]
	if !path.IsAbs(pattern) {
		pattern = path.Join(r.prefix, pattern)
	}
	names, err := r.program.glob(pattern)
	if err != nil {
		return nil, nil // a folder that is not there includes nothing
	}
	var out []directive
	for _, name := range names {
		d, err := r.file(name)
		if err != nil {
			return nil, err
		}
		out = append(out, d...)
	}
	return out, nil
}

// nginxTokens splits a configuration: words, quoted strings, braces, semicolons.
func nginxTokens(text string) []string {
	var out []string
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '#':
			for i < len(text) && text[i] != '\n' {
				i++
			}
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		case strings.IndexByte(";{}", c) >= 0:
			out = append(out, text[i:i+1])
			i++
		case c == '"' || c == '\'':
			end := strings.IndexByte(text[i+1:], c)
			if end < 0 {
				return append(out, text[i+1:])
			}
			out = append(out, text[i+1:i+1+end])
			i += end + 2
		default:
			end := wordEnd(text, i)
			out = append(out, text[i:end])
			i = end
		}
	}
	return out
}

// wordEnd gives the end of the word that starts at i: blanks, semicolons and
// braces end it, but for the braces of a variable, "${name}".
func wordEnd(text string, i int) int {
	for j := i; j < len(text); j++ {
		switch text[j] {
		case ' ', '\t', '\r', '\n', ';', '}', '{':
			return max(j, i+1)
		case '$':
			if end := strings.IndexByte(text[j:], '}'); end > 0 && strings.HasPrefix(text[j:], "${") {
				j += end
			}
		}
	}
	return len(text)
}

type nginx struct {
	upstreams map[string][]string
	file      string
	hops      []hop
}

// collect finds the upstream groups of every level.
func (n *nginx) collect(block []directive) {
	for _, d := range block {
		if len(d.words) == 2 && d.words[0] == "upstream" {
			for _, s := range d.block {
				if len(s.words) > 1 && s.words[0] == "server" {
					n.upstreams[d.words[1]] = append(n.upstreams[d.words[1]], s.words[1])
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
	var listens [][]string
	for _, d := range block {
		if len(d.words) > 1 && d.words[0] == "listen" {
			listens = append(listens, d.words[1:])
		}
	}
	if len(listens) == 0 {
		listens = [][]string{{"80"}}
	}
	to := n.passes(block)
	if len(to) == 0 {
		return
	}
	for _, l := range listens {
		h := hop{proto: "tcp", port: listenPort(l[0]), to: to, kind: "proxy", how: "nginx " + context + " server with proxy_pass", file: n.file}
		if h.port == 0 {
			h.port = 80
		}
		for _, word := range l[1:] {
			if word == "udp" {
				h.proto = "udp"
			}
		}
		n.hops = append(n.hops, h)
	}
}

// passes finds where a server and its locations pass on to.
func (n *nginx) passes(block []directive) []destination {
	var out []destination
	for _, d := range block {
		out = append(out, n.passes(d.block)...)
		if len(d.words) < 2 {
			continue
		}
		switch d.words[0] {
		case "proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass":
			out = append(out, n.destinations(d.words[1])...)
		}
	}
	return out
}

func (n *nginx) destinations(text string) []destination {
	bare := text
	defaultPort := uint16(0)
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		bare, _, _ = strings.Cut(rest, "/")
		defaultPort = map[string]uint16{"http": 80, "grpc": 80, "https": 443, "grpcs": 443}[scheme]
	}
	servers, grouped := n.upstreams[bare]
	if !grouped {
		return []destination{parseDestination(text, defaultPort)}
	}
	var out []destination
	for _, s := range servers {
		out = append(out, parseDestination(s, 80))
	}
	return out
}
