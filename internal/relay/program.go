package relay

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// program is a process as a relay may be read from it.
type program struct {
	pid  int
	name string // base name of its executable: what it is, whatever it calls itself
	exe  string // its path
	host bool   // that path is the host's own file
	args []string
	cwd  string // in its own root
	uid  uint32
	gids []uint32

	changed int64 // when the newest of the files that were read changed, in seconds since 1970
}

func sorted(s []string) []string { slices.Sort(s); return s }

func (p *program) proc(file string) string { return fmt.Sprintf("/proc/%d/%s", p.pid, file) }

// readProgram reads what a process runs. The executable's name is taken from
// the kernel, never from the arguments, which the process can set.
func readProgram(h *host.Process) (*program, error) {
	p := &program{pid: h.PID, name: programName(h.Exe), exe: h.Exe, host: h.HostExe}
	raw, err := os.ReadFile(p.proc("cmdline"))
	if err != nil {
		return nil, fmt.Errorf("reading the arguments of process %d: %w", p.pid, err)
	}
	p.args = arguments(raw)
	if p.cwd, err = os.Readlink(p.proc("cwd")); err != nil {
		p.cwd = "/"
	}
	if root, err := os.Readlink(p.proc("root")); err == nil && root != "/" {
		p.cwd = "/" + strings.TrimPrefix(strings.TrimPrefix(p.cwd, root), "/")
	}
	return p, p.identity()
}

// arguments splits /proc/PID/cmdline. Programs that rewrite their title leave
// one string; "nginx: master process nginx -c /x" is taken apart at its blanks.
func arguments(raw []byte) []string {
	raw = bytes.TrimRight(raw, "\x00 ")
	if len(raw) == 0 {
		return nil
	}
	if !bytes.ContainsRune(raw, 0) && bytes.Contains(raw, []byte(": ")) {
		return titled(strings.Fields(string(raw)))
	}
	return strings.Split(string(raw), "\x00")
}

// titled leaves "master process" out of "nginx: master process /usr/sbin/nginx
// -c x", so that the program stands first.
func titled(words []string) []string {
	for i, w := range words[:min(4, len(words))] {
		if i > 0 && words[i-1] == "process" && w != "process" {
			return words[i:]
		}
	}
	return words
}

// identity reads the effective user and groups (proc_pid_status(5)).
func (p *program) identity() error {
	raw, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return fmt.Errorf("reading the user of process %d: %w", p.pid, err)
	}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch {
		case key == "Uid" && len(fields) > 1:
			p.uid = number(fields[1])
		case key == "Gid" && len(fields) > 1:
			p.gids = append(p.gids, number(fields[1]))
		case key == "Groups":
			for _, f := range fields {
				p.gids = append(p.gids, number(f))
			}
		}
	}
	return nil
}

// number reads a decimal; what is none is the overflow user, who may nothing.
func number(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 65534
	}
	return uint32(n)
}

// option gives the value of an argument: "-f X", "-fX", "--file X", "--file=X".
func (p *program) option(names ...string) (string, bool) {
	for _, v := range p.options(names...) {
		return v, true
	}
	return "", false
}

// value is option, "" where it is not there.
func (p *program) value(names ...string) string {
	v, _ := p.option(names...)
	return v
}

// options gives every value of an argument that may be repeated.
func (p *program) options(names ...string) []string {
	var out []string
	for i := 1; i < len(p.args); i++ {
		for _, name := range names {
			value, found := optionValue(p.args, i, name)
			if found {
				out = append(out, value)
				break
			}
		}
	}
	return out
}

func optionValue(args []string, i int, name string) (string, bool) {
	a := args[i]
	switch {
	case a == name && i+1 < len(args):
		return args[i+1], true
	case len(name) > 2 && strings.HasPrefix(a, name+"="):
		return a[len(name)+1:], true
	case !strings.HasPrefix(name, "--") && len(name) == 2 && strings.HasPrefix(a, name) && len(a) > 2:
		return a[2:], true
	}
	return "", false
}
