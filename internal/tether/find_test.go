package tether

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
)

// start runs a program, and what it starts, in the space for as long as the test lasts.
func start(t *testing.T, s labtest.Space, argv ...string) {
	t.Helper()
	s.MustDo(t, func(context.Context) error {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() })
		return nil
	})
}

// pidIn waits for the number that a program of the test writes.
func pidIn(t *testing.T, file string) int {
	t.Helper()
	for range 100 {
		if b, err := os.ReadFile(file); err == nil && strings.HasSuffix(string(b), "\n") {
			n, err := strconv.Atoi(strings.TrimSpace(string(b)))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the program did not start")
	return 0
}

func linesOf(t *testing.T, s labtest.Space, asked Asked) []host.Line {
	t.Helper()
	id, err := s.Handle().ID()
	if err != nil {
		t.Fatal(err)
	}
	asked.Labels, asked.Caller, asked.Remote = map[netns.ID]string{id: "lab"}, "ssh", "remote"
	var out []host.Line
	s.MustDo(t, func(ctx context.Context) error { out = Find(ctx, asked); return nil })
	return out
}

func find(lines []host.Line, words string) *host.Line {
	for i := range lines {
		if strings.Contains(lines[i].Words, words) {
			return &lines[i]
		}
	}
	return nil
}

func ready(t *testing.T, s labtest.Space, port string) {
	t.Helper()
	for range 100 {
		if strings.Contains(s.MustRun(t, "", "ss", "-Hltun"), ":"+port+" ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("nobody listens on " + port)
}

// A session that a program of the host has accepted, through another one that
// stands before it, as sslh does.
func TestASessionIsFoundThroughItsCarrier(t *testing.T) {
	s := labtest.New(t, "socat", "ss", "ip")
	s.MustRun(t, "", "ip", "link", "set", "lo", "up")
	file := t.TempDir() + "/pid"
	script := t.TempDir() + "/login.sh"
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho $$ >"+file+"\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, s, "socat", "TCP-LISTEN:2323,reuseaddr,fork", "EXEC:"+script)
	start(t, s, "socat", "TCP-LISTEN:4443,reuseaddr,fork", "TCP:127.0.0.1:2323")
	ready(t, s, "2323")
	ready(t, s, "4443")
	start(t, s, "sh", "-c", "sleep 60 | socat - TCP:127.0.0.2:4443,bind=127.0.0.9")
	lines := linesOf(t, s, Asked{PID: pidIn(t, file)})
	own := find(lines, "your session from")
	if own == nil || own.Here.String() != "127.0.0.1:2323" || own.Dialed || own.Guard != "ssh" || own.Netns != "lab" || !own.Placed || len(own.Processes) == 0 {
		t.Errorf("%+v", lines)
	}
	carrier := find(lines, "through which your session may come")
	if carrier == nil || carrier.Here.String() != "127.0.0.2:4443" || carrier.There.Addr().String() != "127.0.0.9" || carrier.Dialed || carrier.Guard != "ssh" {
		t.Errorf("%+v", lines)
	}
	if itself := find(lines, "natwarden itself"); itself == nil || itself.Proto != "" || len(itself.Processes) < 2 {
		t.Errorf("%+v", itself)
	}
}

// A client that has said all that it will say (ssh -n, a pipe that ended) still waits for
// the answer: its carrier's side of the session is half closed then.
func TestACarrierIsFoundWhereItHasClosedItsHalf(t *testing.T) {
	s := labtest.New(t, "socat", "ss", "ip")
	s.MustRun(t, "", "ip", "link", "set", "lo", "up")
	dir := t.TempDir()
	script := dir + "/login.sh"
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho $$ >"+dir+"/pid\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, s, "socat", "-t", "60", "TCP-LISTEN:2323,reuseaddr,fork", "EXEC:"+script)
	start(t, s, "socat", "-t", "60", "TCP-LISTEN:4443,reuseaddr,fork", "TCP:127.0.0.1:2323")
	ready(t, s, "2323")
	ready(t, s, "4443")
	start(t, s, "sh", "-c", "echo | socat -t 60 - TCP:127.0.0.2:4443,bind=127.0.0.9")
	pid := pidIn(t, dir+"/pid")
	for n := 0; !strings.Contains(s.MustRun(t, "", "ss", "-Htn", "state", "fin-wait-2"), ":2323"); n++ {
		if n > 200 {
			t.Fatal("the carrier does not close its half")
		}
		time.Sleep(20 * time.Millisecond)
	}
	lines := linesOf(t, s, Asked{PID: pid})
	if l := find(lines, "through which your session may come"); l == nil || l.Here.String() != "127.0.0.2:4443" {
		t.Errorf("%+v", lines)
	}
}

// An agent's connection is one that the host opened; what only answers there,
// and who is no agent, is none.
func TestAnAgentIsKnownByItsName(t *testing.T) {
	s := labtest.New(t, "socat", "ss", "ip")
	s.MustRun(t, "", "ip", "link", "set", "lo", "up")
	s.MustRun(t, "", "ip", "addr", "add", "192.0.2.1/32", "dev", "lo")
	agent := copyOf(t, "socat", t.TempDir()+"/salt-minion")
	start(t, s, "socat", "TCP-LISTEN:4506,reuseaddr,fork", "EXEC:cat")
	ready(t, s, "4506")
	start(t, s, "sh", "-c", "sleep 60 | "+agent+" - TCP:192.0.2.1:4506")
	start(t, s, "sh", "-c", "sleep 60 | socat - TCP:192.0.2.1:4506")
	var lines []host.Line
	for range 100 {
		if lines = linesOf(t, s, Asked{}); find(lines, "salt-minion") != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	l := find(lines, "salt-minion")
	if l == nil || !l.Dialed || l.Guard != "remote" || l.There.String() != "192.0.2.1:4506" || l.Netns != "lab" {
		t.Fatalf("%+v", lines)
	}
	n := 0
	for _, l := range lines {
		if l.Proto != "" && l.There.Port() == 4506 {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d connections are said to be an agent's: %+v", n, lines)
	}
}

// Whoever sits at a pseudo-terminal that no session is known of (systemd-run --pty, a
// terminal that outlived its session) may have come by any that stands.
func TestATerminalWithoutASessionTakesThemAll(t *testing.T) {
	s := labtest.New(t, "socat", "ss", "ip", "script", "setsid")
	s.MustRun(t, "", "ip", "link", "set", "lo", "up")
	dir := t.TempDir()
	sshd := copyOf(t, "socat", dir+"/sshd")
	start(t, s, sshd, "TCP-LISTEN:2323,reuseaddr,fork", "EXEC:sleep 60")
	ready(t, s, "2323")
	start(t, s, "sh", "-c", "sleep 60 | socat - TCP:127.0.0.2:2323,bind=127.0.0.9")
	for _, c := range []struct {
		name, shell string
		want        bool
	}{
		{"at a terminal", "setsid script -qec 'echo $$ >%s; exec sleep 60' /dev/null", true},
		{"without one", "setsid sh -c 'echo $$ >%s; exec sleep 60'", false},
	} {
		file := dir + "/pid " + c.name
		// The parents are gone, and with them whatever session this test was started from.
		start(t, s, "env", "-i", "PATH="+os.Getenv("PATH"), "sh", "-c", "("+fmt.Sprintf(c.shell, "'\"'\"'"+file+"'\"'\"'")+" </dev/null >/dev/null 2>&1 &)")
		pid := pidIn(t, file)
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		var l *host.Line
		for range 40 {
			if l = find(linesOf(t, s, Asked{PID: pid}), "by which you may have come to your terminal"); l != nil == c.want {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if (l != nil) != c.want {
			t.Errorf("%s: %+v", c.name, l)
		}
		if l != nil && (l.Guard != "ssh" || l.Here.String() != "127.0.0.2:2323" || l.Dialed) {
			t.Errorf("%s: %+v", c.name, l)
		}
	}
}

// copyOf is a program under another name.
func copyOf(t *testing.T, program, to string) string {
	t.Helper()
	exe, err := exec.LookPath(program)
	if err != nil {
		labtest.Unmet(t, err.Error())
	}
	b, err := os.ReadFile(exe)
	if err == nil {
		err = os.WriteFile(to, b, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}
