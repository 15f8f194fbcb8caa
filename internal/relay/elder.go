package relay

import (
	"debug/elf"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

// elder gives the eldest process of a line that runs the same program: workers
// have the arguments of their master, or a title of their own.
func elder(h *host.Process) *host.Process {
	out := *h
	for range deepestFamily {
		parent := parentOf(out.PID)
		if parent <= 1 || !sameProgram(out.PID, parent) {
			break
		}
		out.PID = parent
	}
	return &out
}

// sameProgram says whether two processes run the same file. Shells and
// interpreters do as well, which no reader is for.
func sameProgram(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Stat(fmt.Sprintf("/proc/%d/exe", a), &x) == nil && unix.Stat(fmt.Sprintf("/proc/%d/exe", b), &y) == nil && x.Ino == y.Ino && x.Dev == y.Dev
}

func programName(exe string) string {
	return strings.TrimSuffix(path.Base(exe), " (deleted)")
}

// disguised are the programs that are recognized under another name, by the
// identity that the linker gave them (the .note.gnu.build-id section).
func disguised() []string {
	return []string{"/usr/bin/socat", "/usr/bin/socat1", "/usr/sbin/haproxy", "/usr/sbin/nginx", "/usr/sbin/rinetd", "/usr/sbin/redsocks", "/usr/bin/stunnel4", "/usr/bin/stunnel",
		"/usr/sbin/sslh", "/usr/sbin/sslh-select", "/usr/bin/ssh", "/usr/bin/ncat", "/usr/bin/nc.openbsd", "/usr/bin/nc.traditional", "/usr/sbin/docker-proxy", "/usr/bin/docker-proxy",
		"/usr/sbin/squid", "/usr/sbin/xinetd", "/usr/sbin/hitch", "/usr/sbin/varnishd", "/usr/bin/busybox", "/bin/busybox", "/usr/sbin/tinyproxy", "/usr/lib/systemd/systemd-socket-proxyd", "/lib/systemd/systemd-socket-proxyd"}
}

// installed maps the identities of the installed programs to their names.
func installed() map[string]string {
	out := map[string]string{}
	for _, file := range disguised() {
		if id := buildID(file); id != "" {
			out[id] = path.Base(file)
		}
	}
	return out
}

// trueName gives the name of the installed program that a process runs a copy
// of; else its own.
func (f *finder) trueName(p *program) string {
	if f.installed == nil {
		f.installed = installed()
	}
	if id := buildID(p.proc("exe")); id != "" && f.installed[id] != "" {
		return f.installed[id]
	}
	return p.name
}

// buildID reads the identity of an ELF file; "" where it has none. Only regular
// files are opened.
func buildID(file string) string {
	st, err := os.Stat(file)
	if err != nil || !st.Mode().IsRegular() {
		return ""
	}
	f, err := elf.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	s := f.Section(".note.gnu.build-id")
	if s == nil || s.Size > 256 {
		return ""
	}
	b, err := s.Data()
	if err != nil {
		return ""
	}
	return string(b)
}
