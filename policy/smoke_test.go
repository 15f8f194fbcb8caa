package policy

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
)

const smokes = `version: 1
smoke:
  - {id: tcp, tcp: "[2001:db8::1]:443", timeout: 500ms}
  - {id: page, http: {url: "https://www.example.org/a?b=c"}}
  - {id: page2, http: {url: http://10.0.0.1:8080, status: 302, body: "x y", follow: true}}
  - {id: page3, http: {url: https://10.0.0.1, ca: /etc/ca.pem, insecure: false}}
  - {id: dns, dns: {server: 10.0.0.53, name: www.example.org.}}
  - {id: dns6, dns: {server: "[2001:db8::53]:5353", name: example.org, type: MX, answer: [10 mx.example.org, 20 mx2.example.org]}}
  - {id: program, command: [/bin/check, -n, 3, "a b"], timeout: 1m}
closed:
  - {id: old, port: tcp/8080}
  - {id: v6, port: udp/53, address: "2001:db8::1", from: "2001:db8::2"}
`

func TestSmokeTestsAreRead(t *testing.T) {
	p := parsedPolicy(t, smokes)
	want := []host.Probe{
		{ID: "tcp", TCP: "[2001:db8::1]:443", Timeout: 500 * time.Millisecond, Line: 3},
		{ID: "page", HTTP: &host.HTTPProbe{URL: "https://www.example.org/a?b=c", Status: 200}, Timeout: usualTimeout, Line: 4},
		{ID: "page2", HTTP: &host.HTTPProbe{URL: "http://10.0.0.1:8080", Status: 302, Body: "x y", Follow: true}, Timeout: usualTimeout, Line: 5},
		{ID: "page3", HTTP: &host.HTTPProbe{URL: "https://10.0.0.1", Status: 200, CA: "/etc/ca.pem"}, Timeout: usualTimeout, Line: 6},
		{ID: "dns", DNS: &host.DNSProbe{Server: netip.MustParseAddrPort("10.0.0.53:53"), Name: "www.example.org", Type: "A"}, Timeout: usualTimeout, Line: 7},
		{ID: "dns6", DNS: &host.DNSProbe{Server: netip.MustParseAddrPort("[2001:db8::53]:5353"), Name: "example.org", Type: "MX",
			Answers: []string{"10 mx.example.org", "20 mx2.example.org"}}, Timeout: usualTimeout, Line: 8},
		{ID: "program", Command: []string{"/bin/check", "-n", "3", "a b"}, Timeout: time.Minute, Line: 9},
	}
	if !reflect.DeepEqual(p.Smoke, want) {
		t.Errorf("%+v", p.Smoke)
	}
	closed := []host.Closed{{ID: "old", Proto: host.TCP, Port: 8080, Line: 11},
		{ID: "v6", Proto: host.UDP, Port: 53, Address: netip.MustParseAddr("2001:db8::1"), From: netip.MustParseAddr("2001:db8::2"), Line: 12}}
	if !reflect.DeepEqual(p.Closed, closed) {
		t.Errorf("%+v", p.Closed)
	}
	words := []string{}
	for i := range p.Smoke {
		words = append(words, p.Smoke[i].String())
	}
	for i := range p.Closed {
		words = append(words, p.Closed[i].String())
	}
	if got := strings.Join(words, "\n"); got != `tcp [2001:db8::1]:443
http https://www.example.org/a?b=c answers 200
http http://10.0.0.1:8080 answers 302
http https://10.0.0.1 answers 200
dns A www.example.org at 10.0.0.53:53
dns MX example.org at [2001:db8::53]:5353
command /bin/check -n 3 a b
tcp/8080
udp/53 at 2001:db8::1 from 2001:db8::2` {
		t.Error(got)
	}
}

func TestBadSmokeTests(t *testing.T) {
	for text, want := range map[string]string{
		"{}":      "has no id",
		"{id: a}": "asks one thing, not 0",
		`{id: a, tcp: "10.0.0.1:1", http: {url: http://x}}`:       "asks one thing, not 2",
		"{id: a, tcp: 10.0.0.1}":                                  "no HOST:PORT",
		`{id: a, tcp: "10.0.0.1:0"}`:                              "no port",
		`{id: a, tcp: "10.0.0.1:65536"}`:                          "no port",
		`{id: a, tcp: "10.0.0.1:http"}`:                           "no port",
		`{id: a, tcp: ":80"}`:                                     "neither an address nor a name",
		`{id: a, tcp: "a b:80"}`:                                  "neither an address nor a name",
		`{id: a, tcp: "-x:80"}`:                                   "neither an address nor a name",
		"{id: a, http: {}}":                                       "http has no url",
		"{id: a, http: x}":                                        "must be a mapping",
		"{id: a, http: {url: ftp://x}}":                           "no page",
		"{id: a, http: {url: /x}}":                                "no page",
		"{id: a, http: {url: 'http://u:p@x'}}":                    "no place for a password",
		"{id: a, http: {url: 'http://x/#y'}}":                     "behind #",
		"{id: a, http: {url: 'http://[::1'}}":                     "no page",
		"{id: a, http: {url: http://x, insecure: true}}":          "insecure is for https",
		"{id: a, http: {url: http://x, ca: /x}}":                  "ca is for https",
		"{id: a, http: {url: https://x, ca: x}}":                  "is relative",
		"{id: a, http: {url: https://x, ca: /x, insecure: true}}": "insecure and ca together",
		"{id: a, http: {url: https://x, insecure: 1}}":            "true or false",
		"{id: a, http: {url: https://x, status: 600}}":            "from 100 to 599",
		"{id: a, http: {url: https://x, status: '200'}}":          "from 100 to 599",
		"{id: a, http: {url: https://x, method: POST}}":           "unknown key",
		"{id: a, dns: {name: x}}":                                 "dns has no server",
		"{id: a, dns: {server: 10.0.0.1}}":                        "dns has no name",
		"{id: a, dns: {server: ns, name: x}}":                     "is no server",
		"{id: a, dns: {server: 'fe80::1%eth0', name: x}}":         "is no server",
		"{id: a, dns: {server: '10.0.0.1:0', name: x}}":           "is no server",
		"{id: a, dns: {server: 10.0.0.1, name: x, type: AAA}}":    `did you mean`,
		"{id: a, dns: {server: 10.0.0.1, name: x, answer: []}}":   "empty list",
		"{id: a, command: /bin/true}":                             "must be a list",
		"{id: a, command: []}":                                    "must be a list",
		"{id: a, command: [true]}":                                "must be text",
		"{id: a, command: [check]}":                               "no absolute path",
		"{id: a, command: [/bin/../tmp/check]}":                   "no absolute path",
		"{id: a, command: [/bin/sh, [x]]}":                        "must be text",
		`{id: a, tcp: "x:1", timeout: 5}`:                         "no time from",
		`{id: a, tcp: "x:1", timeout: 50ms}`:                      "no time from",
		`{id: a, tcp: "x:1", timeout: 61s}`:                       "no time from",
		`{id: a, tcp: "x:1", timeout: -5s}`:                       "no time from",
		`{id: "a b", tcp: "x:1"}`:                                 "is no id",
	} {
		_, err := Parse([]byte("version: 1\nsmoke:\n  - "+text+"\n"), "p")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "p:3:") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestBadClosed(t *testing.T) {
	for text, want := range map[string]string{
		"{id: a}": "has no port", "{port: tcp/80}": "has no id", "{id: a, port: 80}": "is no port", "{id: a, port: tcp/0}": "is no port",
		"{id: a, port: icmp/80}": "is no port", "{id: a, port: tcp/80-90}": "is no port", "{id: a, port: tcp/80, address: 10.0.0.0/8}": "no address of one host",
		"{id: a, port: tcp/80, address: '::'}": "no address of one host", "{id: a, port: tcp/80, address: x}": "no address of one host",
		"{id: a, port: tcp/80, address: 10.0.0.1, from: '2001:db8::1'}": "different families", "{id: s, port: tcp/80}": `duplicate id "s"`,
		"{id: a, port: tcp/80, netns: x}": "unknown key",
	} {
		_, err := Parse([]byte("version: 1\nsmoke: [{id: s, tcp: 'x:1'}]\nclosed:\n  - "+text+"\n"), "p")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "p:4:") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestLintLooksAtTheFilesOfSmokeTests(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("good", 0o755)
	write("open", 0o777)
	write("ca", 0o644)
	p := parsedPolicy(t, strings.ReplaceAll(`version: 1
smoke:
  - {id: good, command: [DIR/good]}
  - {id: open, command: [DIR/open]}
  - {id: gone, command: [DIR/gone]}
  - {id: ca, http: {url: https://x, ca: DIR/ca}}
  - {id: noca, http: {url: https://x, ca: DIR/noca}}
  - {id: other, tcp: "x:1"}
`, "DIR", dir))
	got := []string{}
	for _, f := range LintFiles(p) {
		if f.Level != Warning || !strings.HasPrefix(f.Text, "smoke test cannot pass: ") {
			t.Errorf("%+v", f)
		}
		got = append(got, f.ID)
	}
	if strings.Join(got, " ") != "open gone noca" {
		t.Errorf("%v", got)
	}
}

func FuzzChangeKeys(f *testing.F) {
	for _, s := range []string{nights, eve, "days: x", "{id: a, tcp: 'x:1'}", "{id: a, dns: {server: '[::1]:53', name: x}}", "{id: a, port: tcp/80}", "{id: a, http: {url: 'http://x'}}", "{id: a, command: [/x]}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, around := range []string{"change: {windows: [%]}", "smoke: [%]", "closed: [%]", "change: %"} {
			p, err := Parse([]byte("version: 1\n"+strings.Replace(around, "%", text, 1)), "p")
			if err != nil {
				continue
			}
			for _, w := range p.Change.Windows {
				if w.Zone == nil || w.From < 0 || w.From >= minutesOfDay || w.To > minutesOfDay || w.From == w.To {
					t.Errorf("%+v", w)
				}
			}
			for _, s := range p.Smoke {
				if s.Timeout < shortestTimeout || s.Timeout > longestTimeout || s.ID == "" || s.String() == "" {
					t.Errorf("%+v", s)
				}
			}
			for _, c := range p.Closed {
				if c.Port == 0 || c.Proto == 0 || c.ID == "" {
					t.Errorf("%+v", c)
				}
			}
		}
	})
}
