package relay

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// apacheFiles bounds how many files one configuration may include.
const apacheFiles = 500

// apacheLine is a directive, and the virtual host that it stands in (0: none).
type apacheLine struct {
	words []string
	host  int
}

// apache collects a configuration of Apache's httpd with what it includes.
type apache struct {
	p      *program
	root   string
	files  int
	lines  []apacheLine
	hosts  [][]string // the addresses of each virtual host
	inside int
	vars   []string // NAME, VALUE pairs of Define
}

// readApache reads ProxyPass and its kin (mod_proxy, mod_rewrite with [P]).
func readApache(p *program) ([]hop, error) {
	a := &apache{p: p, root: "/etc/apache2", hosts: [][]string{nil}}
	file := "apache2.conf"
	if p.name == "httpd" {
		a.root, file = "/etc/httpd", "conf/httpd.conf"
	}
	if d, ok := p.option("-d"); ok {
		a.root = d
	}
	if f, ok := p.option("-f"); ok {
		file = f
	}
	if err := a.include(file); err != nil {
		return []hop{{kind: "proxy"}}, err
	}
	return a.hops(a.absolute(file)), nil
}

func (a *apache) absolute(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return path.Join(a.root, name)
}

func (a *apache) include(name string) error {
	if a.files++; a.files > apacheFiles {
		return fmt.Errorf("the configuration includes more than %d files", apacheFiles)
	}
	texts, err := a.p.configs(a.absolute(name), "*")
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(strings.Join(texts, "\n"), "\\\n", " ")
	for _, line := range strings.Split(text, "\n") {
		words := shellWords(strings.NewReplacer(a.vars...).Replace(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := a.directive(words); err != nil {
			return err
		}
	}
	return nil
}

// directive takes one line; names are the same in any case.
func (a *apache) directive(words []string) error {
	switch strings.ToLower(words[0]) {
	case "include", "includeoptional":
		if len(words) > 1 {
			return a.includeAll(words[1], strings.EqualFold(words[0], "IncludeOptional"))
		}
	case "serverroot":
		if len(words) > 1 {
			a.root = words[1]
		}
	case "define":
		if len(words) > 2 && len(a.vars) < 2*mostVariables {
			a.vars = append(a.vars, "${"+words[1]+"}", words[2])
		}
	case "<virtualhost":
		a.inside = len(a.hosts)
		a.hosts = append(a.hosts, strings.Fields(strings.TrimRight(strings.Join(words[1:], " "), ">")))
	case "</virtualhost>":
		a.inside = 0
	default:
		a.lines = append(a.lines, apacheLine{words, a.inside})
	}
	return nil
}

func (a *apache) includeAll(pattern string, optional bool) error {
	names, err := a.p.glob(a.absolute(pattern))
	if err != nil && !optional {
		return err
	}
	for _, name := range names {
		if err := a.include(name); err != nil && !optional {
			return err
		}
	}
	return nil
}

// hops makes one for each address of each virtual host, and for what listens
// outside of them.
func (a *apache) hops(file string) []hop {
	balancers := a.balancers()
	var listens []string
	ways := make([]hop, len(a.hosts))
	for _, l := range a.lines {
		if strings.EqualFold(l.words[0], "Listen") && len(l.words) > 1 {
			listens = append(listens, l.words[1])
		}
		apachePass(l.words, balancers, &ways[l.host])
	}
	var out []hop
	left := mostDestinations
	for i, at := range a.hosts {
		if i == 0 || len(at) == 0 || slices.ContainsFunc(at, func(s string) bool { return parseListen(s).lo == 0 }) {
			at = listens
		}
		h := hop{proto: "tcp", kind: "proxy", how: "ProxyPass of Apache", file: file, open: ways[i].open || ways[0].open, to: ways[0].to}
		if left -= len(ways[i].to) + len(ways[0].to); left < 0 {
			h.open = true
		} else if i > 0 { // a virtual host has what stands outside of them as well
			h.to = append(slices.Clone(ways[i].to), ways[0].to...)
		}
		h.serves = len(h.to) == 0 && !h.open
		for _, l := range at[:min(len(at), mostVariables)] {
			h.listen = parseListen(l)
			out = append(out, h)
		}
	}
	return out
}

// balancers gives the members of <Proxy balancer://name>, wherever they stand.
func (a *apache) balancers() map[string][]string {
	out := map[string][]string{}
	inside := ""
	for _, l := range a.lines {
		switch name := strings.ToLower(l.words[0]); {
		case name == "<proxy" && len(l.words) > 1:
			inside = balancerName(l.words[1])
		case name == "</proxy>":
			inside = ""
		case name == "balancermember" && len(l.words) > 1:
			if at := l.words[1]; strings.HasPrefix(at, "balancer://") && len(l.words) > 2 {
				out[balancerName(at)] = append(out[balancerName(at)], l.words[2])
			} else {
				out[inside] = append(out[inside], at)
			}
		}
	}
	return out
}

func balancerName(url string) string {
	name, _, _ := strings.Cut(strings.TrimRight(strings.TrimPrefix(url, "balancer://"), ">"), "/")
	return strings.ToLower(name)
}

// apachePass adds where a directive passes on to.
func apachePass(words []string, balancers map[string][]string, h *hop) {
	switch strings.ToLower(words[0]) {
	case "proxypass", "proxypassmatch":
		for _, w := range words[1:min(3, len(words))] {
			apacheURL(w, balancers, h)
		}
	case "rewriterule":
		if len(words) > 3 && proxies(words[3]) {
			apacheURL(words[2], balancers, h)
		}
	case "sethandler":
		if url, ok := strings.CutPrefix(words[min(1, len(words)-1)], "proxy:"); ok {
			apacheURL(url, balancers, h)
		}
	case "proxyrequests":
		h.open = h.open || len(words) > 1 && strings.EqualFold(words[1], "on")
	}
}

// proxies says whether the flags of a RewriteRule hold P.
func proxies(flags string) bool {
	for _, f := range strings.Split(strings.Trim(flags, "[]"), ",") {
		if f = strings.TrimSpace(f); strings.EqualFold(f, "P") || strings.EqualFold(f, "proxy") {
			return true
		}
	}
	return false
}

// apacheURL adds the destination of a URL; what is none (a path, "!") is left out.
func apacheURL(url string, balancers map[string][]string, h *hop) {
	switch {
	case strings.HasPrefix(url, "balancer://"):
		for _, member := range balancers[balancerName(url)] {
			apacheURL(member, nil, h)
		}
	case strings.HasPrefix(url, "unix:"), strings.Contains(url, "://"):
		if where, _, _ := strings.Cut(url[strings.Index(url, ":")+1:], "|"); strings.ContainsAny(strings.SplitN(strings.TrimLeft(where, "/"), "/", 2)[0], "$%") {
			h.open = true // the request says where to
			return
		}
		h.to = append(h.to, parseDestination(strings.SplitN(url, "|", 2)[0], 0))
	}
}
