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
	file := nginxFile(p)
	r := nginxReader{program: p, prefix: path.Dir(file)}
	top, err := r.file(file)
	if err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	return nginxHops(top, file), nil
}

// nginxFile is the configuration of nginx -p PREFIX -c FILE.
func nginxFile(p *program) string {
	file, prefix := "/etc/nginx/nginx.conf", "/usr/share/nginx"
	if p.name == "openresty" || strings.HasPrefix(p.exe, "/usr/local/openresty/") {
		file, prefix = "/usr/local/openresty/nginx/conf/nginx.conf", "/usr/local/openresty/nginx"
	} else if strings.HasPrefix(p.exe, "/usr/local/nginx/") {
		file, prefix = "/usr/local/nginx/conf/nginx.conf", "/usr/local/nginx"
	}
	if given, ok := p.option("-p"); ok {
		prefix = given
	}
	if given, ok := p.option("-c"); ok {
		file = given
	}
	if !path.IsAbs(file) {
		file = path.Join(prefix, file)
	}
	return file
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
		return nil, err
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
			word, end := quoted(text, i)
			out = append(out, word)
			i = end
		default:
			end := wordEnd(text, i)
			out = append(out, text[i:end])
			i = end
		}
	}
	return out
}

// quoted reads the quoted word that starts at i, and where it ends.
func quoted(text string, i int) (string, int) {
	var b strings.Builder
	for j := i + 1; j < len(text); j++ {
		switch {
		case text[j] == text[i]:
			return b.String(), j + 1
		case text[j] == '\\' && j+1 < len(text):
			j++
		}
		b.WriteByte(text[j])
	}
	return b.String(), len(text)
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
