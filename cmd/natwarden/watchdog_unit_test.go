package main

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A unit of another program would not watch: of a test binary it would run the tests.
func TestOnlyNatwardenWatchesAsAUnit(t *testing.T) {
	for path, want := range map[string]bool{
		"/usr/bin/natwarden": true, "/opt/natwarden-1.2/natwarden-1.2": true, "/usr/local/bin/natwarden_amd64": true,
		"/tmp/go-build1/natwarden.test": false, "/tmp/natwarden-x.test": false, "/usr/bin/natwarden (deleted)": false,
		"natwarden": false, "/usr/bin/other": false, "/usr/bin/natwardenx": false, "": false,
	} {
		if isNatwarden(path) != want {
			t.Errorf("%q: %v", path, !want)
		}
	}
	if path, err := installedAt(); err == nil {
		t.Errorf("this test would be run as a unit: %s", path)
	}
}

func TestArgumentsOfTheUnit(t *testing.T) {
	args := unitArgs("/usr/bin/natwarden", "20261123T052000Z-0000", "/var/lib/natwarden", "")
	tail := []string{"--", "/usr/bin/natwarden", "watchdog", "20261123T052000Z-0000", "--as-unit", "--state-dir", "/var/lib/natwarden"}
	if !slices.Equal(args[len(args)-len(tail):], tail) {
		t.Errorf("it does not run the watchdog: %q", args)
	}
	for where, again := range map[string]bool{"": true, "/proc/7/ns/net": false} {
		args := strings.Join(unitArgs("/usr/bin/natwarden", "x", "/s", where), "\n")
		if strings.Contains(args, "Restart=on-abnormal") != again || strings.Contains(args, "NetworkNamespacePath="+where) == again {
			t.Errorf("in network namespace %q: %s", where, args)
		}
	}
}

func TestNotify(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := notify(); err == nil {
		t.Error("nobody was told, and that is no error")
	}
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	if err := notify(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("%q %v", buf[:n], err)
	}
}
