package relay

import (
	"strconv"
	"strings"
)

func decimal(port uint16) string { return strconv.Itoa(int(port)) }

// readInetd reads inetd.conf(5): lines of [ADDR:]SERVICE TYPE PROTO WAIT USER
// PROGRAM ARGS. Those whose program connects elsewhere relay.
func readInetd(p *program) ([]hop, error) {
	file := "/etc/inetd.conf"
	if rest := operands(p.args[min(1, len(p.args)):], "qR"); len(rest) > 0 && rest[len(rest)-1] != "inetd" {
		file = rest[len(rest)-1]
	}
	b, err := p.readFile(file)
	if err != nil {
		return nil, err
	}
	services := p.services()
	var out []hop
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 6 || strings.HasPrefix(f[0], "#") {
			continue
		}
		proto := strings.TrimRight(f[2], "46")
		h := hop{proto: proto, kind: "forwarder", how: "line of inetd's configuration", file: file, listen: parseListen(inetdService(services, f[0], proto))}
		words := f[5:]
		switch {
		case strings.HasSuffix(f[5], "/tcpd"): // runs what argv[0] names
			words = f[6:]
		case len(f) > 6: // the program, then its arguments from argv[0] on
			words = append([]string{f[5]}, f[7:]...)
		}
		w, ok := connector(words, 0)
		if h.serves = !ok; ok {
			h.kind, h.to, h.how = w.kind, []destination{w.to}, h.how+": "+w.how
		}
		out = append(out, h)
	}
	return out, nil
}

// inetdService writes "addr:name" with the name's port.
func inetdService(services services, text, proto string) string {
	at := strings.LastIndexByte(text, ':') + 1
	return text[:at] + decimal(services.port(text[at:], proto))
}
