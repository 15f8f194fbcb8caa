package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/lab"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// TestContainersThatRelay holds that remediate stops the container of a relay
// through its engine, and that rollback starts it again.
func TestContainersThatRelay(t *testing.T) {
	t.Parallel()
	for engine, programs := range map[string][]string{"docker": {"docker", "dockerd"}, "podman": {"podman", "runc", "conmon"}} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			labtest.Partners(t, append(programs, "socat", "ldd", "ss")...)
			labtest.New(t, "unshare")
			triangle, err := lab.NewTriangle(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer triangle.Close()
			stopsContainers(t, triangle, engine)
		})
	}
}

func stopsContainers(t *testing.T, triangle *lab.Triangle, engine string) {
	backend, err := triangle.Backend.Greet(t.Context(), lab.BackendAddr+":80", "the backend")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	dir := t.TempDir()
	natwarden := filepath.Join(dir, "natwarden")
	if err := os.Symlink(testBinary(t), natwarden); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	said := make(chan string, 1)
	running, ended := context.WithCancel(ctx)
	go func() {
		defer ended()
		var out []byte
		_ = triangle.Host.Do(ctx, func(ctx context.Context) error { // how far it came shows in its files
			out, _ = exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
				"sh", "testdata/containers/host.sh", engine, dir, natwarden, lab.BackendAddr+":80").CombinedOutput()
			return nil
		})
		said <- string(out)
	}()
	answer := askWhenThere(running, triangle, filepath.Join(dir, "again"))
	if err := os.WriteFile(filepath.Join(dir, "asked"), nil, 0o600); err != nil {
		t.Error(err)
	}
	out := <-said
	if _, err := os.Stat(filepath.Join(dir, "done")); err != nil {
		t.Fatalf("it did not come to its end:\n%s%s", out, outcomes(dir))
	}
	if answer != "the backend" {
		t.Errorf("after the rollback the port is answered by %q", answer)
	}
	for name, want := range map[string]string{"found.code": "2", "spared.code": "2", "plan.code": "2", "planned": "running", "stop.code": "0", "stopped": "exited",
		"clean.code": "0", "start.code": "0", "started": "running", "again.code": "2", "passing.code": "7"} {
		if got := strings.TrimSpace(string(fileOf(t, dir, name))); got != want {
			t.Errorf("%s: %s, want %s\n%s", name, got, want, outcomes(dir))
		}
	}
	if text := string(fileOf(t, dir, "plan.out")); !strings.Contains(text, "stop container "+engine+" container") {
		t.Errorf("the plan does not stop the container: %s", text)
	}
}

// askWhenThere asks the relay from outside, once a file is there.
func askWhenThere(ctx context.Context, triangle *lab.Triangle, file string) string {
	for ctx.Err() == nil {
		if _, err := os.Stat(file); err == nil {
			greeting, err := triangle.Client.Ask(ctx, lab.HostAddr+":8080")
			if err != nil {
				return err.Error()
			}
			return greeting
		}
		time.Sleep(50 * time.Millisecond)
	}
	return "nobody"
}

// outcomes are what natwarden said, for the reader of a failure.
func outcomes(dir string) string {
	var b strings.Builder
	for _, name := range []string{"spared", "plan", "stop", "clean", "start", "again", "passing"} {
		for _, end := range []string{".code", ".err", ".out"} {
			text, _ := os.ReadFile(filepath.Join(dir, name+end)) // it may not have come so far
			b.WriteString(name + end + ": " + string(text[:min(len(text), 2000)]) + "\n")
		}
	}
	return b.String()
}
