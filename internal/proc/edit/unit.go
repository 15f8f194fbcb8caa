package edit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/proc"
)

const (
	unitTime = 90 * time.Second // systemd's own default for stopping
	askTime  = 10 * time.Second
)

// unit fills an object with a unit and all that stops with it or would start it
// again, so that the way back starts just these.
func (e Editor) unit(ctx context.Context, o *change.Object, unit string) error {
	if !isUnit(unit) || e.Systemctl == "" {
		return refuse("%q cannot be stopped here: systemctl is not installed, or it is no unit", unit)
	}
	units, final, err := e.together(ctx, unit)
	if err != nil {
		return err
	}
	o.Kind, o.Text, o.Fingerprint = kindUnit, strings.Join(units, " with "), "unit "+strings.Join(units, " ")
	o.Names = map[string]string{"units": strings.Join(units, " ")}
	if final != "" {
		o.Names[noWayBack] = final
	}
	return nil
}

// isOfUnit says whether stopping a unit is the way to end a process: not where
// the unit only keeps what others started (cron, sshd, dockerd), and never where
// natwarden runs inside.
func (e Editor) isOfUnit(ctx context.Context, l proc.Life, unit string, own map[int]bool) bool {
	d := proc.NewDescriber(nil)
	for pid := range own {
		if p, err := d.Describe(ctx, pid); err == nil && pid > 1 && p.Unit == unit {
			return false
		}
	}
	text, err := e.ask(ctx, unit, "MainPID")
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid == 0 || pid == l.PID {
		return true
	}
	first, err := proc.LifeOf(pid)
	return err != nil || first.Exe == l.Exe || !keeper(first.Exe)
}

// keeper says of a program that it runs what others ask it to.
func keeper(exe string) bool {
	switch strings.TrimSuffix(path.Base(exe), " (deleted)") {
	case "sshd", "cron", "crond", "atd", "anacron", "dockerd", "containerd", "podman", "crio", "kubelet", "systemd", "login", "agetty",
		"libvirtd", "lxd", "incusd", "supervisord", "xinetd", "inetd", "runsvdir", "jenkins", "gitlab-runner", "salt-minion", "puppet", "ansible":
		return true
	}
	return false
}

// isUnit keeps odd names from being read as options or as several.
func isUnit(name string) bool {
	return !strings.HasPrefix(name, "-") && !strings.ContainsAny(name, " /\t\n*?[") &&
		slices.Contains([]string{".service", ".socket", ".path", ".timer"}, path.Ext(name))
}

// ask gives a property of a unit.
func (e Editor) ask(ctx context.Context, unit, property string) (string, error) {
	if e.Systemctl == "" {
		return "", errors.New("systemctl is not installed")
	}
	out, err := run(ctx, askTime, e.Systemctl, "show", "-p", property, "--value", "--", unit)
	return strings.TrimSpace(out), err
}

// runUnits stops or starts units in one transaction, whose order is systemd's
// own: a socket that is started after its service is refused.
func (e Editor) runUnits(ctx context.Context, action string, units []string) error {
	if e.Systemctl == "" {
		return errors.New("systemctl is not installed")
	}
	if len(units) == 0 || slices.ContainsFunc(units, func(u string) bool { return !isUnit(u) }) {
		return fmt.Errorf("%q are no units that natwarden stops or starts", units)
	}
	if action == change.Start {
		// Else a unit that was started often of late (StartLimitBurst) is refused
		// now. What has not failed is an error here, and none.
		_, _ = run(ctx, askTime, e.Systemctl, append([]string{"reset-failed", "--"}, units...)...)
	}
	_, err := run(ctx, unitTime, e.Systemctl, append([]string{action, "--"}, units...)...)
	return err
}

// run runs a program with little of an environment and gives what it printed.
func run(ctx context.Context, limit time.Duration, program string, args ...string) (string, error) {
	ctx, done := context.WithTimeout(ctx, limit)
	defer done()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "HOME=/root"}
	cmd.WaitDelay = time.Second
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", path.Base(program), strings.Join(args, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return out.String(), nil
}

// installed gives the first of these paths that is a program; "" for none.
func installed(paths ...string) string {
	for _, p := range paths {
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() {
			return p
		}
	}
	return ""
}
