package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/lab"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

const table = `table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		tcp dport 8080 dnat to ` + lab.BackendAddr + `:80
	}
}
`

// endings are what can happen to a change that waits, on a host of systemd's to
// which one came by ssh: words for a shell in the machine.
var endings = map[string]string{
	"natwarden is killed":          "kill -9 $(pgrep -f '^natwarden remediate')",
	"its parent is killed":         "p=$(pgrep -f '^natwarden remediate'); kill -9 -$(ps -o pgid= $p | tr -d ' '); kill -9 $(ps -o sid= $p)",
	"sshd is killed":               "pkill -9 sshd",
	"the session's scope stops":    "systemctl stop $(systemctl list-units --plain --no-legend 'session-*.scope' | cut -d' ' -f1)",
	"the user is terminated":       "loginctl terminate-user root; systemctl stop user@0.service",
	"all of natwarden is killed":   "pkill -9 natwarden",
	"the watchdog alone is killed": "pkill -9 -f 'natwarden watchdog'; pkill -9 -f '^natwarden remediate'",
}

// confirmsUnderSystemd holds that a change which nobody confirms is rolled back,
// wherever it was made and whoever can watch, and that one that is confirmed stays.
func confirmsUnderSystemd(t *testing.T, m *machine) {
	before := m.letIn(t)
	t.Run("in another network namespace", m.rollsBackElsewhere)
	t.Run("no unit can watch", func(t *testing.T) { m.watchesAllTheSame(t, before) })
	t.Run("the terminal is gone", func(t *testing.T) {
		m.waits(t, "5s").hangUp()
		m.rolledBack(t, before)
	})
	t.Run("the terminal is gone and a new session confirms", func(t *testing.T) {
		m.waits(t, "1m").hangUp()
		err := m.Client.Do(t.Context(), func(context.Context) error {
			out, err := m.ssh("natwarden confirm").CombinedOutput()
			t.Logf("%s", out)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		soon(t, "the watchdog is still there", func() bool {
			return m.must(t, 0, "systemctl", "list-units", "--all", "--plain", "--no-legend", "natwarden-confirm-*") == ""
		})
		if got := m.answers(t, "8080"); got != "" {
			t.Errorf("it was confirmed, and is answered by %q again", got)
		}
		m.must(t, 0, "natwarden", "recover")
	})
}

// rollsBackWhatIsKilled holds that a change is rolled back whatever is killed.
func rollsBackWhatIsKilled(t *testing.T, m *machine) {
	before := m.letIn(t)
	for name, ending := range endings {
		t.Run(name, func(t *testing.T) {
			m.must(t, 0, "systemctl", "start", "ssh")
			s := m.waits(t, "5s")
			defer s.hangUp()
			_ = m.inside("sh", "-c", ending).Run() // it may end what runs it
			m.rolledBack(t, before)
		})
	}
}

// letIn starts sshd, where root may come in from the client by a key, and gives
// the machine its redirect; it says how the rules read then.
func (m *machine) letIn(t *testing.T) (rules string) {
	t.Helper()
	m.greets(t)
	t.Cleanup(func() { m.backend.Close() })
	labtest.Partners(t, "ssh", "ssh-keygen")
	key := filepath.Join(filepath.Dir(m.root), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	m.must(t, 0, "mkdir", "-m", "0700", "-p", "/root/.ssh", "/etc/systemd/logind.conf.d")
	m.write(t, "root/.ssh/authorized_keys", string(public))
	m.write(t, "etc/systemd/logind.conf.d/harsh.conf", "[Login]\nKillUserProcesses=yes\n")
	m.must(t, 0, "ssh-keygen", "-A")
	m.must(t, 0, "systemctl", "restart", "systemd-logind")
	m.must(t, 0, "systemctl", "start", "ssh")
	return m.load(t)
}

// ssh is a session of the client on the machine, with a terminal.
func (m *machine) ssh(command string) *exec.Cmd {
	return exec.Command("ssh", "-tt", "-F", "/dev/null", "-i", filepath.Join(filepath.Dir(m.root), "key"),
		"-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
		"root@"+lab.HostAddr, command)
}

// load gives the machine its redirect, and says how its rules read.
func (m *machine) load(t *testing.T) string {
	t.Helper()
	if out, err := m.Host.Run(t.Context(), table, "nft", "-f", "-"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := m.answers(t, "8080"); got != "the backend" {
		t.Fatalf("the redirect is answered by %q", got)
	}
	return m.rules(t)
}

func (m *machine) rules(t *testing.T) string {
	t.Helper()
	out, err := m.Host.Run(t.Context(), "", "nft", "list", "ruleset")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// session is an ssh session in which natwarden waits.
type session struct {
	cmd  *exec.Cmd
	said *locked
	once sync.Once
}

// hangUp kills the client, and so takes the terminal away.
func (s *session) hangUp() {
	s.once.Do(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
}

type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// waits remediates from a new ssh session, and returns as soon as the change
// waits for its confirmation: watched by a unit, and not answered any more.
func (m *machine) waits(t *testing.T, within string) *session {
	t.Helper()
	s := &session{cmd: m.ssh("natwarden remediate --policy builtin --yes --confirm-within " + within), said: &locked{}}
	s.cmd.Stdout, s.cmd.Stderr = s.said, s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := s.cmd.StdinPipe() // stays open as long as the session
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	if err := m.Client.Do(t.Context(), func(context.Context) error { return s.cmd.Start() }); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(20 * time.Second); !strings.Contains(s.said.String(), "unless you confirm"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("it does not wait for a confirmation: %s", s.said)
		}
	}
	if strings.Contains(s.said.String(), "systemd does not run") || m.answers(t, "8080") != "" {
		t.Fatalf("it is no unit that watches, or the port is still answered: %s", s.said)
	}
	if out := m.must(t, 0, "systemctl", "list-units", "--plain", "--no-legend", "natwarden-confirm-*"); !strings.Contains(out, "running") {
		t.Fatalf("no unit watches: %q", out)
	}
	return s
}

// rolledBack waits until the machine is as it was before.
func (m *machine) rolledBack(t *testing.T, before string) {
	t.Helper()
	soon(t, "it is not rolled back", func() bool { return m.answers(t, "8080") == "the backend" })
	if after := m.rules(t); after != before {
		t.Errorf("rolled back to\n%s\nnot to\n%s", after, before)
	}
	soon(t, "the change is not at its end", func() bool {
		out, code := m.run(t, "natwarden", "recover")
		return code == 0 && strings.Contains(out, "NOTHING TO RECOVER")
	})
}

// rollsBackElsewhere holds that the unit watches the network namespace in which
// natwarden was called, and no other.
func (m *machine) rollsBackElsewhere(t *testing.T) {
	m.must(t, 0, "ip", "netns", "add", "inner")
	m.write(t, "etc/inner.nft", strings.ReplaceAll(table, "8080", "8088"))
	m.must(t, 0, "ip", "netns", "exec", "inner", "nft", "-f", "/etc/inner.nft")
	list := []string{"ip", "netns", "exec", "inner", "nft", "list", "ruleset"}
	before, outside := m.must(t, 0, list...), m.rules(t)
	said := m.must(t, 0, "ip", "netns", "exec", "inner", "natwarden", "remediate", "--policy", "builtin", "--netns", "current",
		"--yes", "--no-wait", "--confirm-within", "3s")
	if now := m.must(t, 0, list...); now == before || strings.Contains(said, "systemd does not run") {
		t.Fatalf("it was not changed, or is not watched by a unit: %s\n%s", now, said)
	}
	soon(t, "it is not rolled back", func() bool { return m.must(t, 0, list...) == before })
	if now := m.rules(t); now != outside {
		t.Errorf("the rules of another network namespace were changed:\n%s\n%s", outside, now)
	}
	soon(t, "the change is not at its end", func() bool {
		_, code := m.run(t, "ip", "netns", "exec", "inner", "natwarden", "recover")
		return code == 0
	})
}

// watchesAllTheSame holds that a process watches where no unit can: systemd
// would not start one, or would start one that does not see the change.
func (m *machine) watchesAllTheSame(t *testing.T, before string) {
	for name, prepare := range map[string]string{
		"systemd-run fails":            "mount --bind /bin/false /usr/bin/systemd-run",
		"the state is not to be found": "mkdir -p /var/lib/natwarden && mount -t tmpfs -o mode=700 none /var/lib/natwarden",
	} {
		out, err := m.inside("unshare", "--mount", "sh", "-c", prepare+
			" && natwarden remediate --policy builtin --yes --no-wait --confirm-within 2s").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "systemd does not run the watchdog, a process of its own does") {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		soon(t, name+": it is not rolled back", func() bool { return m.answers(t, "8080") == "the backend" })
		if after := m.rules(t); after != before {
			t.Errorf("%s: rolled back to\n%s\nnot to\n%s", name, after, before)
		}
		soon(t, name+": the watchdog goes on", func() bool { return m.inside("pgrep", "-f", "natwarden watchdog").Run() != nil })
	}
}
