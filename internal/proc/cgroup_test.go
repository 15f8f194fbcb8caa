package proc

import (
	"strings"
	"testing"
)

func TestCgroups(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	short := id[:12]
	for _, c := range []struct {
		text            string
		unit, container string
		system          bool
	}{
		{"0::/\n", "", "", false},
		{"", "", "", false},
		{"0::/system.slice/nginx.service\n", "nginx.service", "", true},
		{"0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service", "", true},
		{"0::/system.slice/_cpu.service\n", "cpu.service", "", true},
		{"12:pids:/system.slice/a.service\n1:name=systemd:/system.slice/nginx.service\n0::/\n", "nginx.service", "", true},
		{"1:name=systemd:/\n0::/system.slice/nginx.service\n", "nginx.service", "", true},
		// no hierarchy but systemd's tells of units
		{"4:memory:/system.slice/sshd.service\n0::/\n", "", "", false},
		{"0::/init.scope\n", "init.scope", "", false},
		{"0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope", "", false},
		{"0::/user.slice/user-1000.slice/user@1000.service/app.slice/sshd.service\n", "user@1000.service", "", false},
		// not at the root of the tree
		{"0::/x/system.slice/sshd.service\n", "", "", false},
		{"0::/user.slice/system.slice/sshd.service\n", "sshd.service", "", false},
		{"0::/../system.slice/sshd.service\n", "", "", false},
		{"0::/system.slice/docker-" + id + ".scope\n", "", short, false},
		{"0::/docker/" + id + "\n", "", short, false},
		{"4:memory:/docker/" + id + "\n1:name=systemd:/docker/" + id + "\n", "", short, false},
		{"4:memory:/docker/" + id + "\n0::/\n", "", short, false},
		{"0::/docker/" + id + "/system.slice/sshd.service\n", "", short, false},
		{"0::/machine.slice/libpod-" + id + ".scope/container\n", "", short, false},
		{"0::/system.slice/web.service/libpod-payload-" + id + "\n", "web.service", short, true},
		{"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab_c.slice/cri-containerd-" + id + ".scope\n", "", short, false},
		{"0::/kubepods/burstable/podabc/" + id + "\n", "", short, false},
		{"0::/kubepods.slice/crio-" + id + ".scope\n", "", short, false},
		{"0::/system.slice/containerd.service/kubepods-x.slice:cri-containerd:" + id + "\n", "containerd.service", short, true},
		{"0::/lxc.payload.web/system.slice/sshd.service\n", "", "web", false},
		{"0::/lxc/web/init.scope\n", "", "web", false},
		{"0::/machine.slice/machine-a\\x2db.scope\n", "", "a-b", false},
		{"0::/machine.slice/systemd-nspawn@web.service/payload\n", "systemd-nspawn@web.service", "web", false},
		{"0::/docker/" + id[:63] + "g\n", "", "", false},
		{"0::system.slice/x.service\nnonsense\n::\n", "", "", false},
	} {
		if got, want := parseCgroup(c.text), (membership{c.unit, c.container, c.system}); got != want {
			t.Errorf("%q: %+v, want %+v", c.text, got, want)
		}
	}
}

func FuzzCgroup(f *testing.F) {
	f.Add("0::/system.slice/nginx.service\n")
	f.Add("1:name=systemd:/machine.slice/machine-a\\x2db.scope\n")
	f.Fuzz(func(t *testing.T, text string) {
		m := parseCgroup(text)
		if m.system && !strings.Contains(text, ":/system.slice/") {
			t.Errorf("%q is no unit of the system: %+v", text, m)
		}
	})
}
