//go:build amd64

package trial

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab/fault"
)

// processes is a host on which programs relay: one of a unit, which can be
// started again, and one that nobody started, which cannot.
func processes() *world {
	m := &manager{running: map[string]*exec.Cmd{}, relays: relays()}
	w := &world{name: "processes", links: m.links, build: m.build, more: m.mark, leave: m.leave, changes: 2, undone: 2,
		change: append(changing("routes", "processes"), "--irreversible"),
		middle: signals()}
	for _, p := range phasesOf(w) {
		switch p.name {
		case "remediate", "rollback", "recover":
			p.name += " with processes"
			p.stride = beyondStride
			w.phases = append(w.phases, p)
		}
	}
	return w
}

// signals waits for the signal to the process: the rule is gone then, and the
// unit is stopped. The Go runtime tries that call out before there is a journal.
func signals() func(fault.Call) bool {
	begun := false
	return func(c fault.Call) bool {
		begun = begun || strings.HasSuffix(c.Object, "/journal")
		if !begun || c.Name != "pidfd_send_signal" {
			return false
		}
		begun = false // the run ends here
		return true
	}
}

// relays are the programs, by the unit that runs them; "" for the one that no
// unit knows. In a cgroup namespace of anybody's no unit is believed, and without
// systemctl none is stopped.
func relays() map[string][]string {
	out := map[string][]string{"": {"/usr/bin/socat", "TCP-LISTEN:7001,reuseaddr,fork", "TCP:10.77.2.2:81"}}
	_, err := os.Stat("/usr/bin/systemctl")
	if space, _ := os.Readlink("/proc/self/ns/cgroup"); err == nil && space == "cgroup:[4026531835]" { // PROC_CGROUP_INIT_INO
		out["relay.service"] = []string{"/usr/bin/socat", "TCP-LISTEN:7000,reuseaddr,fork", "TCP:10.77.2.2:80"}
	}
	return out
}

// manager stands in for systemd: it runs units, and answers systemctl. That
// programs are its children, not those of the natwarden that is traced, is as with systemd.
type manager struct {
	relays  map[string][]string
	mu      sync.Mutex
	running map[string]*exec.Cmd
}

// systemctl hands its words to the manager.
const systemctl = "#!/bin/sh\nexec /usr/bin/socat -t 60 - UNIX-CONNECT:/run/manager <<END\n$*\nEND\n"

func (m *manager) links(b *bench) {
	b.Helper()
	linksOnce(b)
	for name, text := range map[string]string{"/run/systemctl": systemctl, "/run/cgroup": "0::/system.slice/relay.service\n"} {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			b.Fatal(err)
		}
	}
	if m.relays["relay.service"] != nil {
		if err := unix.Mount("/run/systemctl", "/usr/bin/systemctl", "", unix.MS_BIND, ""); err != nil {
			b.Fatal(err)
		}
	}
	l, err := net.Listen("unix", "/run/manager")
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			m.serve(c)
		}
	}()
	b.Cleanup(func() { l.Close(); m.leave() })
}

// leave ends all that runs, for the world that follows.
func (m *manager) leave() {
	for unit := range m.relays {
		m.stop(unit)
	}
}

// serve answers one systemctl.
func (m *manager) serve(c net.Conn) {
	defer c.Close()
	line, _ := bufio.NewReader(c).ReadString('\n') // what is torn is no verb
	words := strings.Fields(line)
	if len(words) < 2 {
		return
	}
	unit := words[len(words)-1]
	switch words[0] {
	case "stop":
		m.stop(unit)
	case "start":
		fmt.Fprint(c, m.start(unit))
	case "show":
		for _, property := range strings.Split(words[2], ",") {
			value := m.property(unit, property)
			if !slices.Contains(words, "--value") {
				value = property + "=" + value
			}
			fmt.Fprintln(c, value)
		}
	}
}

func (m *manager) property(unit, name string) string {
	pid := m.pid(unit)
	switch {
	case name == "LoadState":
		return "loaded"
	case name == "Transient":
		return "no"
	case name == "MainPID":
		return fmt.Sprint(pid)
	case name == "ActiveState" && pid == 0:
		return "inactive"
	case name == "ActiveState":
		return "active"
	}
	return ""
}

// pid is the process of a unit; 0 where it does not run.
func (m *manager) pid(unit string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if cmd := m.running[unit]; cmd != nil && syscall.Kill(cmd.Process.Pid, 0) == nil {
		return cmd.Process.Pid
	}
	return 0
}

// start runs a unit's program unless it runs.
func (m *manager) start(unit string) (problem string) {
	if m.pid(unit) != 0 {
		return ""
	}
	argv := m.relays[unit]
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err.Error()
	}
	m.mu.Lock()
	m.running[unit] = cmd
	m.mu.Unlock()
	go func() { _ = cmd.Wait() }() // how it ends is of no matter
	if unit == "" {
		return ""
	}
	if err := unix.Mount("/run/cgroup", fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid), "", unix.MS_BIND, ""); err != nil {
		return err.Error()
	}
	return ""
}

func (m *manager) stop(unit string) {
	m.mu.Lock()
	cmd := m.running[unit]
	m.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Kill() // it may have ended
	eventually(func() bool { return m.pid(unit) == 0 })
}

func (m *manager) build(b *bench) {
	b.Helper()
	must(b.T, "flush ruleset\n"+housePart, "nft -f -")
	for _, family := range []string{"", "6"} {
		must(b.T, "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", "ip"+family+"tables-legacy-restore")
	}
	buildRoutes(b.T)
	for unit := range m.relays {
		if problem := m.start(unit); problem != "" {
			b.Fatal(problem)
		}
	}
	if !eventually(func() bool { return strings.Count(must(b.T, "", "ss -Htln"), ":700") == len(m.relays) }) {
		b.Fatal("not all relays listen")
	}
}

// housePart is a rule that is removed beside the processes.
const housePart = `
table ip nat {
	chain pre {
		type nat hook prerouting priority -100
		tcp dport 80 dnat to 10.77.2.2:8080
		tcp dport 81 accept
	}
}
`

// mark marks what runs, by its command line.
func (m *manager) mark(b *bench, out map[string]string) {
	for unit := range m.relays {
		key := "unit " + unit
		if unit == "" {
			key = forGood + "socat"
		}
		line := []byte("ended")
		if pid := m.pid(unit); pid != 0 {
			line, _ = os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // ended since: empty
		}
		out[key] = strings.ReplaceAll(string(line), "\x00", " ")
	}
}
