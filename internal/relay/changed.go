package relay

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/proc"
)

// clockTicks is USER_HZ, in which the kernel tells start times on every
// architecture that Go runs on (include/asm-generic/param.h).
const clockTicks = 100

// startSlack is how exact the time of boot is, which is told in whole seconds.
const startSlack = 2 * time.Second

// changedSince says whether a configuration changed after the process had
// started that read it: what it runs may then be another. Programs that start
// workers anew for a new configuration are asked by their workers.
func (p *program) changedSince(pid int) error {
	switch p.name {
	case "nginx", "openresty", "angie", "apache2", "httpd", "haproxy", "lighttpd", "rinetd":
	default:
		return nil
	}
	began, ok := startOf(pid)
	if !ok || p.changed == 0 || !time.Unix(p.changed, 0).After(began.Add(startSlack)) {
		return nil
	}
	return fmt.Errorf("its configuration was changed after it had started: what it runs may be another; reload %s", p.name)
}

// startOf is when a process started (proc_pid_stat(5)).
func startOf(pid int) (time.Time, bool) {
	life, err := proc.LifeOf(pid)
	if err != nil {
		return time.Time{}, false
	}
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, false
	}
	for line := range strings.Lines(string(raw)) {
		if text, ok := strings.CutPrefix(line, "btime "); ok {
			boot, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			return time.Unix(boot, 0).Add(time.Duration(life.Start) * time.Second / clockTicks), err == nil
		}
	}
	return time.Time{}, false
}
