package proc

import (
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/policy"
)

// A unit is what systemd's own instance runs, below system.slice at the root
// of the tree. A user's instance, or a container's, may run units of any name.
func TestUnitsOfTheSystemAlone(t *testing.T) {
	pol, err := policy.Parse([]byte("version: 1\ndefaults: {listeners: deny}\nallow:\n  listeners:\n    - {id: ssh, reason: r, owner: o, permanent: true, match: {ports: 22, unit: ssh.service}}\n"), "policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for group, want := range map[string]bool{
		"/system.slice/ssh.service":                                                  true,
		"/system.slice/system-ssh.slice/ssh.service":                                 true,
		"/user.slice/user-1000.slice/user@1000.service/app.slice/ssh.service":        false,
		"/user.slice/user-1000.slice/user@1000.service/system.slice/ssh.service":     false,
		"/user.slice/ssh.service":                                                    false,
		"/ssh.service":                                                               false,
		"/docker/" + id + "/system.slice/ssh.service":                                false,
		"/system.slice/docker-" + id + ".scope/system.slice/ssh.service":             false,
		"/machine.slice/machine-a.scope/system.slice/ssh.service":                    false,
		"/system.slice/user-made.service/system.slice/ssh.service":                   false,
		"/../system.slice/ssh.service":                                               false,
		"/system.slice/../user.slice/ssh.service":                                    false,
		"/lxc.payload.a/system.slice/ssh.service":                                    false,
		"/system.slice/ssh.service.d":                                                false,
		"/user.slice/user-1000.slice/session-1.scope/../../system.slice/ssh.service": false,
	} {
		m := parseCgroup("0::" + group + "\n")
		l := &host.Listener{Proto: "tcp", Address: "0.0.0.0", Port: 22, Processes: []host.Process{{PID: 7, Unit: m.unit, SystemUnit: m.system, Container: m.container}}}
		if verdict, _, _ := pol.JudgeListener(l, time.Now()); (verdict == host.Allowed) != want {
			t.Errorf("%s: %s (unit %q, of the system: %v)", group, verdict, m.unit, m.system)
		}
	}
}
