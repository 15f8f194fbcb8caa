package proc

import (
	"path"
	"strings"
)

// membership is where a process stands in the cgroup tree, in the words of
// whoever made the groups.
type membership struct {
	unit      string // systemd unit, "" where none
	container string // name or first 12 digits of the id, "" where none
	system    bool   // the unit is below system.slice at the root of the tree
}

// parseCgroup reads /proc/PID/cgroup (cgroups(7)): lines of
// hierarchy:controllers:path. systemd speaks in the unified hierarchy ("0::")
// or in its own ("name=systemd"); container engines without systemd in any.
func parseCgroup(text string) membership {
	var m membership
	var rest []string
	for line := range strings.Lines(text) {
		hierarchy, after, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, group, ok := strings.Cut(after, ":")
		switch {
		case !ok || !strings.HasPrefix(group, "/"):
		case hierarchy == "0" && controllers == "" || controllers == "name=systemd":
			m.join(group)
		default:
			rest = append(rest, group)
		}
	}
	for _, group := range rest {
		if m.container == "" {
			m.container = containerOf(strings.Split(group, "/"))
		}
	}
	return m
}

// join takes what a path of systemd's tells, unless it is known already.
func (m *membership) join(group string) {
	parts := strings.Split(strings.TrimPrefix(group, "/"), "/")
	if m.unit == "" {
		m.unit = unitOf(parts)
		m.system = m.unit != "" && parts[0] == "system.slice"
	}
	if m.container == "" {
		m.container = containerOf(parts)
	}
}

// unitOf is the first part below the slices (systemd, cg_path_get_unit). The
// scope that a container engine makes for a container is no unit of its own.
func unitOf(parts []string) string {
	for _, p := range parts {
		p = strings.TrimPrefix(p, "_") // systemd's escape for names that the kernel reserves
		switch path.Ext(p) {
		case ".slice":
			continue
		case ".service", ".socket", ".mount", ".swap":
			return p
		case ".scope":
			if containerPart(p) == "" {
				return p
			}
		}
		return ""
	}
	return ""
}

// containerOf is the innermost container that a path names.
func containerOf(parts []string) string {
	name := ""
	for i, p := range parts {
		if c := containerPart(p); c != "" {
			name = c
		}
		if i > 0 && (parts[i-1] == "lxc" || parts[i-1] == "lxc.payload") && p != "" {
			name = p
		}
	}
	return name
}

// containerPart is the container that one part of a path names:
//
//	docker-ID.scope  libpod-ID.scope  libpod-payload-ID  crio-ID.scope  cri-containerd-ID.scope
//	ID (below docker, kubepods, …)  SLICE:cri-containerd:ID
//	machine-NAME.scope  systemd-nspawn@NAME.service  lxc.payload.NAME
//
// where ID is 64 hex digits.
func containerPart(p string) string {
	if name, ok := strings.CutPrefix(p, "lxc.payload."); ok {
		return name
	}
	if name, ok := within(p, "machine-", ".scope"); ok {
		return unescapeUnit(name)
	}
	if name, ok := within(p, "systemd-nspawn@", ".service"); ok {
		return unescapeUnit(name)
	}
	p = strings.TrimSuffix(p, ".scope")
	if i := strings.LastIndexAny(p, "-:"); i >= 0 {
		p = p[i+1:]
	}
	if len(p) != 64 || strings.Trim(p, "0123456789abcdef") != "" {
		return ""
	}
	return p[:12]
}

func within(s, prefix, suffix string) (string, bool) {
	s, ok := strings.CutPrefix(s, prefix)
	s, ok2 := strings.CutSuffix(s, suffix)
	return s, ok && ok2 && s != ""
}

// unescapeUnit reads systemd's escapes of unit names (systemd-escape(1)):
// \x2d for "-".
func unescapeUnit(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if hi, lo := 0, 0; strings.HasPrefix(s[i:], `\x`) && i+3 < len(s) {
			if hi, lo = hexDigit(s[i+2]), hexDigit(s[i+3]); hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func hexDigit(c byte) int { return strings.IndexByte("0123456789abcdef", c) }
