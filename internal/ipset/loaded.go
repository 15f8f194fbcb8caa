package ipset

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// loaded says whether ipset can be asked without the kernel loading a module:
// nfnetlink_rcv_msg requests the module of a subsystem that is not there. On a
// kernel without modules, or where that cannot be found out, asking is safe.
func loaded(root string) bool {
	if _, err := os.Stat(filepath.Join(root, "sys/module/ip_set")); err == nil {
		return true // loaded, or built in: the module has parameters
	}
	f, err := os.Open(filepath.Join(root, "proc/modules"))
	if err != nil {
		return true
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "ip_set ") {
			return true
		}
	}
	return lines.Err() != nil
}
