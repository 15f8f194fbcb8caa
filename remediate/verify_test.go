package remediate

import (
	"os"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

// A listener of a process that runs on is missed, unless process 1 held it for a
// unit and the plan stops one.
func TestListenersThatVanish(t *testing.T) {
	on := func(pids ...int) []host.Listener {
		l := host.Listener{Proto: "tcp", Address: "0.0.0.0", Port: 8080}
		for _, pid := range pids {
			l.Processes = append(l.Processes, host.Process{PID: pid})
		}
		return []host.Listener{l}
	}
	const never = 1 << 30 // no kernel gives such a pid
	for name, c := range map[string]struct {
		before []host.Listener
		stops  bool
		missed bool
	}{
		"its process ended":                       {on(never), false, false},
		"its process runs on":                     {on(os.Getpid()), false, true},
		"its process runs on, something stops":    {on(os.Getpid()), true, true},
		"process 1 held it":                       {on(1), false, true},
		"process 1 held it for what stops":        {on(1), true, false},
		"process 1 and another that runs on":      {on(1, os.Getpid()), true, true},
		"process 1 and one that ended, and stops": {on(1, never), true, false},
		"nobody is known":                         {on(), true, true},
	} {
		got := vanished(c.before, nil, c.stops)
		if (len(got) > 0) != c.missed {
			t.Errorf("%s: %q", name, got)
		}
		if still := vanished(c.before, c.before, c.stops); len(still) > 0 {
			t.Errorf("%s: it is still there: %s", name, strings.Join(still, "; "))
		}
	}
}
