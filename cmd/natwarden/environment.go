package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// systemPath is where the programs that natwarden runs stand; it never takes
// a PATH from whoever called it.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// scrubEnvironment takes away what could make a library or a child look at
// something else than this host: HOST_PROC and its like redirect gopsutil,
// XTABLES_LIBDIR and LD_PRELOAD put foreign code into iptables, a locale
// changes what is parsed, ZONEINFO what a time zone is, SSL_CERT_FILE
// whose certificates are believed.
func scrubEnvironment() error {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !misleads(name) {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return fmt.Errorf("removing %s from the environment: %w", name, err)
		}
	}
	for name, value := range map[string]string{"PATH": systemPath, "LC_ALL": "C"} {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("setting %s in the environment: %w", name, err)
		}
	}
	return nil
}

// startAgain replaces the program by itself where the environment holds what is
// read before main runs, and so cannot be taken away here: NLDEBUG, with which
// the netlink library prints every message and panics at those that it does not
// know, the Go runtime's GODEBUG, and the dynamic linker's LD_*.
func startAgain() error {
	environment := os.Environ()
	clean := slices.DeleteFunc(slices.Clone(environment), func(pair string) bool { return early(pair) })
	if len(clean) == len(environment) {
		return nil
	}
	if err := unix.Exec("/proc/self/exe", os.Args, clean); err != nil {
		return fmt.Errorf("starting again without NLDEBUG, GODEBUG and LD_* (is /proc mounted?): %w", err)
	}
	return nil
}

func early(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	return name == "NLDEBUG" || name == "GODEBUG" || strings.HasPrefix(name, "LD_")
}

func misleads(name string) bool {
	for _, prefix := range []string{"HOST_", "XTABLES_", "LD_", "LC_", "IPTABLES_", "EBTABLES_", "NFT_", "BASH_", "SSL_CERT_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "IFS", "ENV", "LANG", "LANGUAGE", "TMPDIR", "ZONEINFO":
		return true
	}
	return false
}
