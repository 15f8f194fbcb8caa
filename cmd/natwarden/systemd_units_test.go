package main

import (
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/lab"
)

const (
	socat  = "/usr/bin/socat TCP-LISTEN:PORT,fork,reuseaddr TCP:" + lab.BackendAddr + ":80"
	proxyd = "/lib/systemd/systemd-socket-proxyd " + lab.BackendAddr + ":80"
)

// relays are ways in which systemd can be made to answer for the backend.
var relays = []struct {
	name  string
	port  string
	units map[string]string // their files
	start string
	stops string // what the plan names
}{
	{"plain", "8080", map[string]string{"plain.service": "[Service]\nExecStart=" + socat}, "plain.service", "plain.service"},
	{"always restarted", "8081", map[string]string{"always.service": "[Service]\nRestart=always\nRestartSec=0\nExecStart=" + socat},
		"always.service", "always.service"},
	{"socket activated", "8082", map[string]string{"proxied.socket": "[Socket]\nListenStream=0.0.0.0:PORT",
		"proxied.service": "[Unit]\nRequires=proxied.socket\n[Service]\nExecStart=" + proxyd}, "proxied.socket", "proxied.socket with proxied.service"},
	{"enabled", "8083", map[string]string{"enabled.service": "[Service]\nExecStart=" + socat + "\n[Install]\nWantedBy=multi-user.target"},
		"enabled.service", "enabled.service"},
	{"forking", "8084", map[string]string{"forking.service": "[Service]\nType=forking\nPIDFile=/run/forking.pid\nExecStart=/bin/sh -c '" + socat + " & echo $! >/run/forking.pid'"},
		"forking.service", "forking.service"},
	{"template", "8085", map[string]string{"relay@.service": "[Service]\nExecStart=/usr/bin/socat TCP-LISTEN:%i,fork,reuseaddr TCP:" + lab.BackendAddr + ":80"},
		"relay@8085.service", "relay@8085.service"},
	{"needed by another", "8086", map[string]string{"needed.service": "[Service]\nExecStart=" + socat,
		"shop.service": "[Unit]\nRequires=needed.service\n[Service]\nExecStart=/bin/sleep infinity"}, "shop.service", "needed.service with shop.service"},
}

// stopsUnits holds that remediate stops the unit of a relay, that it stays
// stopped, and that rollback starts it again.
func stopsUnits(t *testing.T, m *machine) {
	backend, err := m.Backend.Greet(t.Context(), lab.BackendAddr+":80", "the backend")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	m.must(t, 0, "natwarden", "audit", "--policy", "builtin")
	for _, r := range relays {
		for name, text := range r.units {
			m.write(t, "etc/systemd/system/"+name, strings.ReplaceAll(text, "PORT", r.port)+"\n")
		}
	}
	m.must(t, 0, "systemctl", "daemon-reload")
	m.must(t, 0, "systemctl", "enable", "enabled.service")
	for _, r := range relays {
		t.Run(r.name, func(t *testing.T) {
			m.must(t, 0, "systemctl", "start", r.start)
			m.stopsAndStarts(t, r.port, r.stops)
			m.must(t, 0, append([]string{"systemctl", "stop"}, strings.Split(r.stops, " with ")...)...)
		})
	}
	t.Run("passing", m.sparesWhatVanishes)
}

// remedy is what remediate is asked here.
var remedy = []string{"natwarden", "remediate", "--policy", "builtin", "--include", "processes"}

func (m *machine) stopsAndStarts(t *testing.T, port, stops string) {
	t.Helper()
	soon(t, "the relay never answered", func() bool { return m.answers(t, port) == "the backend" })
	plan := m.must(t, 2, append(remedy, "--dry-run", "-o", "json")...)
	if !strings.Contains(plan, `"stop","object":"unit `+stops+`"`) || m.answers(t, port) != "the backend" {
		t.Fatalf("the plan does not stop %s, or was carried out: %s", stops, plan)
	}
	units := strings.Split(stops, " with ")
	m.must(t, 0, append(remedy, "--no-confirm", "--yes")...)
	if got := m.answers(t, port); got != "" {
		t.Errorf("the port still answers %q", got)
	}
	m.must(t, 0, "natwarden", "audit", "--policy", "builtin")
	m.must(t, 0, "natwarden", "rollback", "--yes")
	if out, code := m.run(t, append([]string{"systemctl", "is-active"}, units...)...); code != 0 {
		t.Errorf("not all of %v run again: %s", units, out)
	}
	soon(t, "the relay does not answer again", func() bool { return m.answers(t, port) == "the backend" })
	m.must(t, 2, "natwarden", "audit", "--policy", "builtin")
}

// sparesWhatVanishes holds that a unit that systemd forgets when it stops is not
// stopped, unless the user says that there needs to be no way back.
func (m *machine) sparesWhatVanishes(t *testing.T) {
	m.must(t, 0, append([]string{"systemd-run", "--quiet", "--unit=passing"}, strings.Fields(strings.ReplaceAll(socat, "PORT", "8090"))...)...)
	soon(t, "the relay never answered", func() bool { return m.answers(t, "8090") == "the backend" })
	said := m.must(t, 7, append(remedy, "--no-confirm", "--yes")...)
	if !strings.Contains(strings.Join(strings.Fields(said), " "), "vanishes when it stops") || m.answers(t, "8090") != "the backend" {
		t.Fatalf("it was stopped, or nothing says why not: %s", said)
	}
	m.must(t, 0, append(remedy, "--no-confirm", "--yes", "--irreversible")...)
	if got := m.answers(t, "8090"); got != "" {
		t.Errorf("the port still answers %q", got)
	}
}
