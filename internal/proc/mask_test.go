package proc

import (
	"strings"
	"testing"
)

func TestSecretsAreMasked(t *testing.T) {
	for in, want := range map[string]string{
		"redis|--requirepass|hunter2|--port|6379":                     "redis|--requirepass|***|--port|6379",
		"x|--password=hunter2":                                        "x|--password=***",
		"x|--password=a,b;c d":                                        "x|--password=***",
		"x|--db-password|hunter2":                                     "x|--db-password|***",
		"x|--dbPassword|hunter2":                                      "x|--dbPassword|***",
		"x|-Djavax.net.ssl.keyStorePassword=hunter2":                  "x|-Djavax.net.ssl.keyStorePassword=***",
		"x|--api-key|hunter2|--apikey=hunter2":                        "x|--api-key|***|--apikey=***",
		"x|--auth-token=hunter2":                                      "x|--auth-token=***",
		"chisel|client|--auth|me:hunter2|host":                        "chisel|client|--auth|***|host",
		"x|--auth-required|hunter2":                                   "x|--auth-required|***",
		"env|PGPASSWORD=hunter2|psql":                                 "env|PGPASSWORD=***|psql",
		"openssl|s_server|-pass|pass:hunter2":                         "openssl|s_server|-pass|***",
		"x|http://me:hunter2@proxy.example:3128/x":                    "x|http://***@proxy.example:3128/x",
		"x|--proxy=socks5://me:hunt@er2@proxy.example":                "x|--proxy=socks5://***@proxy.example",
		"sshpass|-p|hunter2|ssh|h":                                    "sshpass|-p|***|ssh|h",
		"/usr/bin/mysql|-phunter2":                                    "/usr/bin/mysql|-p***",
		"curl|-u|me:hunter2|h":                                        "curl|-u|***|h",
		"ss-server|-k|hunter2|-p|8388":                                "ss-server|-k|***|-p|8388",
		"socat|TCP-LISTEN:80|PROXY:h:1:2,proxyauth=me:hunter2,mark=1": "socat|TCP-LISTEN:80|PROXY:h:1:2,proxyauth=***,mark=1",
		"sh|-c|relay --token hunter2 --port 80":                       "sh|-c|relay --token *** --port 80",
		"relay --password hunter2":                                    "relay --password ***",
	} {
		got := strings.Join(Mask(strings.Split(in, "|")), "|")
		if got != want {
			t.Errorf("%s\n gave %s\n want %s", in, got, want)
		}
		if strings.Contains(got, "hunter2") || strings.Contains(got, "er2") {
			t.Errorf("%s: the secret shows in %s", in, got)
		}
	}
}

// What is no secret must stay: it is how a person knows the process.
func TestOtherArgumentsStay(t *testing.T) {
	for _, in := range []string{
		"", "nginx: master process /usr/sbin/nginx", "socat|TCP-LISTEN:80,fork,reuseaddr|TCP:10.0.0.1:8080",
		"ssh|-N|-L|0.0.0.0:80:10.0.0.1:8080|me@gateway", "x|--bypass|10.0.0.0/8", "x|--passive|80", "x|-p|80",
		"haproxy|-f|/etc/haproxy/haproxy.cfg|-p|/run/haproxy.pid", "x|http://host/path@2", "x|--token|--listen|80",
		"dnsmasq|--conf-file=/x|--dhcp-range=10.0.0.2,10.0.0.9", "docker-proxy|-proto|tcp|-host-ip|0.0.0.0|-host-port|80",
		"x|--compass|north", "x|author:me", "rinetd",
	} {
		if got := strings.Join(Mask(strings.Split(in, "|")), "|"); got != in {
			t.Errorf("%s became %s", in, got)
		}
	}
	if got := Mask(nil); len(got) != 0 {
		t.Errorf("no arguments became %q", got)
	}
}

func FuzzMask(f *testing.F) {
	f.Add("x|--password|hunter2")
	f.Add("x|http://a:b@c|--token=x")
	f.Fuzz(func(t *testing.T, text string) {
		args := strings.Split(text, "|")
		if got := Mask(args); len(got) != len(args) && got[len(got)-1] != leftOut {
			t.Errorf("%d arguments became %d", len(args), len(got))
		}
		const secret = "S3CR3T"
		for _, opt := range []string{"--password=" + secret, "http://u:" + secret + "@h"} {
			if got := strings.Join(Mask(append(args, opt)), "|"); strings.Count(got, secret) > strings.Count(text, secret) {
				t.Errorf("the secret shows in %q", got)
			}
		}
	})
}

// Megabytes of arguments neither fill the report nor keep it waiting, and
// what is cut shows no half of a secret.
func TestLongCommandLines(t *testing.T) {
	secret := "http://me:" + strings.Repeat("hunter2", 1000) + "@h"
	for name, args := range map[string][]string{
		"one long":    {"x", strings.Repeat("a ", 1<<20)},
		"many":        strings.Split(strings.Repeat("a|", 1<<16), "|"),
		"a long URL":  {"x", "y " + secret},
		"long option": {"x", "--password", strings.Repeat("hunter2", 1000), "--port", "80"},
	} {
		got := Mask(args)
		text := strings.Join(got, " ")
		if len(text) > longestTotal+100 || strings.Contains(text, "hunter2") {
			t.Errorf("%s: %d bytes, %.60q", name, len(text), text)
		}
		if name != "long option" && !strings.HasSuffix(text, leftOut) {
			t.Errorf("%s: nothing says that something was left out", name)
		}
	}
}
