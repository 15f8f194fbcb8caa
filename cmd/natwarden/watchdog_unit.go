package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/netns"
)

// A transient unit stands in system.slice, outside of the session from which
// natwarden was called: it outlives the session's scope (KillUserProcesses, "loginctl
// terminate-session"), the user's manager, and whatever kills processes by their parents. systemd
// starts it again when it is killed.

// errNoSystemd says that the host is not one of systemd's.
var errNoSystemd = errors.New("systemd does not run here")

// booted is there where systemd is process 1 (sd_booted(3)).
const booted = "/run/systemd/system"

// exitTime is what systemd-run may take beyond the start of its unit.
const exitTime = 5 * time.Second

// watchAsUnit has systemd run the watchdog and returns when it watches, that
// is when it has seen the same change and the same network namespaces.
func watchAsUnit(ctx context.Context, change, stateDir string) error {
	if st, err := os.Lstat(booted); err != nil || !st.IsDir() {
		return errNoSystemd
	}
	program, err := installedAt()
	if err != nil {
		return err
	}
	runner, err := systemdRun()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, runner, unitArgs(program, change, stateDir, namespacePath())...)
	cmd.Env = []string{"PATH=" + systemPath, "LC_ALL=C"}
	cmd.Dir, cmd.WaitDelay = "/", time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("starting unit %s: %w: %s", unitName(change), err, bytes.TrimSpace(out))
	}
	return nil
}

func unitName(change string) string { return "natwarden-confirm-" + change + ".service" }

// unitArgs are the arguments of systemd-run(1). Stopping the unit, as every
// shutdown does, kills the watchdog at once: it ignores SIGTERM, and what it watches is then
// rolled back after the boot. With Type=notify systemd-run waits for the watchdog's word.
func unitArgs(program, change, stateDir, netns string) []string {
	args := []string{"--quiet", "--collect", "--no-ask-password", "--unit=" + unitName(change),
		"--description=roll natwarden change " + change + " back unless it is confirmed"}
	properties := []string{"Type=notify", "NotifyAccess=main", "KillSignal=SIGKILL", fmt.Sprintf("TimeoutStartSec=%d", int(readyTime.Seconds()))}
	if netns == "" {
		properties = append(properties, "Restart=on-abnormal", "StartLimitIntervalSec=0")
	} else { // the path is there only as long as this process is: it cannot be started again
		properties = append(properties, "NetworkNamespacePath="+netns)
	}
	for _, p := range properties {
		args = append(args, "--property="+p)
	}
	return append(args, "--", program, watchdogVerb, change, "--as-unit", "--state-dir", stateDir)
}

// installedAt is the file of this program, where systemd finds it again.
func installedAt() (string, error) {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("finding natwarden's own file: %w", err)
	}
	if !isNatwarden(path) {
		return "", fmt.Errorf("natwarden's own file is not there under its name: %q", path)
	}
	return path, nil
}

// isNatwarden tells natwarden, natwarden-1.2 and natwarden_amd64 from what would
// do something else as a unit: another program that holds it (a test), a file that was deleted.
func isNatwarden(path string) bool {
	rest, ok := strings.CutPrefix(filepath.Base(path), "natwarden")
	return ok && filepath.IsAbs(path) && !strings.HasSuffix(path, " (deleted)") && !strings.HasSuffix(path, ".test") &&
		(rest == "" || rest[0] == '-' || rest[0] == '_')
}

// systemdRun finds systemd-run.
func systemdRun() (string, error) {
	for _, path := range []string{"/usr/bin/systemd-run", "/bin/systemd-run"} {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", errors.New("systemd-run is not installed")
}

// namespacePath is the path of this network namespace where it may not be that of
// process 1, in which units run; "" where it is.
func namespacePath() string {
	own := fmt.Sprintf("/proc/%d/ns/net", os.Getpid())
	here, err := netns.Current()
	if err != nil {
		return own
	}
	defer here.Close()
	first, err := netns.Open("/proc/1/ns/net")
	if err != nil {
		return own
	}
	defer first.Close()
	a, errA := here.ID()
	b, errB := first.ID()
	if errors.Join(errA, errB) != nil || a != b {
		return own
	}
	return ""
}

// notify tells systemd that this process is ready (sd_notify(3)).
func notify() error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return errors.New("NOTIFY_SOCKET is not set: systemd did not start this")
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling systemd that the watchdog watches: %w", err)
	}
	_, err = conn.Write([]byte("READY=1"))
	return errors.Join(err, conn.Close())
}
