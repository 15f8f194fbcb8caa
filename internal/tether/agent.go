package tether

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/natwarden/natwarden/internal/proc"
)

// isAgent knows the programs that manage a host from elsewhere.
func isAgent(name string) bool {
	return slices.Contains([]string{
		"puppet", "pxp-agent", "mcollectived", "choria", // Puppet
		"salt-minion", "salt-call", "salt-proxy",
		"chef-client", "cinc-client",
		"cf-agent", "cf-execd", "cf-serverd", "rudder", "rudder-agent", "rudderd", "rudder-relayd", // CFEngine, Rudder
		"mgmt", "ansible-pull", "ansible-playboo", "ansible-playbook", "bcfg2", "otter-agent",
		"amazon-ssm-agent", "ssm-agent-worker", "google_guest_agent", "waagent", "walinuxagent",
		"landscape-client", "uyuni-agent", "venv-salt-minion", "goferd", "rhsmcertd", "insights-client", "qemu-ga", "teleport", "tailscaled",
		"kubelet",
	}, name)
}

// agents adds the connections of the agents that run at the moment, and of the
// programs that read disks and file systems. An agent that only calls now and then has
// none between, and cannot be seen.
func (f *finder) agents(ctx context.Context) {
	f.each(ctx, func(pid int) {
		words := f.agent(pid)
		if words == "" {
			return
		}
		n := 0
		for _, s := range f.heldBy(ctx, pid) {
			if s.listens || !s.connected() || s.there.Addr().IsLoopback() || n >= mostLines {
				continue
			}
			n++
			dialed := !f.accepted(&s)
			f.add(f.asked.Remote, fmt.Sprintf("the connection of %s %s", words, ends(&s, dialed)), s, dialed, pid)
		}
	})
}

// agent says what a process is called, with what it does for the host; "" where it is
// none of those that count.
func (f *finder) agent(pid int) string {
	own := names(pid)
	words := fmt.Sprintf("%s (pid %d)", first(own), pid)
	switch {
	case slices.ContainsFunc(own, isAgent), slices.ContainsFunc(scripts(pid), isAgent):
		return words
	case slices.ContainsFunc(own, isStorage):
		return words + ", by which a file system or disk is read,"
	case slices.Contains(own, "ssh"): // sshfs has ssh hold its connection
		if life, err := proc.LifeOf(pid); err == nil && slices.ContainsFunc(names(life.Parent), isStorage) {
			return words + ", by which a file system is read,"
		}
	}
	return ""
}

// each visits the processes that can be seen, but natwarden itself.
func (f *finder) each(ctx context.Context, visit func(pid int)) {
	dir, err := os.Open("/proc")
	if err != nil {
		return
	}
	defer dir.Close()
	entries, err := dir.Readdirnames(-1)
	if err != nil {
		return
	}
	slices.Sort(entries)
	for _, e := range entries {
		if pid, err := strconv.Atoi(e); err == nil && pid > 1 && pid != f.asked.PID && ctx.Err() == nil {
			visit(pid)
		}
	}
}
