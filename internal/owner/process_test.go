package owner

import (
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

func TestARelayOfAManagerIsEndedThere(t *testing.T) {
	tests := map[string]struct {
		process *host.Process
		kind    string
	}{
		"docker-proxy":         {&host.Process{PID: 7, Exe: "/usr/bin/docker-proxy", HostExe: true}, "docker"},
		"rootless podman":      {&host.Process{PID: 7, Exe: "/usr/libexec/podman/rootlessport", HostExe: true}, "podman"},
		"only called that way": {&host.Process{PID: 7, Exe: "/usr/bin/docker-proxy"}, ""},
		"another":              {&host.Process{PID: 7, Exe: "/usr/bin/socat", HostExe: true}, ""},
		"no process":           {nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			row := host.Redirect{Mechanism: "relay", Process: tt.process}
			row.Owner = NewFinder().Of(&row)
			if tt.kind == "" {
				if row.Owner != nil || Advice(&row) != "" {
					t.Errorf("owner %v, advice %q", row.Owner, Advice(&row))
				}
				return
			}
			if row.Owner == nil || row.Owner.Kind != tt.kind || !strings.Contains(row.Owner.Evidence, tt.process.Exe) || !strings.Contains(strings.ToLower(Advice(&row)), tt.kind) {
				t.Errorf("owner %v, advice %q", row.Owner, Advice(&row))
			}
		})
	}
}
