package policy

import (
	"fmt"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

func sshd(change func(*host.Listener)) *host.Listener {
	l := &host.Listener{Proto: "tcp", Address: "0.0.0.0", Port: 22, User: "root", Processes: []host.Process{
		{Name: "sshd", Exe: "/usr/sbin/sshd", HostExe: true, Unit: "ssh.service", SystemUnit: true}}}
	if change != nil {
		change(l)
	}
	return l
}

func listenerPolicy(t *testing.T, defaults, entry string) *Policy {
	t.Helper()
	return parsedPolicy(t, fmt.Sprintf("version: 1\ndefaults: {%s}\nallow:\n  listeners: [{id: e, reason: r, owner: o, %s}]\n", defaults, entry))
}

func TestContainmentOfListeners(t *testing.T) {
	type change = func(*host.Listener)
	at := func(address string) change { return func(l *host.Listener) { l.Address = address } }
	first := func(f func(*host.Process)) change { return func(l *host.Listener) { f(&l.Processes[0]) } }
	second := func(p host.Process) change { return func(l *host.Listener) { l.Processes = append(l.Processes, p) } }
	socat := host.Process{Exe: "/usr/bin/socat", HostExe: true, Unit: "ssh.service", SystemUnit: true}
	cases := []struct {
		match  string
		change change
		want   bool
	}{
		{`proto: tcp, ports: "22", address: "0.0.0.0", exe: /usr/sbin/sshd, user: root, unit: ssh.service`, nil, true},
		{`ports: 22`, nil, true},
		{`ports: 23`, nil, false},
		{`ports: "!22"`, nil, false},
		{`ports: any`, nil, true},
		{`proto: udp`, nil, false},
		{`proto: [udp, tcp]`, nil, true},
		{`proto: tcp`, func(l *host.Listener) { l.Proto = "mptcp" }, true},
		{`proto: mptcp`, nil, false},
		{`proto: mptcp`, func(l *host.Listener) { l.MPTCP = true }, true},
		{`proto: tcp`, func(l *host.Listener) { l.MPTCP = true }, true},
		{`proto: udp`, func(l *host.Listener) { l.MPTCP = true }, false},
		{`proto: udp`, func(l *host.Listener) { l.Proto = "udplite" }, false},
		// addresses
		{`address: "::"`, nil, false},
		{`address: "::"`, at("::"), true},
		{`address: "0.0.0.0"`, at("::"), false},
		{`address: "*"`, nil, true},
		{`address: "*"`, at("::"), true},
		{`address: "*"`, at("10.1.2.3"), false},
		{`address: 0.0.0.0/0`, nil, false},
		{`address: 0.0.0.0/0`, at("10.1.2.3"), true},
		{`address: "::/0"`, at("::"), false},
		{`address: "::/0"`, at("10.1.2.3"), false},
		{`address: 10.0.0.0/8`, at("10.1.2.3"), true},
		{`address: 10.0.0.0/8`, at("11.1.2.3"), false},
		{`address: 10.0.0.0/8`, nil, false},
		{`address: 10.0.0.0/8`, at("::ffff:10.1.2.3"), true},
		{`address: ["10.1.2.3", "fe80::/10"]`, at("fe80::1%eth0"), true},
		{`address: "0.0.0.0"`, at("0.0.0.1"), false},
		{`address: "10.1.2.3"`, at("what"), false},
		{`ports: 22`, at("what"), true},
		// processes
		{`exe: /usr/sbin/sshd`, first(func(p *host.Process) { p.HostExe = false }), false},
		{`exe: /usr/sbin/sshd`, first(func(p *host.Process) { p.Deleted = true }), false},
		{`exe: /usr/sbin/sshd`, second(socat), false},
		{`exe: [/usr/sbin/sshd, /usr/bin/socat]`, second(socat), true},
		{`exe: /usr/sbin/sshd`, func(l *host.Listener) { l.Processes = nil }, false},
		{`exe: sshd`, nil, false},
		{`unit: ssh.service`, first(func(p *host.Process) { p.SystemUnit = false }), false},
		{`unit: ssh.service`, second(socat), true},
		{`unit: ssh.service`, func(l *host.Listener) { l.Processes = nil }, false},
		{`ports: 22`, func(l *host.Listener) { l.Processes = nil }, true},
		{`user: root`, nil, true},
		{`user: 0`, nil, true},
		{`user: "0"`, func(l *host.Listener) { l.UID, l.User = 1000, "0" }, false},
		{`user: [root, nobody]`, func(l *host.Listener) { l.UID, l.User = 65534, "nobody" }, true},
		{`user: root`, func(l *host.Listener) { l.UID, l.User = 1000, "" }, false},
		{`container: web`, nil, false},
		{`container: web`, first(func(p *host.Process) { p.Container = "web" }), true},
		{`netns: current`, nil, true},
		{`netns: current`, func(l *host.Listener) { l.Netns = "web" }, false},
		{`netns: web`, func(l *host.Listener) { l.Netns = "web" }, true},
		{`transparent: true`, nil, false},
		{`transparent: false`, nil, true},
		{`transparent: true`, func(l *host.Listener) { l.Transparent = true }, true},
	}
	for _, c := range cases {
		l := sshd(c.change)
		verdict, by, _ := listenerPolicy(t, "listeners: deny", "permanent: true, match: {"+c.match+"}").JudgeListener(l, today)
		if (verdict == host.Allowed) != c.want || c.want != (by == "e") {
			t.Errorf("%s: %s of %+v, want allowed %v", c.match, verdict, *l, c.want)
		}
	}
}

func TestVerdictsOfListeners(t *testing.T) {
	loopback := func(a string) func(*host.Listener) { return func(l *host.Listener) { l.Address = a } }
	cases := []struct {
		name, defaults, entry string
		change                func(*host.Listener)
		verdict, note         string
	}{
		{"reported", "", "permanent: true, match: {ports: 80}", nil, host.Info, ""},
		{"denied", "listeners: deny", "permanent: true, match: {ports: 80}", nil, host.Violation, ""},
		{"on loopback", "listeners: deny", "permanent: true, match: {ports: 80}", loopback("127.0.0.53"), host.Info, ""},
		{"on loopback, v6", "listeners: deny", "permanent: true, match: {ports: 80}", loopback("::1"), host.Info, ""},
		{"on mapped loopback", "listeners: deny", "permanent: true, match: {ports: 80}", loopback("::ffff:127.0.0.1"), host.Info, ""},
		{"address not known", "listeners: deny", "permanent: true, match: {ports: 80}", loopback(""), host.Violation, ""},
		{"pending", "listeners: deny", "permanent: true, review: pending, match: {ports: 22}", nil, host.Unreviewed, "entry e waits for review"},
		{"expired", "listeners: deny", "expires: 2026-01-01, match: {ports: 22}", nil, host.Violation, "entry e expired on 2026-01-01"},
		{"expired, reported", "", "expires: 2026-01-01, match: {ports: 22}", nil, host.Info, "entry e expired on 2026-01-01"},
	}
	for _, c := range cases {
		verdict, by, note := listenerPolicy(t, c.defaults, c.entry).JudgeListener(sshd(c.change), today)
		if verdict != c.verdict || note != c.note || by != "" {
			t.Errorf("%s: %q %q %q, want %q %q", c.name, verdict, by, note, c.verdict, c.note)
		}
	}
}
