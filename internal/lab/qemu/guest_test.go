package qemu

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/lab"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// row is what the tests look at of a redirect.
type row struct {
	ID, Mechanism, Kind, State, Family, Proto, Ports, Address, Verdict string
	Conditions, To, Evidence                                           []string
}

func (r row) String() string {
	return strings.Join([]string{r.Mechanism, r.Kind, r.State, r.Family, r.Proto, r.Ports, r.Address, strings.Join(r.Conditions, "; "), "to " + strings.Join(r.To, ",")}, " | ")
}

// said is what the tests look at of natwarden's JSON.
type said struct {
	Status    string `json:"status"`
	ExitCode  int    `json:"exit_code"`
	Redirects []row
	Listeners []struct {
		Proto, Address string
		Port           int
	}
	Steps []struct {
		Action, Object, Before string
		Reversible, Done       bool
	}
	Left      []struct{ ID, Why string }
	Rehearsal *struct {
		Unrehearsed []struct{ What, Why string }
	}
	Blind []struct{ Source, What, Why string }
}

// natwarden runs the program in a namespace, as its starting one.
func natwarden(t *testing.T, s labtest.Space, args ...string) said {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var out said
	text, errs := "", ""
	err := s.Do(ctx, func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "/usr/bin/natwarden", append(args, "-q", "--netns", "current", "-o", "json")...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		b, err := cmd.Output()
		text, errs = string(b), stderr.String()
		if code := exitCode(err); code < 0 {
			return err
		}
		return nil
	})
	if err == nil {
		err = json.Unmarshal([]byte(text), &out)
	}
	if err != nil {
		t.Fatalf("natwarden %v: %v\n%s%s", args, err, text, errs)
	}
	return out
}

// ended is remediation that must do everything, in a state directory of the test's own.
func ended(t *testing.T, s labtest.Space, state, include string) said {
	t.Helper()
	out := natwarden(t, s, "remediate", "--policy", "builtin", "--state-dir", state, "--include", include, "--no-confirm", "--yes")
	if out.Status != "done" || out.ExitCode != 0 || len(out.Left) > 0 {
		t.Errorf("remediate: %+v", out)
	}
	return out
}

func rolledBack(t *testing.T, s labtest.Space, state string) {
	t.Helper()
	if out := natwarden(t, s, "rollback", "--state-dir", state, "--yes"); out.Status != "done" || out.ExitCode != 0 {
		t.Errorf("rollback: %+v", out)
	}
}

// stateDir is where natwarden keeps snapshots; /tmp of the guest is its own.
func stateDir(t *testing.T) string { return filepath.Join(t.TempDir(), "state") }

// thereAndBack audits, ends everything that include names, and rolls it back;
// listing must be as before. It gives the rows that were found.
func thereAndBack(t *testing.T, s labtest.Space, include string, listing func() string) []row {
	t.Helper()
	before := listing()
	found := natwarden(t, s, "audit")
	if found.ExitCode != 2 || len(found.Blind) > 0 {
		t.Errorf("audit: exit %d, blind %v", found.ExitCode, found.Blind)
	}
	plan := natwarden(t, s, "remediate", "--policy", "builtin", "--include", include, "--dry-run")
	if listing() != before {
		t.Errorf("a dry run changed\n%s\nto\n%s", before, listing())
	}
	state := stateDir(t)
	done := ended(t, s, state, include)
	if len(done.Steps) != len(plan.Steps) {
		t.Errorf("planned %+v, done %+v", plan.Steps, done.Steps)
	}
	for _, step := range done.Steps {
		if !step.Reversible || !step.Done {
			t.Errorf("step %+v", step)
		}
	}
	if left := natwarden(t, s, "audit"); left.ExitCode != 0 {
		t.Errorf("after remediation: exit %d, %v, blind %v", left.ExitCode, left.Redirects, left.Blind)
	}
	if listing() == before {
		t.Errorf("nothing was changed:\n%s", before)
	}
	rolledBack(t, s, state)
	if after := listing(); after != before {
		t.Errorf("before:\n%s\nafter the rollback:\n%s", before, after)
	}
	return found.Redirects
}

// expect compares rows with what they are to be, in any order.
func expect(t *testing.T, found []row, want ...string) {
	t.Helper()
	var got []string
	for _, r := range found {
		if r.Verdict == "violation" {
			got = append(got, r.String())
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// sortedLines is a listing whose order the kernel chooses by a hash.
func sortedLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func triangle(t *testing.T) *lab.Triangle {
	t.Helper()
	tri, err := lab.NewTriangle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tri.Close() })
	return tri
}

// The packets of a client: who answers with the service, without it, with it again.
func TestGuestIPVSBalances(t *testing.T) {
	inGuest(t)
	tri := triangle(t)
	s := labtest.Space{Space: tri.Host}
	g, err := tri.Backend.Greet(t.Context(), lab.BackendAddr+":8080", "the backend")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	s.MustRun(t, "", "ipvsadm", "-A", "-t", lab.HostAddr+":80", "-s", "wrr", "-p", "120")
	defer s.MustRun(t, "", "ipvsadm", "-C")
	s.MustRun(t, "", "ipvsadm", "-a", "-t", lab.HostAddr+":80", "-r", lab.BackendAddr+":8080", "-m", "-w", "3")
	answers := func() string {
		text, err := tri.Client.Ask(t.Context(), lab.HostAddr+":80")
		return fmt.Sprintf("%s %v", text, err)
	}
	balanced, refused := "the backend <nil>", " "+lab.ErrRefused.Error()
	if got := answers(); got != balanced {
		t.Errorf("with the service: %s", got)
	}
	state := stateDir(t)
	if steps := ended(t, s, state, "routes").Steps; len(steps) != 1 || steps[0].Object != "IPVS service -t 203.0.113.1:80 -s wrr -p 120, -r 192.168.1.10:8080 -m -w 3" {
		t.Errorf("steps %+v", steps)
	}
	if got := answers(); got != refused {
		t.Errorf("without the service: %s, want%s", got, refused)
	}
	rolledBack(t, s, state)
	if got := answers(); got != balanced {
		t.Errorf("with the service again: %s", got)
	}
}

// Services of every kind are named, ended and restored by natwarden itself.
func TestGuestIPVSServices(t *testing.T) {
	inGuest(t)
	s := labtest.New(t)
	s.MustDo(t, s.Loopback)
	for _, line := range []string{"-A -t 192.0.2.1:80 -s rr", "-a -t 192.0.2.1:80 -r 10.77.2.2:8080 -m", "-a -t 192.0.2.1:80 -r 10.77.2.3:8080 -m -w 5",
		"-A -u 192.0.2.1:53 -s sh", "-a -u 192.0.2.1:53 -r 10.77.2.2 -g", "-A -f 32 -s rr", "-a -f 32 -r 10.77.2.2:0 -g",
		"-A -t [2001:db8::1]:443 -s wlc -p", "-a -t [2001:db8::1]:443 -r [fd77::2]:443 -m -x 9 -y 5", "-A -f 33 -6 -s rr", "-a -f 33 -6 -r [fd77::2]:0 -i"} {
		s.MustRun(t, "", append([]string{"ipvsadm"}, strings.Fields(line)...)...)
	}
	found := thereAndBack(t, s, "routes", func() string { return sortedLines(s.MustRun(t, "", "ipvsadm", "-Sn")) })
	expect(t, found,
		"ipvs | service | active | ip | tcp | 80 | 192.0.2.1 |  | to 10.77.2.3:8080,10.77.2.2:8080",
		"ipvs | service | active | ip | udp | 53 | 192.0.2.1 |  | to 10.77.2.2",
		"ipvs | service | active | ip | tcp,udp,sctp | any |  | mark 0x20 | to 10.77.2.2",
		"ipvs | service | active | ip6 | tcp | 443 | 2001:db8::1 |  | to [fd77::2]:443",
		"ipvs | service | active | ip6 | tcp,udp,sctp | any |  | mark 0x21 | to fd77::2")
	out := natwarden(t, s, "remediate", "--policy", "builtin", "--include", "routes", "--dry-run", "--rehearse")
	if out.Rehearsal == nil || len(out.Rehearsal.Unrehearsed) > 0 || out.ExitCode != 2 {
		t.Errorf("rehearsal: %+v", out)
	}
	// A host that restarted between has the module no longer: rollback loads it.
	state := stateDir(t)
	before := sortedLines(s.MustRun(t, "", "ipvsadm", "-Sn"))
	ended(t, s, state, "routes")
	unload(t, "ip_vs")
	rolledBack(t, s, state)
	if after := sortedLines(s.MustRun(t, "", "ipvsadm", "-Sn")); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// unload takes a module out with those of its name that use it. Namespaces of
// tests before may still end and use them for a moment.
func unload(t *testing.T, name string) {
	t.Helper()
	for range 100 {
		mine := slices.DeleteFunc(loadedModules(t), func(m string) bool { return !strings.HasPrefix(m, name) })
		if len(mine) == 0 {
			return
		}
		for _, m := range slices.Backward(mine) {
			_ = unix.DeleteModule(m, unix.O_NONBLOCK)
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s is still loaded: %v", name, loadedModules(t))
}

// Filters of classifiers that redirect.
func TestGuestClassifiers(t *testing.T) {
	inGuest(t)
	s := labtest.New(t)
	for _, line := range []string{"ip link add dev e0 type veth peer name e1", "ip link set e0 up", "ip link set e1 up", "tc qdisc add dev e0 clsact",
		"tc filter add dev e0 ingress pref 1 protocol ip flower ip_proto tcp dst_port 80 action mirred egress redirect dev e1",
		"tc filter add dev e0 ingress pref 2 protocol 802.1q flower vlan_id 7 action mirred egress redirect dev e1",
		"tc filter add dev e0 ingress pref 3 protocol ip handle 7 fw action mirred egress redirect dev e1",
		"tc filter add dev e0 ingress pref 4 protocol ip basic match cmp(u16~at~22~layer~0~eq~443) action mirred egress redirect dev e1",
		"tc filter add dev e0 ingress pref 5 protocol all matchall action mirred egress redirect dev e1"} {
		argv := strings.Fields(line)
		for i := range argv {
			argv[i] = strings.ReplaceAll(argv[i], "~", " ")
		}
		s.MustRun(t, "", argv...)
	}
	found := thereAndBack(t, s, "bpf", func() string { return withoutNumbers(s.MustRun(t, "", "tc", "filter", "show", "dev", "e0", "ingress")) })
	expect(t, found,
		"tc | mirred | active | ip | tcp | 80 |  |  | to dev:e1",
		"tc | mirred | active | both | any | any |  | frames of protocol 0x8100; flower key 23 = 0700 | to dev:e1",
		"tc | mirred | active | ip | any | any |  | mark 0x7 | to dev:e1",
		"tc | mirred | active | ip | any | any |  | a tree of 1 ematches | to dev:e1",
		"tc | mirred | active | both | any | any |  |  | to dev:e1")
}

// withoutNumbers leaves out the numbers of actions, which the kernel chooses.
func withoutNumbers(text string) string {
	words := strings.Fields(text)
	for i := range words {
		if i > 0 && words[i-1] == "index" {
			words[i] = "N"
		}
	}
	return strings.Join(words, " ")
}

// SCTP: a listener, and a DNAT that takes its port away.
func TestGuestSCTP(t *testing.T) {
	inGuest(t)
	s := labtest.New(t)
	s.MustDo(t, s.Loopback)
	s.MustDo(t, func(context.Context) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
		if err != nil {
			return err
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 3868}); err != nil {
			return err
		}
		return unix.Listen(fd, 5)
	})
	s.MustRun(t, "table ip nat { chain pre { type nat hook prerouting priority -100; sctp dport 3868 dnat to 10.77.2.2:3900; }; }", "nft", "-f", "-")
	found := thereAndBack(t, s, "routes", func() string { return s.MustRun(t, "", "nft", "list", "ruleset") })
	expect(t, found, "rule | dnat | active | ip | sctp | 3868 |  |  | to 10.77.2.2:3900")
	listening := natwarden(t, s, "audit").Listeners
	if len(listening) != 1 || listening[0].Proto != "sctp" || listening[0].Port != 3868 {
		t.Errorf("listeners %+v", listening)
	}
}

// Rules whose expressions the kernel below the tests may lack.
func TestGuestQueueAndFlowtable(t *testing.T) {
	inGuest(t)
	s := labtest.New(t)
	s.MustDo(t, s.Loopback)
	s.MustRun(t, "", "ip", "link", "add", "dev", "e0", "type", "dummy")
	s.MustRun(t, "", "ip", "link", "set", "e0", "up")
	s.MustRun(t, `table inet q { chain in { type filter hook input priority 0; tcp dport 8080 queue num 3-5 bypass,fanout; udp dport 53 queue num 7; }; }`, "nft", "-f", "-")
	found := thereAndBack(t, s, "routes", func() string { return s.MustRun(t, "", "nft", "list", "ruleset") })
	for _, r := range found {
		if r.Kind != "queue" || r.Verdict != "violation" {
			t.Errorf("row %+v", r)
		}
	}
	if len(found) != 2 {
		t.Errorf("rows %v", found)
	}
	s.MustRun(t, "", "nft", "flush", "ruleset")
	s.MustRun(t, `table inet f { flowtable ft { hook ingress priority 0; devices = { e0 }; }; chain forward { type filter hook forward priority 0; ip protocol tcp flow add @ft; }; }`, "nft", "-f", "-")
	out := natwarden(t, s, "audit")
	if out.ExitCode != 3 || len(out.Blind) != 1 || !strings.Contains(out.Blind[0].What+out.Blind[0].Why, "flowtable") {
		t.Errorf("a flowtable: exit %d, blind %+v", out.ExitCode, out.Blind)
	}
}

// What the kernel shows as present and natwarden does not judge is never compliant.
func TestGuestPresentIsBlind(t *testing.T) {
	inGuest(t)
	for name, c := range map[string]struct{ make, word string }{
		"lwtunnel": {"ip route add 10.9.0.0/24 encap ip id 7 dst 192.0.2.9 dev e0", "encapsulation ip"},
		"seg6":     {"ip -6 route add 2001:db8:9::/64 encap seg6 mode encap segs fd77::9 dev e0", "encapsulation seg6"},
		"MPLS":     {"ip -f mpls route add 100 dev lo", "MPLS"},
	} {
		t.Run(name, func(t *testing.T) {
			s := labtest.New(t)
			s.MustDo(t, s.Loopback)
			for _, line := range []string{"ip link add dev e0 type dummy", "ip link set e0 up", "ip addr add 10.8.0.1/24 dev e0", "ip addr add fd77::1/64 dev e0 nodad"} {
				s.MustRun(t, "", strings.Fields(line)...)
			}
			if name == "MPLS" {
				l, err := newLoader()
				if err == nil {
					err = l.load("mpls_router")
				}
				if err != nil {
					t.Fatal(err)
				}
				s.MustRun(t, "", "sysctl", "-qw", "net.mpls.platform_labels=1000", "net.mpls.conf.lo.input=1")
			}
			s.MustRun(t, "", strings.Fields(c.make)...)
			out := natwarden(t, s, "audit")
			if out.ExitCode == 0 || !slices.ContainsFunc(out.Blind, func(b struct{ Source, What, Why string }) bool { return strings.Contains(b.What+b.Why, c.word) }) {
				t.Errorf("exit %d, blind %+v", out.ExitCode, out.Blind)
			}
		})
	}
}
