package relay

import (
	"path"
	"slices"
	"strings"
)

// proxydValued are the options of systemd-socket-proxyd(8) with a value.
func proxydDestination(args []string) (destination, bool) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "-c" || a == "--connections-max" || a == "--exit-idle-time":
			i++
		case !strings.HasPrefix(a, "-"):
			return parseDestination(a, 80), true
		}
	}
	return destination{}, false
}

// readSocketProxyd reads systemd-socket-proxyd(8), and the activator that
// holds the socket until the first connection.
func readSocketProxyd(p *program) ([]hop, error) {
	args := p.args
	if p.name == "systemd-socket-activate" {
		rest := operands(args[min(1, len(args)):], "lEd")
		w, ok := connector(rest, 0)
		if !ok {
			return nil, nil
		}
		return []hop{{kind: w.kind, how: "systemd-socket-activate: " + w.how, to: []destination{w.to}}}, nil
	}
	h := hop{kind: "forwarder", how: "argument of systemd-socket-proxyd"}
	d, ok := proxydDestination(args[min(1, len(args)):])
	if !ok {
		return []hop{h}, errNoDestination
	}
	h.to = []destination{d}
	return []hop{h}, nil
}

// unitFolders are where systemd.unit(5) looks, first found first taken.
func unitFolders() []string {
	return []string{"/etc/systemd/system", "/run/systemd/system", "/run/systemd/generator", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
}

// readSystemd reads the socket units of systemd, which holds their sockets
// until somebody comes: does the service that they start connect elsewhere?
func readSystemd(p *program) ([]hop, error) {
	var out []hop
	seen := map[string]bool{}
	for _, dir := range unitFolders() {
		names, err := p.list(dir)
		if err != nil {
			continue // not every folder is there
		}
		for _, name := range sorted(names) {
			if !strings.HasSuffix(name, ".socket") || seen[name] {
				continue
			}
			seen[name] = true
			out = append(out, p.socketUnit(dir, name)...)
		}
	}
	return out, nil
}

// unitText reads a unit with its drop-ins.
func (p *program) unitText(name string) (string, bool) {
	text, found := "", false
	for _, dir := range unitFolders() {
		if b, err := p.readFile(path.Join(dir, name)); err == nil && !found {
			text, found = string(b), true
		}
	}
	for _, dir := range unitFolders() {
		if more, err := p.configs(path.Join(dir, name+".d"), "*.conf"); err == nil {
			text += "\n" + strings.Join(more, "\n")
		}
	}
	return text, found
}

func (p *program) socketUnit(dir, name string) []hop {
	text, ok := p.unitText(name)
	if !ok {
		return nil
	}
	keys := unitKeys(text)
	base := strings.TrimSuffix(name, ".socket")
	service := keys.one("service")
	if service == "" && keys.one("accept") == "yes" || keys.one("accept") == "true" {
		service = base + "@.service"
	}
	if service == "" {
		service = base + ".service"
	}
	w, relays := p.serviceWay(service)
	var out []hop
	for _, key := range []string{"listenstream", "listendatagram"} {
		for _, at := range keys.keys[key] {
			h := hop{proto: "tcp", listen: parseListen(at), kind: w.kind, how: "unit " + name + " starts " + service + ": " + w.how, file: path.Join(dir, name), unit: name, serves: !relays}
			if key == "listendatagram" {
				h.proto = "udp"
			}
			if relays {
				h.to = []destination{w.to}
			}
			out = append(out, h)
		}
	}
	return out
}

// serviceWay says where the command of a service leads. An instance takes the
// text of its template.
func (p *program) serviceWay(name string) (way, bool) {
	text, ok := p.unitText(name)
	instance := ""
	if at := strings.IndexByte(name, '@'); !ok && at >= 0 {
		instance = strings.TrimSuffix(name[at+1:], ".service")
		text, ok = p.unitText(name[:at+1] + ".service")
	}
	if !ok {
		return way{}, false
	}
	starts := unitKeys(text).keys["execstart"]
	slices.Reverse(starts) // a drop-in's stands last, and counts
	for _, start := range starts {
		start = strings.NewReplacer("%i", instance, "%I", instance).Replace(strings.TrimLeft(start, "-@+!:"))
		if w, ok := connector(shellWords(start), 0); ok {
			return w, true
		}
	}
	return way{}, false
}

// unitKeys reads the keys of a unit's text, of all sections together
// (systemd.syntax(7)); an empty value forgets the ones before.
func unitKeys(text string) section {
	out := section{keys: map[string][]string{}}
	for _, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		line = strings.TrimSpace(line)
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		key, value = strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value)
		if value == "" {
			delete(out.keys, key)
			continue
		}
		out.keys[key] = append(out.keys[key], value)
	}
	return out
}
