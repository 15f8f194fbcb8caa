package policy

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/natwarden/natwarden/internal/host"
)

// usualTimeout is how long one smoke test may take where the policy does not say.
const usualTimeout = 5 * time.Second

// The bounds of timeout.
const (
	shortestTimeout = 100 * time.Millisecond
	longestTimeout  = time.Minute
)

// kindsOfProbe are the keys of which a smoke test has exactly one.
func kindsOfProbe() []string { return []string{"tcp", "http", "dns", "command"} }

func probeObject() object[host.Probe] {
	one := []any{}
	for _, kind := range kindsOfProbe() {
		one = append(one, schema{"required": []string{kind}})
	}
	return object[host.Probe]{what: "a smoke test", extra: schema{"oneOf": one}, done: finishProbe, keys: []key[host.Probe]{
		idKey(func(p *host.Probe) *string { return &p.ID }),
		single("tcp", `HOST:PORT that must take a connection: "10.0.0.1:443"`, func(text string, p *host.Probe) (err error) {
			p.TCP, err = hostPort(text)
			return err
		}),
		nested("http", "a page that must answer", httpObject(), func(p *host.Probe) *host.HTTPProbe {
			p.HTTP = &host.HTTPProbe{Status: http.StatusOK}
			return p.HTTP
		}),
		nested("dns", "a name that a server must know", dnsObject(), func(p *host.Probe) *host.DNSProbe {
			p.DNS = &host.DNSProbe{Type: "A"}
			return p.DNS
		}),
		commandKey(),
		timeoutKey(),
	}}
}

// finishProbe looks at what the keys of a smoke test say together.
func finishProbe(r *reader, n *yaml.Node, p *host.Probe) {
	p.Line = n.Line
	if p.Timeout == 0 {
		p.Timeout = usualTimeout
	}
	asked := 0
	for _, kind := range kindsOfProbe() {
		if valueOf(n, kind) != nil {
			asked++
		}
	}
	if asked != 1 {
		r.add(n, fmt.Sprintf("a smoke test asks one thing, not %d", asked), "one of "+strings.Join(kindsOfProbe(), ", "))
	}
}

// single is a key that takes one text, read by parse.
func single[T any](name, doc string, parse func(text string, into *T) error) key[T] {
	return key[T]{name: name, doc: doc, schema: schema{"type": "string", "minLength": 1}, read: func(r *reader, n *yaml.Node, into *T) {
		text, ok := r.text(n, name)
		if !ok {
			return
		}
		if err := parse(text, into); err != nil {
			r.add(n, name+": "+err.Error(), unlessSaid(doc, err))
		}
	}}
}

var nameOfHost = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?$`)

// hostPort proves HOST:PORT; a host is an address or a name.
func hostPort(text string) (string, error) {
	name, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("%q is no HOST:PORT: want 10.0.0.1:443 or [2001:db8::1]:443", text)
	}
	if _, err := netip.ParseAddr(name); err != nil && !nameOfHost.MatchString(name) {
		return "", fmt.Errorf("%q is neither an address nor a name", name)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q is no port: want a number from 1 to 65535", port)
	}
	return text, nil
}

func commandKey() key[host.Probe] {
	doc := `a program and its arguments as a list, run without a shell; exit 0 is good: [/usr/local/bin/check, --fast]`
	s := schema{"type": "array", "items": schema{"type": []string{"string", "number"}}, "minItems": 1}
	return key[host.Probe]{name: "command", doc: doc, schema: s, read: func(r *reader, n *yaml.Node, into *host.Probe) {
		if n.Kind == yaml.AliasNode {
			return
		}
		if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
			r.add(n, "command must be a list, not "+kindOf(n), "no shell reads it: [/usr/local/bin/check, --fast]")
			return
		}
		for i, item := range n.Content {
			text, ok := r.text(item, "command")
			if ok && i == 0 && (!path.IsAbs(text) || path.Clean(text) != text) {
				r.add(item, fmt.Sprintf("command: %q is no absolute path", text), "write the whole path of the program, from / on: no PATH is searched")
			}
			into.Command = append(into.Command, text)
		}
	}}
}

func timeoutKey() key[host.Probe] {
	doc := "how long one try may take: 500ms, 5s (the default), 1m at most"
	return single("timeout", doc, func(text string, p *host.Probe) error {
		d, err := time.ParseDuration(text)
		if err != nil || d < shortestTimeout || d > longestTimeout {
			return fmt.Errorf("%q is no time from %s to %s: write 5s", text, shortestTimeout, longestTimeout)
		}
		p.Timeout = d
		return nil
	})
}

func httpObject() object[host.HTTPProbe] {
	return object[host.HTTPProbe]{what: "http", done: finishHTTP, keys: []key[host.HTTPProbe]{
		single("url", "https://10.0.0.1/health", parseURL).must(),
		statusKey(),
		text1("body", "a text that must stand in the first MiB of the body", func(h *host.HTTPProbe) *string { return &h.Body }),
		absolute("ca", "a file with the certificates to trust, in place of the system's", func(h *host.HTTPProbe) *string { return &h.CA }),
		flag("insecure", "true: any certificate will do", func(h *host.HTTPProbe) *bool { return &h.Insecure }),
		flag("follow", "true: redirects are followed, five at most", func(h *host.HTTPProbe) *bool { return &h.Follow }),
	}}
}

// flag is a key that takes true or false.
func flag[T any](name, doc string, field func(*T) *bool) key[T] {
	k := truth(name, doc, nil, func(*T) **bool { return new(*bool) })
	k.read = func(r *reader, n *yaml.Node, into *T) {
		var value *bool
		truth(name, doc, nil, func(*T) **bool { return &value }).read(r, n, into)
		*field(into) = value != nil && *value
	}
	return k
}

func parseURL(text string, h *host.HTTPProbe) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q is no page: write http://HOST/… or https://HOST/…", text)
	case u.User != nil:
		return fmt.Errorf("a policy is no place for a password: write the address without it")
	case u.Fragment != "":
		return fmt.Errorf("%q: a server does not hear what stands behind #: write it without", text)
	}
	h.URL = text
	return nil
}

func statusKey() key[host.HTTPProbe] {
	doc := "the status that is expected; absent: 200"
	k := number("status", doc, func(*host.HTTPProbe) **int { return new(*int) })
	k.schema = schema{"type": "integer", "minimum": 100, "maximum": 599}
	k.read = func(r *reader, n *yaml.Node, into *host.HTTPProbe) {
		status, err := strconv.Atoi(n.Value)
		if n.Kind == yaml.AliasNode {
			return
		}
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || status < 100 || status > 599 {
			r.add(n, "status must be from 100 to 599, not "+kindOf(n), "one number: 200")
			return
		}
		into.Status = status
	}
	return k
}

func finishHTTP(r *reader, n *yaml.Node, h *host.HTTPProbe) {
	for _, name := range []string{"ca", "insecure"} {
		if at := valueOf(n, name); at != nil && strings.HasPrefix(h.URL, "http:") {
			r.add(at, name+" is for https", "remove the key, or write https")
		}
	}
	if h.Insecure && h.CA != "" {
		r.add(valueOf(n, "insecure"), "insecure and ca together", "with insecure nothing is verified: remove one of the two")
	}
}
