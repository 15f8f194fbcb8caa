// Package kmod says which kernel modules are there, so that reading the host
// loads none: opening a netlink subsystem or asking for a socket family may
// (request_module). It looks only; it loads, unloads and configures nothing.
// natwarden is a program, not a library.
package kmod

import (
	"bytes"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Modules is what is loaded or built in. The zero value is a kernel that
// cannot load modules: what it has is there.
type Modules struct {
	modular bool
	unsure  bool
	present map[string]bool
}

// Read looks at /proc/modules (proc(5)) and at the kernel's list of what is
// built in. A kernel without /proc/modules has no modules (CONFIG_MODULES).
func Read() Modules {
	loaded, err := os.ReadFile("/proc/modules")
	if os.IsNotExist(err) {
		return Modules{}
	}
	builtin, err := os.ReadFile(path.Join("/lib/modules", release(), "modules.builtin"))
	return Modules{modular: true, unsure: err != nil, present: parse(loaded, builtin)}
}

// Of is a kernel with modules of which exactly these are loaded; for tests of
// those who ask.
func Of(names ...string) Modules {
	m := Modules{modular: true, present: map[string]bool{}}
	for _, n := range names {
		m.present[n] = true
	}
	return m
}

// Have says whether asking for what all these modules do surely loads none.
func (m Modules) Have(names ...string) bool {
	for _, n := range names {
		if m.modular && !m.present[n] {
			return false
		}
	}
	return true
}

// Unsure says whether it is not known what is built in, as in a container
// without the host's /lib/modules: a module that Have misses may be there.
func (m Modules) Unsure() bool { return m.unsure }

// parse reads /proc/modules ("tcp_diag 16384 0 - Live …") and modules.builtin
// ("kernel/net/ipv4/tcp_diag.ko", depmod(8)). A dash in a file's name is an
// underscore in the module's.
func parse(loaded, builtin []byte) map[string]bool {
	present := map[string]bool{}
	for line := range bytes.Lines(loaded) {
		name, _, _ := strings.Cut(string(line), " ")
		present[name] = true
	}
	for line := range bytes.Lines(builtin) {
		name := strings.TrimSuffix(path.Base(strings.TrimSpace(string(line))), ".ko")
		present[strings.ReplaceAll(name, "-", "_")] = true
	}
	return present
}

func release() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}
