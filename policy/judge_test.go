package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// withMatch is a policy with one redirect entry "e".
func withMatch(t *testing.T, match string) *Policy {
	t.Helper()
	return parsedPolicy(t, fmt.Sprintf("version: 1\nallow:\n  redirects:\n    - {id: e, reason: r, owner: o, permanent: true, match: {%s}}\n", match))
}

func parsedPolicy(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := Parse([]byte(text), "policy.yaml")
	if err != nil {
		t.Fatalf("parsing:\n%s\n%v", text, err)
	}
	return p
}

func ports(t *testing.T, text string) host.Ports {
	t.Helper()
	p, err := host.ParsePorts(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// web is the redirect of the advisory; change alters a copy of it.
func web(change func(*host.Redirect)) *host.Redirect {
	to := host.AddrTarget(netip.MustParseAddr("10.0.5.10"), 8080)
	r := &host.Redirect{
		ID: "9f2c41d07a3b", Mechanism: "rule", Kind: "dnat", State: host.Active, Direction: "inbound",
		Family: host.IP, Proto: "tcp", Ports: "80", To: []string{to.String()}, Targets: []host.Target{to},
		Match: &host.Match{Family: host.IP, Protos: host.ProtosOf(host.TCP), Ports: host.PortsOf(80, 80)},
		Rule: &host.RuleRef{Backend: "nf_tables", Writer: "iptables-nft", Family: "ip", Table: "nat", Chain: "PREROUTING",
			Hook: "prerouting", Comment: "web"},
		Owner: &host.Owner{Kind: "docker", Name: "web"},
	}
	if change != nil {
		change(r)
	}
	return r
}

func withPorts(t *testing.T, text string) func(*host.Redirect) {
	return func(r *host.Redirect) { r.Ports, r.Match.Ports = text, ports(t, text) }
}

// inWordsOnly is a row without the sets behind its words.
func inWordsOnly(proto, ports string) func(*host.Redirect) {
	return func(r *host.Redirect) { r.Match, r.Targets, r.Proto, r.Ports = nil, nil, proto, ports }
}

func to(texts ...string) func(*host.Redirect) {
	return func(r *host.Redirect) {
		r.To, r.Targets = texts, nil
		for _, text := range texts {
			if target, err := host.ParseTarget(text); err == nil {
				r.Targets = append(r.Targets, target)
			}
		}
	}
}

func and(changes ...func(*host.Redirect)) func(*host.Redirect) {
	return func(r *host.Redirect) {
		for _, change := range changes {
			change(r)
		}
	}
}

func addrs(t *testing.T, text string) host.Addrs {
	t.Helper()
	a, err := host.ParseAddrs(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestContainmentOfRedirects(t *testing.T) {
	set := func(f func(*host.Redirect)) func(*host.Redirect) { return f }
	cases := []struct {
		match  string
		change func(*host.Redirect)
		want   bool
	}{
		// ports
		{`ports: 80`, nil, true},
		{`ports: "80"`, withPorts(t, "80-90"), false},
		{`ports: 80`, withPorts(t, "any"), false},
		{`ports: 80`, withPorts(t, "!22"), false},
		{`ports: "!22"`, withPorts(t, "80-90"), true},
		{`ports: "!22"`, withPorts(t, "!22"), true},
		{`ports: "!22"`, withPorts(t, "!22,23"), true},
		{`ports: "!22"`, withPorts(t, "20-25"), false},
		{`ports: "!22"`, withPorts(t, "any"), false},
		{`ports: any`, withPorts(t, "any"), true},
		{`ports: 0-65535`, withPorts(t, "any"), true},
		{`ports: 1-65535`, withPorts(t, "any"), false},
		{`ports: "80,443"`, withPorts(t, "443"), true},
		{`ports: [80, 443]`, withPorts(t, "80,443"), true},
		{`ports: [80-84, 85-90]`, withPorts(t, "80-90"), true},
		{`ports: [80-84, 86-90]`, withPorts(t, "80-90"), false},
		{`ports: 80`, inWordsOnly("tcp", "80"), true},
		{`ports: 80`, inWordsOnly("tcp", "80-90"), false},
		{`ports: 80`, inWordsOnly("tcp", ""), false},
		{`ports: "!22"`, inWordsOnly("tcp", "what"), false},
		{`ports: 80`, set(func(r *host.Redirect) { r.Match.Ports = host.Nothing[host.Port]() }), false},
		{`proto: udp`, set(func(r *host.Redirect) { r.Match.Protos = host.Nothing[host.Proto]() }), false},
		{`address: 10.0.0.0/8`, set(func(r *host.Redirect) { r.Match.Address = host.Nothing[netip.Addr]() }), false},
		// protocols and families
		{`proto: tcp`, nil, true},
		{`proto: [tcp, udp]`, nil, true},
		{`proto: "tcp,udp"`, nil, true},
		{`proto: 6`, nil, true},
		{`proto: udp`, nil, false},
		{`proto: "!udp"`, nil, true},
		{`proto: tcp`, set(func(r *host.Redirect) { r.Match.Protos = nil }), false},
		{`proto: any`, set(func(r *host.Redirect) { r.Match.Protos = nil }), true},
		{`proto: tcp`, inWordsOnly("any", "80"), false},
		{`family: ip`, nil, true},
		{`family: ip6`, nil, false},
		{`family: both`, nil, true},
		{`family: [ip, ip6]`, set(func(r *host.Redirect) { r.Family, r.Match.Family = host.Both, "" }), true},
		{`family: ip`, set(func(r *host.Redirect) { r.Family, r.Match.Family = host.Both, "" }), false},
		{`family: ip`, set(func(r *host.Redirect) { r.Match.Family = "" }), true},
		{`family: ip`, set(func(r *host.Redirect) { r.Match, r.Family = nil, "" }), false},
		// addresses
		{`address: 10.0.0.0/8`, nil, false},
		{`address: 10.0.0.0/8`, set(func(r *host.Redirect) { r.Match.Address = addrs(t, "10.1.2.3") }), true},
		{`address: 10.0.0.0/8`, set(func(r *host.Redirect) { r.Match.Address = addrs(t, "10.255.0.0-11.0.0.1") }), false},
		{`address: 0.0.0.0/0`, nil, true},
		{`address: "::/0"`, nil, false},
		{`address: 0.0.0.0/0`, set(func(r *host.Redirect) { r.Family, r.Match.Family = host.Both, "" }), false},
		{`address: [0.0.0.0/0, "::/0"]`, set(func(r *host.Redirect) { r.Family, r.Match.Family = host.Both, "" }), true},
		{`address: any`, nil, true},
		{`address: "!10.0.0.0/8"`, set(func(r *host.Redirect) { r.Match.Address = addrs(t, "!10.0.0.0/8") }), true},
		{`address: "!10.1.0.0/16"`, set(func(r *host.Redirect) { r.Match.Address = addrs(t, "10.0.0.0/8") }), false},
		{`address: 10.0.0.0/8`, set(func(r *host.Redirect) { r.Match.Address = addrs(t, "!11.0.0.0/8") }), false},
		{`source: ["fd00::/8", 10.77.0.0/16]`, set(func(r *host.Redirect) { r.Match.Source = addrs(t, "10.77.1.0/24") }), true},
		{`source: ["fd00::/8", 10.77.0.0/16]`, set(func(r *host.Redirect) { r.Match.Source = addrs(t, "fd00::1") }), true},
		{`source: 10.77.0.0/16`, nil, false},
		// destinations
		{`to: "10.0.5.0/24:8080"`, nil, true},
		{`to: "10.0.5.0/24"`, nil, true},
		{`to: "10.0.5.0/24:80"`, nil, false},
		{`to: 10.0.5.10`, nil, true},
		{`to: "10.0.5.10:8000-8999"`, nil, true},
		{`to: "10.0.5.1-10.0.5.9:8080"`, nil, false},
		{`to: "10.0.6.0/24"`, nil, false},
		{`to: ["10.0.6.0/24", "10.0.5.10:8080"]`, nil, true},
		{`to: "10.0.5.10"`, to("10.0.5.10:8080", "10.0.5.11:8080"), false},
		{`to: ["10.0.5.10", "10.0.5.11"]`, to("10.0.5.10:8080", "10.0.5.11:8080"), true},
		{`to: "10.0.5.0/24:8080"`, to("10.0.5.200-10.0.6.3:8080"), false},
		{`to: "10.0.5.0/24"`, to("10.0.5.0/25"), true},
		{`to: "10.0.5.0/25"`, to("10.0.5.0/24"), false},
		{`to: "10.0.5.10:8080"`, to("10.0.5.10:8080-8081"), false},
		{`to: "10.0.5.10:8080"`, to("10.0.5.10"), false},
		{`to: "10.0.5.10:80"`, to("10.0.5.10"), true}, // the port 80 is kept
		{`to: "10.0.5.10:80"`, and(to("10.0.5.10"), withPorts(t, "80-81")), false},
		{`to: ["10.0.5.10:80", "10.0.5.10:443"]`, and(to("10.0.5.10"), withPorts(t, "80,443")), true},
		{`to: "10.0.5.10:80-81"`, to("10.0.5.10:80-81/9000"), true},
		{`to: "10.0.5.10:80-81/9000"`, to("10.0.5.10:80-81"), false},
		{`to: "[fd00::1]:80"`, to("[fd00::1]:80"), true},
		{`to: "fd00::/64"`, to("[fd00::1]:80"), true},
		{`to: "10.0.0.0/8"`, to("[fd00::1]:80"), false},
		{`to: ":3128"`, to(":3128"), true},
		{`to: ":3128"`, to(":3129"), false},
		{`to: ":3128"`, to("10.0.5.10:3128"), false},
		{`to: ":3128"`, to(":*"), false},
		{`to: ":*"`, to(":*"), true},
		{`to: ":*"`, to(":3128"), false},
		{`to: ":*"`, to("dev:h1"), false},
		{`to: ":*"`, to(":0"), false},
		{`to: "10.0.5.10:80"`, to("10.0.5.10:0"), false},
		{`to: 10.0.5.10`, to("10.0.5.10:0"), true},
		{`to: ":*"`, nil, false},
		{`to: "dev:h1"`, to("dev:h1"), true},
		{`to: "dev:h1"`, to("dev:h2"), false},
		{`to: "unix:/run/a"`, to("unix:/run/a"), true},
		{`to: "unix:/run/a"`, to("unix:/run/b"), false},
		{`to: "0.0.0.0/0"`, to("[::1]:80"), false},
		{`to: "::/0"`, to("10.0.5.10:80"), false},
		{`to: "0.0.0.0/0"`, to("dev:h1"), false},
		{`to: "0.0.0.0/0"`, to(), false},
		{`to: "0.0.0.0/0"`, to("10.0.5.10:8080", "somewhere"), false},
		{`kind: dnat`, to(), true},
		// interfaces
		{`in: eth0`, nil, false},
		{`in: eth0`, set(func(r *host.Redirect) { r.Match.In.Names = []string{"eth0"} }), true},
		{`in: eth0`, set(func(r *host.Redirect) { r.Match.In = host.Ifaces{Names: []string{"eth0"}, Not: true} }), false},
		{`in: eth0`, set(func(r *host.Redirect) { r.Match.In.Names = []string{"eth0", "eth1"} }), false},
		{`in: "eth*"`, set(func(r *host.Redirect) { r.Match.In.Names = []string{"eth0", "eth1*"} }), true},
		{`in: eth0`, set(func(r *host.Redirect) { r.Match.In.Names = []string{"eth*"} }), false},
		// names
		{`kind: [dnat, redirect]`, nil, true},
		{`kind: redirect`, nil, false},
		{`mechanism: rule`, nil, true},
		{`direction: outbound`, nil, false},
		{`netns: current`, nil, true},
		{`netns: web`, nil, false},
		{`netns: web`, set(func(r *host.Redirect) { r.Netns = "web" }), true},
		{`netns: current`, set(func(r *host.Redirect) { r.Netns = "current" }), false},
		{`writer: iptables-nft, table: nat, chain: PREROUTING, hook: prerouting, comment: web`, nil, true},
		{`writer: nft`, nil, false},
		{`table: mangle`, nil, false},
		{`chain: pre`, nil, false},
		{`chain: PREROUTING`, set(func(r *host.Redirect) { r.Rule = nil }), false},
		{`dev: h0`, nil, false},
		{`dev: h0`, set(func(r *host.Redirect) { r.Rule.Devices = []string{"h0"} }), true},
		{`dev: h0`, set(func(r *host.Redirect) { r.Rule.Devices = []string{"h0", "h1"} }), false},
		{`hook: prerouting`, set(func(r *host.Redirect) { r.Rule.Hooks = []string{"prerouting", "output"} }), false},
		{`hook: [prerouting, output]`, set(func(r *host.Redirect) { r.Rule.Hooks = []string{"prerouting", "output"} }), true},
		{`file: /etc/nftables.conf`, nil, false},
		{`file: /etc/nftables.conf`, set(func(r *host.Redirect) { r.File = &host.FileRef{Path: "/etc/nftables.conf"} }), true},
		{`owner: {kind: docker}`, nil, true},
		{`owner: {kind: docker, name: db}`, nil, false},
		{`owner: {kind: docker}`, set(func(r *host.Redirect) { r.Owner = nil }), false},
		{`id: 9f2c41d07a3b`, nil, true},
		{`id: [aaaaaaaaaaaa, 9f2c41d07a3b]`, nil, true},
		{`id: 123456789012`, set(func(r *host.Redirect) { r.ID = "123456789012" }), true},
		{`id: 12345e678901`, set(func(r *host.Redirect) { r.ID = "12345e678901" }), true},
		{`id: aaaaaaaaaaaa`, nil, false},
		{`tag: a04f5eef06a7f555`, set(func(r *host.Redirect) { r.Tag = "a04f5eef06a7f555" }), true},
		{`tag: a04f5eef06a7f555`, nil, false},
		{`pin: /sys/fs/bpf/x`, set(func(r *host.Redirect) { r.Pin = "/sys/fs/bpf/x" }), true},
		{`pin: /sys/fs/bpf/x`, nil, false},
		// processes
		{`process: {exe: /usr/bin/socat}`, nil, false},
		{`process: {exe: /usr/bin/socat}`, socat(true, false), true},
		{`process: {exe: /usr/bin/socat}`, socat(false, false), false},
		{`process: {exe: /usr/bin/socat}`, socat(true, true), false},
		{`process: {unit: relay.service}`, socat(true, false), true},
		{`process: {unit: relay.service}`, set(func(r *host.Redirect) {
			socat(true, false)(r)
			r.Process.SystemUnit = false
		}), false},
		{`process: {user: nobody, container: c1}`, socat(true, false), true},
		{`process: {user: root}`, socat(true, false), false},
		// what is not understood never widens, and narrows at most
		{`ports: 80`, set(func(r *host.Redirect) { r.Match.Conditions = []string{"something"} }), true},
		{`ports: 80-90`, and(withPorts(t, "any"), func(r *host.Redirect) { r.Match.Conditions = []string{"u32 0=0"} }), false},
		// state unknown: only by name
		{`kind: dnat, ports: 80`, unknown, false},
		{`to: "10.0.5.0/24:8080"`, unknown, false},
		{`kind: dnat, id: 9f2c41d07a3b`, unknown, true},
		{`to: "10.0.5.0/24:8080", id: 9f2c41d07a3b`, unknown, false},
	}
	for _, c := range cases {
		r := web(c.change)
		verdict, by, _ := withMatch(t, c.match).JudgeRedirect(r, today)
		if (verdict == host.Allowed) != c.want || c.want != (by == "e") {
			t.Errorf("%s: %s by %q of proto %s ports %s to %v, want allowed %v", c.match, verdict, by, r.Proto, r.Ports, r.To, c.want)
		}
	}
}

func unknown(r *host.Redirect) { r.State = host.Unknown }

func socat(hostExe, deleted bool) func(*host.Redirect) {
	return func(r *host.Redirect) {
		r.Process = &host.Process{Exe: "/usr/bin/socat", HostExe: hostExe, Deleted: deleted, Unit: "relay.service",
			SystemUnit: true, User: "nobody", Container: "c1"}
	}
}

func TestVerdictsOfRedirects(t *testing.T) {
	const entry = "{id: e, reason: r, owner: o, match: {ports: 80}, "
	state := func(s string) func(*host.Redirect) { return func(r *host.Redirect) { r.State = s } }
	info := func(r *host.Redirect) { r.Info = true }
	cases := []struct {
		name, defaults, entries string
		change                  func(*host.Redirect)
		verdict, by, note       string
	}{
		{"not allowed", "", "", nil, host.Violation, "", ""},
		{"saved", "", "", state(host.Saved), host.Violation, "", ""},
		{"unknown", "", "", state(host.Unknown), host.Violation, "", ""},
		{"no state", "", "", state(""), host.Violation, "", ""},
		{"inactive", "", "", state(host.Inactive), host.Info, "", ""},
		{"latent", "", "", state(host.Latent), host.Info, "", ""},
		{"latent denied", "latent: deny", "", state(host.Latent), host.Violation, "", ""},
		{"inactive, latent denied", "latent: deny", "", state(host.Inactive), host.Info, "", ""},
		{"latent reported with all", "latent: deny, redirects: report", "", state(host.Latent), host.Info, "", ""},
		{"reported", "redirects: report", "", nil, host.Info, "", ""},
		{"source NAT", "", "", info, host.Info, "", ""},
		{"source NAT allowed", "", entry + "permanent: true}", info, host.Allowed, "e", ""},
		{"allowed", "", entry + "permanent: true}", nil, host.Allowed, "e", ""},
		{"inactive allowed", "", entry + "permanent: true}", state(host.Inactive), host.Allowed, "e", ""},
		{"pending", "", entry + "permanent: true, review: pending}", nil, host.Unreviewed, "", "entry e waits for review"},
		{"last day", "", entry + "expires: 2026-11-23}", nil, host.Allowed, "e", ""},
		{"expired", "", entry + "expires: 2026-11-22}", nil, host.Violation, "", "entry e expired on 2026-11-22"},
		{"expired, pending", "", entry + "expires: 2026-11-22, review: pending}", nil, host.Unreviewed, "", "entry e waits for review, and expired on 2026-11-22"},
		{"second allows", "", entry + "expires: 2026-11-22}, {id: f, reason: r, owner: o, permanent: true, match: {kind: dnat}}", nil, host.Allowed, "f", ""},
		{"first in the file", "", "{id: f, reason: r, owner: o, permanent: true, match: {kind: dnat}}, " + entry + "permanent: true}", nil, host.Allowed, "f", ""},
		{"first in the file, by id", "", entry + "permanent: true}, {id: f, reason: r, owner: o, permanent: true, match: {id: 9f2c41d07a3b}}", nil, host.Allowed, "e", ""},
	}
	for _, c := range cases {
		p := parsedPolicy(t, fmt.Sprintf("version: 1\ndefaults: {%s}\nallow: {redirects: [%s]}\n", c.defaults, c.entries))
		verdict, by, note := p.JudgeRedirect(web(c.change), today)
		if verdict != c.verdict || by != c.by || note != c.note {
			t.Errorf("%s: %q %q %q, want %q %q %q", c.name, verdict, by, note, c.verdict, c.by, c.note)
		}
	}
}

func TestAnEntryEndsWithItsLastDayInUTC(t *testing.T) {
	e := &Entry{Expires: time.Date(2027, 3, 31, 0, 0, 0, 0, time.UTC)}
	end := time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)
	if e.Expired(end.Add(-time.Nanosecond)) || !e.Expired(end) {
		t.Error("an entry must last to the end of its day and no longer")
	}
	west := time.FixedZone("west", -8*3600)
	if !e.Expired(time.Date(2027, 3, 31, 16, 0, 0, 0, west)) {
		t.Error("the day ends in UTC, not in local time")
	}
}

func TestBuiltinAllowsNothing(t *testing.T) {
	p := Builtin()
	if verdict, by, _ := p.JudgeRedirect(web(nil), today); verdict != host.Violation || by != "" {
		t.Errorf("redirect: %s by %q", verdict, by)
	}
	if verdict, _, _ := p.JudgeListener(&host.Listener{Proto: "tcp", Address: "0.0.0.0", Port: 22}, today); verdict != host.Info {
		t.Errorf("listener: %s", verdict)
	}
	if p.Path != "builtin" || p.Defaults.Latent != Report {
		t.Errorf("%+v", p)
	}
}

func TestTheIndexAgreesWithReadingAll(t *testing.T) {
	var entries []string
	for i, match := range []string{"ports: 80-90", "id: 9f2c41d07a3b", "kind: dnat", "chain: [pre, PREROUTING]", `ports: "!22"`, "ports: any", "ports: 443", "ports: 1-1000"} {
		entries = append(entries, fmt.Sprintf("{id: e%d, reason: r, owner: o, permanent: true, match: {%s}}", i, match))
	}
	for skip := range entries {
		p := parsedPolicy(t, "version: 1\nallow: {redirects: ["+strings.Join(entries[skip:], ", ")+"]}\n")
		plain := *p
		plain.index = nil
		for _, text := range []string{"80", "443", "any", "22", "80,443", "!22", "1001-2000"} {
			r := web(withPorts(t, text))
			_, fast, _ := p.JudgeRedirect(r, today)
			_, slow, _ := plain.JudgeRedirect(r, today)
			if fast != slow {
				t.Errorf("ports %s from entry %d on: %q with the index, %q without", text, skip, fast, slow)
			}
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	var text strings.Builder
	text.WriteString("version: 1\nallow:\n  redirects:\n")
	for i := range 100 {
		fmt.Fprintf(&text, "    - {id: e%d, reason: r, owner: o, permanent: true, match: {proto: tcp, ports: %d-%d, to: 10.0.0.0/8, kind: [redirect, dnat], table: t%d}}\n", i, 1000+i, 2000+i, i)
	}
	p, err := Parse([]byte(text.String()), "p")
	if err != nil {
		b.Fatal(err)
	}
	r := web(func(r *host.Redirect) { r.Match.Ports = host.PortsOf(1500, 1500) })
	for b.Loop() {
		p.JudgeRedirect(r, today)
	}
}
