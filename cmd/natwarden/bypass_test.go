package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/policy"
)

// server is a program that listens on the port of its argument, says so and
// waits for the end of its input. With a second argument it hands the socket to
// that program as well.
const server = `import socket,sys,os
s=socket.create_server(("0.0.0.0",int(sys.argv[1]))); s.set_inheritable(True)
if len(sys.argv)>2 and os.fork()==0: os.execv(sys.argv[2],[sys.argv[2],"-SEc","import sys; print('ready',flush=True); sys.stdin.read()"])
if len(sys.argv)<3: print("ready",flush=True)
sys.stdin.read()`

// Every entry allows port 2222 to the host's own sshd. What only looks like it
// is not allowed.
func TestBypassesOfTheAllowlist(t *testing.T) {
	python := programFile(t, "python3")
	dir := t.TempDir()
	sshd, other := filepath.Join(dir, "bin", "sshd"), filepath.Join(dir, "other")
	if err := os.Mkdir(filepath.Dir(sshd), 0o755); err != nil {
		t.Fatal(err)
	}
	copyFile(t, python, sshd)
	copyFile(t, python, other)
	container := fmt.Sprintf(`cp %[1]s %[2]s/c && mount -t tmpfs lab %[3]s && mv %[2]s/c %[1]s && exec %[1]s "$@"`, sshd, dir, filepath.Dir(sshd))
	for name, c := range map[string]struct {
		argv    []string
		argv0   string
		allowed bool
	}{
		"the host's own":                     {[]string{sshd}, "", true},
		"another program":                    {[]string{other}, "", false},
		"one that is renamed":                {[]string{other}, sshd, false},
		"a container's own":                  {[]string{"unshare", "-m", "sh", "-c", container, "sh"}, "", false},
		"one in a user namespace of its own": {[]string{"unshare", "-U", sshd}, "", false},
		"one that shares its socket":         {[]string{sshd, "-SEc", server, "2222", other}, "", false},
		"one that shares it with its like":   {[]string{sshd, "-SEc", server, "2222", sshd}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := labtest.New(t, "python3", "unshare")
			argv := c.argv
			if len(argv) < 3 || argv[1] != "-SEc" {
				argv = append(argv[:len(argv):len(argv)], "-SEc", server, "2222")
			}
			serve(t, s, argv, c.argv0)
			l := listenerOn(t, s, 2222, fmt.Sprintf("exe: %s", sshd))
			if (l.Verdict == host.Allowed) != c.allowed {
				t.Errorf("%s by %q, held by %+v", l.Verdict, l.AllowedBy, l.Processes)
			}
		})
	}
}

// serve runs a server in the space until the test ends.
func serve(t *testing.T, s labtest.Space, argv []string, argv0 string) {
	t.Helper()
	path, err := exec.LookPath(argv[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, argv[1:]...)
	if argv0 != "" {
		cmd.Args[0] = argv0
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	s.MustDo(t, func(context.Context) error { return cmd.Start() })
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	if n, _ := out.Read(make([]byte, 10)); n == 0 {
		t.Fatal("the server did not start")
	}
}

// listenerOn audits the space by a policy that allows a port under a
// condition, and gives the listener there.
func listenerOn(t *testing.T, s labtest.Space, port uint16, match string) host.Listener {
	t.Helper()
	text := fmt.Sprintf("version: 1\ndefaults: {listeners: deny}\nallow:\n  listeners:\n    - {id: ssh, reason: r, owner: o, permanent: true, match: {ports: %d, %s}}\n", port, match)
	pol, err := policy.Parse([]byte(text), "policy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	in, err := inputFor([]audit.Space{{Enter: s.Do}}, nil, []string{groupSockets})
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Run(t.Context(), in, pol, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Listeners {
		if l.Port == port {
			return l
		}
	}
	t.Fatalf("nobody listens on %d: %+v", port, r.Listeners)
	return host.Listener{}
}

// programFile is the file of a program, not a link to it.
func programFile(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		labtest.Unmet(t, "needs the program "+name)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(text), "#!") {
		path = "/usr/bin/python3" // a wrapper of some environment
	}
	return path
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
}
