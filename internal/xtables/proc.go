package xtables

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procNet is the calling thread's network namespace. /proc/net is that of the
// main thread, which may stand elsewhere.
const procNet = "/proc/thread-self/net/"

// tableNames reads which tables of a kind exist, without creating any.
// loaded is false where the kernel has no such subsystem.
func tableNames(file string) (names []string, loaded bool, err error) {
	text, err := os.ReadFile(procNet + file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading which tables exist: %w", err)
	}
	return strings.Fields(string(text)), true, nil
}

// ebtablesInUse names the tables of ebtables-legacy that may hold rules. The
// kernel lists them nowhere and creates the table that one asks for, so only
// its modules can be looked at.
func ebtablesInUse() []string {
	modules, _ := os.ReadFile("/proc/modules") // absent in a kernel without modules
	used := modulesInUse(string(modules))
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return used
	}
	builtin, _ := os.ReadFile("/lib/modules/" + unix.ByteSliceToString(name.Release[:]) + "/modules.builtin")
	return append(used, builtinTables(string(builtin))...)
}

// modulesInUse names the tables whose modules are in use, as /proc/modules
// tells: that is so exactly while some namespace has rules in the table
// (do_replace_finish in net/bridge/netfilter/ebtables.c).
func modulesInUse(modules string) []string {
	var used []string
	for line := range strings.Lines(modules) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[0], "ebtable_") {
			continue
		}
		if n, err := strconv.Atoi(fields[2]); err != nil || n > 0 {
			used = append(used, strings.TrimPrefix(fields[0], "ebtable_"))
		}
	}
	return used
}

// builtinTables names the tables that are part of the kernel image, as
// modules.builtin tells. Their use shows nowhere.
func builtinTables(list string) []string {
	var tables []string
	for line := range strings.Lines(list) {
		base := strings.TrimSpace(line[strings.LastIndexByte(line, '/')+1:])
		if table, ok := strings.CutPrefix(base, "ebtable_"); ok {
			table, _, _ = strings.Cut(table, ".")
			tables = append(tables, table)
		}
	}
	return tables
}
