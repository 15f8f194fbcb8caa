package sock

import (
	"bufio"
	"bytes"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// modules says which kernel modules are loaded or built in. The zero value is
// a kernel that cannot load any: everything that it has is there.
type modules struct {
	modular bool
	present map[string]bool
}

// have says whether asking for what these modules do loads none of them.
func (m modules) have(names []string) bool {
	for _, n := range names {
		if m.modular && !m.present[n] {
			return false
		}
	}
	return true
}

// presentModules reads /proc/modules and the kernel's list of what is built
// in. A kernel without /proc/modules cannot load any (CONFIG_MODULES).
func presentModules() modules {
	loaded, err := os.ReadFile("/proc/modules")
	if os.IsNotExist(err) {
		return modules{}
	}
	builtin, _ := os.ReadFile(path.Join("/lib/modules", kernelRelease(), "modules.builtin"))
	return modules{modular: true, present: parseModules(loaded, builtin)}
}

// parseModules reads /proc/modules ("tcp_diag 16384 0 - Live …", proc(5)) and
// modules.builtin ("kernel/net/ipv4/tcp_diag.ko", depmod(8)).
func parseModules(loaded, builtin []byte) map[string]bool {
	present := map[string]bool{}
	for line := range bytes.Lines(loaded) {
		name, _, _ := strings.Cut(string(line), " ")
		present[strings.ReplaceAll(name, "-", "_")] = true
	}
	for line := range bytes.Lines(builtin) {
		name := strings.TrimSuffix(path.Base(strings.TrimSpace(string(line))), ".ko")
		present[strings.ReplaceAll(name, "-", "_")] = true
	}
	return present
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// registered reads which protocols the kernel has (/proc/net/protocols: the
// name is the first field). nil: it could not be read, so all may be there.
func registered() map[string]bool {
	f, err := os.Open("/proc/thread-self/net/protocols")
	if err != nil {
		return nil
	}
	defer f.Close()
	known := map[string]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 0 {
			known[fields[0]] = true
		}
	}
	if lines.Err() != nil || !known["TCP"] {
		return nil
	}
	return known
}
