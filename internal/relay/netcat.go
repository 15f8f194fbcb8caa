package relay

import (
	"fmt"
	"slices"
	"strings"
)

// netcatValued are the letters of options with a value, of openbsd's,
// traditional and nmap's netcat together.
const netcatValued = "iIMmOPpqsTVwWXxgGcedo"

// readNetcat reads what a listening netcat does with a connection: it runs a
// command (-e, -c, --sh-exec), is a proxy by itself (ncat --proxy-type), or is
// joined to another program by pipes, which kinship.go finds.
func readNetcat(p *program) ([]hop, error) {
	if !netcatListens(p.args) {
		return nil, nil
	}
	if _, ok := p.option("--proxy-type"); ok {
		return []hop{{kind: "proxy", how: "ncat --proxy-type", open: true}}, nil
	}
	if _, ok := p.option("--lua-exec"); ok {
		return []hop{{kind: "forwarder", how: "ncat runs a script for each connection"}}, errNoDestination
	}
	words, ok := netcatCommand(p)
	if !ok || plainCommand(words) {
		return nil, nil
	}
	w, ok := connector(words, 0)
	if !ok {
		return nil, nil // a server of its own; what it does is seen by its connections
	}
	return []hop{{kind: w.kind, how: "command of netcat: " + w.how, to: []destination{w.to}}}, nil
}

func netcatListens(args []string) bool {
	for _, a := range args[min(1, len(args)):] {
		short := strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") && strings.ContainsRune(cutValued(a), 'l')
		if short || a == "--listen" {
			return true
		}
	}
	return false
}

// cutValued gives the letters of a bundle of short options before the first
// that takes the rest as its value.
func cutValued(a string) string {
	if at := strings.IndexAny(a[1:], netcatValued); at >= 0 {
		return a[:at+2]
	}
	return a
}

// netcatCommand is the command line that netcat runs for a connection.
func netcatCommand(p *program) ([]string, bool) {
	if script, ok := p.option("-c", "--sh-exec"); ok {
		return []string{"sh", "-c", script}, true
	}
	if i := slices.IndexFunc(p.args, func(a string) bool { return a == "-e" || a == "-ee" }); i >= 0 && p.name == "busybox" && i+1 < len(p.args) {
		return p.args[i+1:], true // the rest of the line
	}
	command, ok := p.option("-e", "--exec")
	return shellWords(command), ok && command != ""
}

// netcatConnector reads netcat as the command of another.
func netcatConnector(args []string) (way, bool) {
	if netcatListens(append([]string{"nc"}, args...)) {
		return way{}, false
	}
	p := &program{args: append([]string{"nc"}, args...)}
	rest := operands(args, netcatValued)
	if slices.Contains(args, "-U") && len(rest) > 0 {
		return way{parseDestination("unix:"+rest[0], 0), "forwarder", "netcat"}, true
	}
	if len(rest) == 1 { // ncat has a default port
		rest = append(rest, "31337")
	}
	if len(rest) < 2 || parsePort(rest[1]) == 0 {
		return way{}, false
	}
	how := "netcat"
	if proxy, ok := p.option("-x", "--proxy"); ok {
		how = fmt.Sprintf("netcat through the proxy %s", parseDestination(proxy, 0))
	}
	return way{hostAndPort(rest[0], parsePort(rest[1])), "forwarder", how}, true
}
