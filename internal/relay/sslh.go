package relay

import (
	"strings"
)

// readSSLH reads sslh(8): every service that it may hand a connection to.
func readSSLH(p *program) ([]hop, error) {
	h := hop{proto: "tcp", kind: "proxy", how: "arguments of sslh"}
	mended := *p
	mended.args = rejoined(p.args)
	p = &mended
	for _, service := range []string{"--ssh", "--tls", "--ssl", "--http", "--openvpn", "--wireguard", "--tinc", "--xmpp", "--adb", "--socks5", "--rdp", "--syslog", "--msrdp", "--teamspeak", "--anyprot"} {
		for _, v := range p.options(service) {
			h.to = append(h.to, parseDestination(v, 0))
		}
	}
	if file, ok := p.option("-F", "--config"); ok {
		text, err := p.readFile(file)
		if err != nil {
			return []hop{h}, err
		}
		h.file, h.how = file, "configuration of sslh"
		h.to = append(h.to, sslhConfig(string(text))...)
		h.proto = "" // it may serve UDP as well
	}
	if len(h.to) == 0 {
		return []hop{h}, errNoDestination
	}
	return []hop{h}, nil
}

// rejoined mends arguments whose colons sslh overwrote with NUL while it read
// them: "127.0.0.1", "22" were one.
func rejoined(args []string) []string {
	var out []string
	for _, a := range args {
		last := len(out) - 1
		if last > 0 && parsePort(a) != 0 && !strings.HasPrefix(out[last], "-") && !strings.Contains(out[last], ":") {
			out[last] += ":" + a
			continue
		}
		out = append(out, a)
	}
	return out
}

// sslhConfig reads `host: "…"; port: "…";` pairs of the protocols section
// (libconfig syntax).
func sslhConfig(text string) []destination {
	text = uncommented(text, "#", "//")
	_, text, _ = strings.Cut(text, "protocols")
	var out []destination
	for _, group := range strings.Split(text, "}") {
		h, p := valueAfter(group, "host"), valueAfter(group, "port")
		switch {
		case strings.HasPrefix(h, "/"):
			out = append(out, parseDestination("unix:"+h, 0))
		case h != "" && p != "":
			out = append(out, hostAndPort(h, parsePort(p)))
		}
	}
	return out
}

// valueAfter gives the value of a key: "x", or a bare word.
func valueAfter(text, key string) string {
	_, rest, ok := strings.Cut(text, key)
	if !ok {
		return ""
	}
	rest = strings.TrimLeft(rest, " \t\r\n:=>\"")
	if end := strings.IndexAny(rest, "\";, \t\r\n)"); end >= 0 {
		rest = rest[:end]
	}
	return rest
}

// uncommented leaves out what follows a comment's sign in each line.
func uncommented(text string, signs ...string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		for _, sign := range signs {
			for at := 0; ; {
				i := strings.Index(line[at:], sign)
				if i < 0 {
					break
				}
				if i += at; i == 0 || strings.IndexByte(" \t;{}", line[i-1]) >= 0 {
					line = line[:i] + "\n"
					break
				}
				at = i + len(sign)
			}
		}
		b.WriteString(line)
	}
	return b.String()
}
