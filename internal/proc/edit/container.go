package edit

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/change"
)

// containerTime is what an engine has to stop a container: docker and podman
// wait ten seconds before they kill.
const containerTime = time.Minute

// containerID is how docker and podman name a container in its control group:
// docker-ID.scope, /docker/ID, libpod-ID.scope.
var containerID = regexp.MustCompile(`(docker|libpod)[-/]([0-9a-f]{64})\b`)

// container fills an object with the container that a process runs in.
func (e Editor) container(ctx context.Context, o *change.Object, pid int) error {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return fmt.Errorf("process %d has ended: %w", pid, change.ErrStale)
	}
	return e.containerOf(ctx, o, string(text))
}

func (e Editor) containerOf(ctx context.Context, o *change.Object, cgroup string) error {
	found := containerID.FindAllStringSubmatch(cgroup, -1)
	if len(found) == 0 {
		return refuse("it runs in a container that neither docker nor podman made: stop it there")
	}
	m := found[len(found)-1]
	runtime := map[string]string{"docker": "docker", "libpod": "podman"}[m[1]]
	if e.engine(runtime) == "" {
		return refuse("it runs in container %s, and %s is not installed here", m[2][:12], runtime)
	}
	o.Kind, o.Text, o.Fingerprint = kindContainer, runtime+" container "+m[2][:12], "container "+m[2]
	o.Names = map[string]string{"runtime": runtime, "container": m[2]}
	removed, err := run(ctx, containerTime, e.engine(runtime), "inspect", "--type", "container", "--format", "{{.HostConfig.AutoRemove}}", m[2])
	if err != nil {
		return refuse("asking %s for container %s: %v", runtime, m[2][:12], err)
	}
	if strings.TrimSpace(removed) != "false" {
		o.Names[noWayBack] = "the container was run with --rm and is removed when it stops: it cannot be started again"
	}
	return nil
}

func (e Editor) engine(runtime string) string {
	switch runtime {
	case "docker":
		return e.Docker
	case "podman":
		return e.Podman
	}
	return ""
}

// runContainer stops or starts a container through its engine.
func (e Editor) runContainer(ctx context.Context, action, runtime, id string) error {
	program := e.engine(runtime)
	if program == "" {
		return fmt.Errorf("%q is not installed", runtime)
	}
	if len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "" {
		return fmt.Errorf("%q is no container's id", id)
	}
	_, err := run(ctx, containerTime, program, action, id)
	return err
}
