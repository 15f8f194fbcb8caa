package main

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/natwarden/natwarden/internal/lab"
)

// emptyTable is the table as a file that lacks the rule loads it.
var emptyTable = strings.ReplaceAll(table, "\t\ttcp dport 8080 dnat to "+lab.BackendAddr+":80\n", "")

// rebootsBeforeConfirmation holds that a change which waits when the host
// restarts is rolled back at boot by the packaged units, and without them by the next run.
func rebootsBeforeConfirmation(t *testing.T, m *machine) {
	for _, name := range []string{"natwarden-recover.service", "natwarden-recover-late.service"} {
		text, err := os.ReadFile("../../docs/systemd/" + name)
		if err != nil {
			t.Fatal(err)
		}
		m.write(t, "etc/systemd/system/"+name, string(text))
		if out := m.must(t, 0, "systemd-analyze", "verify", "/etc/systemd/system/"+name); out != "" {
			t.Errorf("systemd says of %s: %s", name, out)
		}
	}
	units := []string{"natwarden-recover.service", "natwarden-recover-late.service"}
	m.must(t, 0, append([]string{"systemctl", "enable", "nftables.service"}, units...)...)
	m.write(t, "etc/systemd/system/relay.service", "[Unit]\nAfter=network.target\n[Service]\nExecStart="+strings.ReplaceAll(socat, "PORT", "8081"))

	t.Run("the saved rules hold it", func(t *testing.T) {
		m.changes(t, table)
		m.reboot(t)
		m.isBack(t, "natwarden-recover", "it is as before the change")
		m.beforeTheNetwork(t)
	})
	t.Run("the saved rules lack it", func(t *testing.T) {
		m.changes(t, emptyTable)
		m.reboot(t)
		m.isBack(t, "natwarden-recover", "1 stand carried out on the host")
		m.beforeTheNetwork(t)
	})
	t.Run("the power fails", func(t *testing.T) {
		m.changes(t, emptyTable)
		_ = syscall.Kill(m.pid, syscall.SIGKILL) // process 1 of the machine, and so all of it
		<-m.down
		m.reboot(t)
		m.isBack(t, "natwarden-recover", "1 stand carried out on the host")
	})
	t.Run("a unit was stopped", func(t *testing.T) {
		m.must(t, 0, "systemctl", "start", "relay.service")
		m.changes(t, emptyTable, "--include", "processes")
		m.reboot(t)
		m.isBack(t, "natwarden-recover", "is left to the next natwarden recover")
		soon(t, "the relay is not back", func() bool { return m.answers(t, "8081") == "the backend" })
		m.must(t, 0, "systemctl", "is-active", "relay.service")
		m.must(t, 0, "systemctl", "stop", "relay.service")
	})
	t.Run("it was confirmed", func(t *testing.T) {
		m.changes(t, emptyTable)
		m.must(t, 0, "natwarden", "confirm")
		m.reboot(t)
		if got := m.answers(t, "8080"); got != "" {
			t.Errorf("it was confirmed, and is answered by %q again", got)
		}
	})
	t.Run("the units are not installed", func(t *testing.T) {
		m.must(t, 0, append([]string{"systemctl", "disable"}, units...)...)
		m.changes(t, emptyTable)
		m.reboot(t)
		if got := m.answers(t, "8080"); got != "" {
			t.Fatalf("it is answered by %q before anything was run", got)
		}
		m.must(t, 6, "natwarden", "recover")
		if got := m.answers(t, "8080"); got != "the backend" {
			t.Errorf("it is answered by %q", got)
		}
	})
}

// changes ends the redirect of a host whose file loads saved at boot; the change
// waits for its confirmation.
func (m *machine) changes(t *testing.T, saved string, more ...string) {
	t.Helper()
	m.write(t, "etc/nftables.conf", saved)
	if m.backend == nil {
		m.greets(t)
	}
	if out, err := m.Host.Run(t.Context(), "flush ruleset\n"+table, "nft", "-f", "-"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := m.answers(t, "8080"); got != "the backend" {
		t.Fatalf("the redirect is answered by %q", got)
	}
	m.must(t, 0, append([]string{"natwarden", "remediate", "--policy", "builtin", "--yes", "--no-wait", "--confirm-within", "1h"}, more...)...)
	if got := m.answers(t, "8080"); got != "" {
		t.Fatalf("the redirect was ended, and is answered by %q", got)
	}
}

// greets has the backend greet whoever comes.
func (m *machine) greets(t *testing.T) {
	t.Helper()
	var err error
	if m.backend, err = m.Backend.Greet(t.Context(), lab.BackendAddr+":80", "the backend"); err != nil {
		t.Fatal(err)
	}
}

// reboot powers the machine off where it is not off yet, and boots it again in new namespaces.
func (m *machine) reboot(t *testing.T) {
	t.Helper()
	_ = m.backend.Close()
	m.powerOff(t)
	m.boot(t)
	m.greets(t)
}

// isBack holds that the boot rolled back, and what its journal says of it.
func (m *machine) isBack(t *testing.T, unit, words string) {
	t.Helper()
	if got := m.answers(t, "8080"); got != "the backend" {
		t.Errorf("after the boot it is answered by %q", got)
	}
	if got := m.rules(t); got != table {
		t.Errorf("after the boot the rules are\n%s", got)
	}
	said := m.must(t, 0, "journalctl", "--boot", "--output=cat", "--no-pager", "--unit="+unit)
	if !strings.Contains(said, "was not confirmed before the host restarted") || !strings.Contains(said, words) {
		t.Errorf("the boot does not say how the host stood: %s", said)
	}
	soon(t, "the change is not at its end", func() bool {
		out, code := m.run(t, "natwarden", "recover")
		return code == 0 && strings.Contains(out, "NOTHING TO RECOVER")
	})
}

// beforeTheNetwork holds that the rules were back before the network could be up,
// and after the saved ones were loaded.
func (m *machine) beforeTheNetwork(t *testing.T) {
	t.Helper()
	when := func(unit, property string) string {
		out := strings.TrimSpace(m.must(t, 0, "systemctl", "show", "--value", "-p", property, unit))
		return strings.Repeat("0", 20-len(out)) + out
	}
	loaded, began := when("nftables.service", "ExecMainExitTimestampMonotonic"), when("natwarden-recover.service", "ExecMainStartTimestampMonotonic")
	ended, network := when("natwarden-recover.service", "ExecMainExitTimestampMonotonic"), when("network-pre.target", "ActiveEnterTimestampMonotonic")
	if loaded > began || began > ended || ended > network {
		t.Errorf("loaded %s, began %s, ended %s, network %s", loaded, began, ended, network)
	}
}
