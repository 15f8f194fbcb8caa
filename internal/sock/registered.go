package sock

import (
	"bufio"
	"os"
	"strings"
)

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
