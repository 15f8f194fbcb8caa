package owner

import (
	"fmt"
	"path"

	"github.com/natwarden/natwarden/internal/host"
)

// ofProcess names the manager that starts such programs, one for each port
// that it publishes. Only the host's own file counts: a name is anybody's.
func ofProcess(p *host.Process) *host.Owner {
	if p == nil || !p.HostExe {
		return nil
	}
	kind := ""
	switch path.Base(p.Exe) {
	case "docker-proxy":
		kind = "docker"
	case "conmon", "rootlessport":
		kind = "podman"
	default:
		return nil
	}
	return &host.Owner{Kind: kind, Evidence: fmt.Sprintf("program %s (pid %d)", p.Exe, p.PID)}
}
