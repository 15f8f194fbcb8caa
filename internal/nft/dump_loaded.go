package nft

import (
	"bufio"
	"bytes"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Loaded says whether nf_tables can be asked without loading a module into the
// kernel: asking would (request_module in net/netfilter/nfnetlink.c). Where that
// cannot be found out it is asked, because a wrong "no rules" is worse.
func Loaded() bool { return loadedUnder("/", kernelRelease()) }

func loadedUnder(root, release string) bool {
	modules, err := os.Open(root + "proc/modules")
	if err != nil {
		return true // not modular: there is nothing to load
	}
	defer modules.Close()
	if anyLine(modules, func(line []byte) bool { return bytes.HasPrefix(line, []byte("nf_tables ")) }) {
		return true
	}
	if _, err := os.Stat(root + "sys/module/nf_tables"); err == nil {
		return true
	}
	return builtIn(root, release)
}

// builtIn asks modules.builtin(5), or the kernel's symbols where that file
// cannot be read (in a container).
func builtIn(root, release string) bool {
	list, err := os.Open(root + "lib/modules/" + release + "/modules.builtin")
	if err == nil && release != "" {
		defer list.Close()
		return anyLine(list, func(line []byte) bool { return bytes.HasSuffix(line, []byte("/nf_tables.ko")) })
	}
	symbols, err := os.Open(root + "proc/kallsyms")
	if err != nil {
		return true
	}
	defer symbols.Close()
	return anyLine(symbols, func(line []byte) bool { return bytes.HasSuffix(line, []byte(" nft_register_expr")) })
}

func anyLine(f *os.File, match func([]byte) bool) bool {
	s := bufio.NewScanner(f)
	for s.Scan() {
		if match(s.Bytes()) {
			return true
		}
	}
	return s.Err() != nil // unreadable is not "no"
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	release := unix.ByteSliceToString(u.Release[:])
	if strings.Contains(release, "/") {
		return ""
	}
	return release
}
