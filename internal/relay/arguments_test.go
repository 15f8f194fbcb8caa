package relay

import (
	"slices"
	"strings"
	"testing"
)

func TestProgramsThatSayItInTheirArguments(t *testing.T) {
	split := func(s string) []string { return strings.Split(s, "|") }
	cases := map[string]reading{}
	for line, want := range map[string]string{
		"socat|TCP-LISTEN:80,fork|TCP:10.0.0.1:8080":                                                                "tcp :80 10.0.0.1:8080",
		"socat|-d|-t|5|tcp-l:80,reuseaddr,fork|tcp4:10.0.0.1:8080,bind=1.2.3.4":                                     "tcp :80 10.0.0.1:8080",
		"socat|TCP4:10.0.0.1:8080|tcp4-listen:80,bind=127.0.0.1":                                                    "tcp 127.0.0.1:80 10.0.0.1:8080",
		"socat|TCP6-LISTEN:80|TCP6:[fd00::1]:8080":                                                                  "tcp :80 [fd00::1]:8080",
		"socat|udp-recvfrom:53,fork|udp:10.0.0.1:53":                                                                "udp :53 10.0.0.1:53",
		"socat|UDP4-LISTEN:53,fork|UDP4-SENDTO:10.0.0.1:53":                                                         "udp :53 10.0.0.1:53",
		"socat|openssl-listen:443,cert=x.pem|tcp:backend.example:80":                                                "tcp :443 backend.example:80",
		"socat|TCP-LISTEN:80|UNIX-CONNECT:/run/x.sock":                                                              "tcp :80 unix:/run/x.sock",
		"socat|TCP-LISTEN:80|ABSTRACT-CONNECT:x":                                                                    "tcp :80 unix:@x",
		"socat|UNIX-LISTEN:/run/x.sock,fork|TCP:10.0.0.1:80":                                                        "tcp /run/x.sock 10.0.0.1:80",
		"socat|TCP-LISTEN:80|SOCKS4A:proxy:10.0.0.1:8080,socksport=9050":                                            "tcp :80 10.0.0.1:8080",
		"socat|TCP-LISTEN:80|SOCKS5:proxy:1080:10.0.0.1:8080":                                                       "tcp :80 10.0.0.1:8080",
		"socat|TCP-LISTEN:80|PROXY:proxy:backend.example:8080,proxyport=3128":                                       "tcp :80 backend.example:8080",
		"socat|TCP-LISTEN:80|OPENSSL:10.0.0.1:443,verify=0":                                                         "tcp :80 10.0.0.1:443",
		"socat|TCP-LISTEN:80,fork|EXEC:\"ssh -p 2222 me@10.0.0.1 nc x 80\"":                                         "tcp :80 10.0.0.1:2222",
		"socat|TCP-LISTEN:80,fork|SYSTEM:nc 10.0.0.1 8080":                                                          "tcp :80 10.0.0.1:8080",
		"socat|TCP-LISTEN:80,fork|EXEC:/bin/cat":                                                                    "tcp :80 serves",
		"socat|TCP-LISTEN:80,fork|OPEN:/tmp/log,append":                                                             "tcp :80 serves",
		"socat|-|TCP:10.0.0.1:80":                                                                                   "",
		"socat|TCP:10.0.0.1:80|TCP:10.0.0.2:80":                                                                     "",
		"socat|TCP-LISTEN:80!!OPEN:/tmp/x|TCP:10.0.0.1:8080":                                                        "tcp :80 10.0.0.1:8080",
		"systemd-socket-proxyd|10.0.0.1:8080":                                                                       "10.0.0.1:8080",
		"systemd-socket-proxyd|--connections-max|5|10.0.0.1":                                                        "10.0.0.1:80",
		"systemd-socket-proxyd|/run/x.sock":                                                                         "unix:/run/x.sock",
		"systemd-socket-activate|-l|80|/lib/systemd/systemd-socket-proxyd|10.0.0.1:8080":                            "10.0.0.1:8080",
		"systemd-socket-activate|-l|80|/usr/bin/cat":                                                                "",
		"docker-proxy|-proto|tcp|-host-ip|0.0.0.0|-host-port|80|-container-ip|172.17.0.2|-container-port|8080":      "tcp :80 172.17.0.2:8080",
		"docker-proxy|-proto=udp|-host-ip=::|-host-port=53|-container-ip=fd00::2|-container-port=53|-use-listen-fd": "udp :53 [fd00::2]:53",
		"ncat|-k|-l|80|-e|/usr/bin/ncat 10.0.0.1 8080":                                                              "10.0.0.1:8080",
		"ncat|-lkp|80|--sh-exec|ncat -x proxy 10.0.0.1 8080":                                                        "10.0.0.1:8080",
		"ncat|-l|80|-c|tee /tmp/log \\| nc 10.0.0.1 8080":                                                           "10.0.0.1:8080",
		"ncat|-l|8080|--proxy-type|http":                                                                            "open",
		"ncat|-l|80|-e|/bin/cat":                                                                                    "",
		"ncat|10.0.0.1|80":                                                                                          "",
		"nc|-l|-p|80|-e|nc 10.0.0.1 8080":                                                                           "10.0.0.1:8080",
		"busybox|nc|-l|-p|80|-e|/bin/busybox|nc|10.0.0.1|8080":                                                      "10.0.0.1:8080",
		"busybox|tcpsvd|-vE|0|80|nc|10.0.0.1|8080":                                                                  "10.0.0.1:8080",
		"tcpserver|0|80|nc|10.0.0.1|8080":                                                                           "10.0.0.1:8080",
		"ssh|-N|-g|-L|80:127.0.0.1:8080|me@10.0.0.1":                                                                "tcp :80\nrest",
		"ssh|-L0.0.0.0:80:10.9.9.9:8080|-D|*:1080|me@10.0.0.1":                                                      "tcp :80\ntcp :1080 open\nrest",
		"ssh|-L|[::]:80:10.9.9.9:8080|h":                                                                            "tcp :80\nrest",
		"ssh|-oLocalForward=80 10.9.9.9:8080|h":                                                                     "tcp :80\nrest",
		"sslh|-p|0.0.0.0:443|--ssh|127.0.0.1:22|--tls|10.0.0.1:443|--anyprot=10.0.0.2:80":                           "tcp 127.0.0.1:22 10.0.0.1:443 10.0.0.2:80",
		"sslh|--ssh|127.0.0.1|22|--http|10.0.0.1|8080":                                                              "tcp 127.0.0.1:22 10.0.0.1:8080",
		"hitch|-f|[*]:443|-b|[10.0.0.1]:80|x.pem":                                                                   "tcp 10.0.0.1:80",
		"varnishd|-a|:80|-b|10.0.0.1:8080":                                                                          "tcp 10.0.0.1:8080",
		"gost|-L|tcp://:80/10.0.0.1:8080":                                                                           ":80 10.0.0.1:8080",
		"gost|-L=:8080|-F=socks5://10.0.0.1:1080":                                                                   ":8080 10.0.0.1:1080 open",
		"gost|-L=http://user:pw@:8080":                                                                              ":8080 open",
		"chisel|client|http://10.0.0.1:9000|80:10.9.9.9:80":                                                         "10.0.0.1:9000",
		"chisel|server|-p|80|--reverse":                                                                             "open",
		"tinyproxy|-d":                                                                                              "open",
		"caddy|reverse-proxy|--from|:80|--to|10.0.0.1:8080":                                                         "10.0.0.1:8080 10.0.0.1:8080",
		"envoy|--config-yaml|address: 10.0.0.1, port_value: 8080":                                                   "10.0.0.1:8080",
	} {
		words := split(strings.ReplaceAll(line, `\|`, "\x00"))
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "\x00", "|")
		}
		cases[line] = reading{program: words[0], args: words[1:], want: want}
	}
	checkReadings(t, cases)
}

// A relay whose destination cannot be found is an error, never silence.
func TestRelaysThatDoNotSay(t *testing.T) {
	checkReadings(t, map[string]reading{
		"a script":            {program: "socat", args: []string{"TCP-L:80", "EXEC:/opt/handler"}, want: "tcp :80", err: true},
		"two listeners":       {program: "socat", args: []string{"TCP-L:80", "TCP-L:81"}, want: "tcp", err: true},
		"a tunnel device":     {program: "socat", args: []string{"UDP-L:80", "TUN:10.0.0.1/24"}, want: "udp :80", err: true},
		"half a docker-proxy": {program: "docker-proxy", args: []string{"-proto", "tcp"}, err: true},
		"no configuration":    {program: "haproxy", args: []string{"-f", "DIR/none.cfg"}, err: true},
		"frps":                {program: "frps", err: true},
		"a lua script":        {program: "ncat", args: []string{"-l", "80", "--lua-exec", "x.lua"}, err: true},
		"stunnel by fd":       {program: "stunnel4", args: []string{"-fd", "0"}, err: true},
		"sslh without any":    {program: "sslh", args: []string{"-p", "0.0.0.0:80"}, want: "tcp", err: true},
	})
}

func TestArguments(t *testing.T) {
	for raw, want := range map[string]string{
		"": "", "\x00\x00": "", "socat\x00TCP-L:80\x00": "socat|TCP-L:80",
		"nginx: master process /usr/sbin/nginx -c /x\x00\x00\x00": "/usr/sbin/nginx|-c|/x",
		"nginx: worker process\x00\x00":                           "nginx:|worker|process",
		"sshd: root@notty":                                        "sshd:|root@notty",
		"a b: c\x00d\x00":                                         "a b: c|d",
		"x\x00\x00y\x00":                                          "x||y",
	} {
		if got := strings.Join(arguments([]byte(raw)), "|"); got != want {
			t.Errorf("%q gave %q, want %q", raw, got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	p := &program{args: []string{"x", "-f", "a", "-fb", "--file", "c", "--file=d", "-long=e", "-f"}}
	if got := p.options("-f", "--file", "-long"); !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("got %q", got)
	}
	if _, ok := (&program{}).option("-f"); ok {
		t.Error("found in no arguments")
	}
}

func TestListenAddresses(t *testing.T) {
	for text, want := range map[string]string{
		"80": ":80", ":80": ":80", "*:80": ":80", "[::]:80": ":::80", ":::80": ":::80", "0.0.0.0:80-90": "0.0.0.0:80-90", "10.0.0.1": "10.0.0.1",
		"[fd00::1]:443": "fd00::1:443", "unix:/x": "/x", "abns@x": "@x", "/x": "/x", "http": "", "": "", "90-80": "", "localhost:80": ":80", ":99999": "", "::ffff:10.0.0.1:80": "10.0.0.1:80",
	} {
		h := hop{listen: parseListen(text)}
		if got := wayText([]hop{h}); got != want {
			t.Errorf("%q gave %q, want %q", text, got, want)
		}
	}
}

func TestDestinations(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1:80": "10.0.0.1:80", "[fd00::1]:80": "[fd00::1]:80", "fd00::1": "[fd00::1]:7", "10.0.0.1": "10.0.0.1:7", "name": "name:7", "name:80": "name:80",
		"localhost:80": "127.0.0.1:80", "http://10.0.0.1": "10.0.0.1:80", "https://me:pw@host.example/path": "host.example:443", "http://unix:/run/x:/uri": "unix:/run/x",
		"unix:/run/x": "unix:/run/x", "/run/x": "unix:/run/x", "\"10.0.0.1:80\"": "10.0.0.1:80", "": "127.0.0.1:7", "::ffff:10.0.0.1": "10.0.0.1:7",
	} {
		def := uint16(7)
		if strings.Contains(text, "://") {
			def = 0
		}
		got := parseDestination(text, def).String()
		if got != want && !(text == "http://unix:/run/x:/uri" && strings.HasPrefix(got, "unix:/run/x")) {
			t.Errorf("%q gave %q, want %q", text, got, want)
		}
	}
}

func TestCommandsThatConnect(t *testing.T) {
	for command, want := range map[string]string{
		"nc 10.0.0.1 80":                                 "10.0.0.1:80",
		"/bin/nc.openbsd -N -w 5 10.0.0.1 80":            "10.0.0.1:80",
		"nc -U /run/x":                                   "unix:/run/x",
		"nc -l 80":                                       "",
		"exec nohup timeout 5 nc 10.0.0.1 80":            "10.0.0.1:80",
		"ip netns exec x socat - TCP:10.0.0.1:80":        "10.0.0.1:80",
		"X=1 socat TCP:10.0.0.1:80 STDIO":                "10.0.0.1:80",
		"sh -c 'exec nc 10.0.0.1 80'":                    "10.0.0.1:80",
		"sh -c \"sh -c 'sh -c \\\"nc 10.0.0.1 80\\\"'\"": "10.0.0.1:80",
		"openssl s_client -quiet -connect 10.0.0.1:443":  "10.0.0.1:443",
		"ssh -i key -o X=y me@10.0.0.1 cat":              "10.0.0.1:22",
		"ssh -p2222 host.example":                        "host.example:2222",
		"telnet 10.0.0.1 80":                             "10.0.0.1:80",
		"busybox nc 10.0.0.1 80":                         "10.0.0.1:80",
		"cat /etc/hosts.allow":                           "",
		"python3 -c 'print(\"10.0.0.1 80\")'":            "",
		"curl http://10.0.0.1:80/":                       "",
		"":                                               "",
	} {
		w, ok := scriptConnector(command, 0)
		if got := w.to.String(); ok != (want != "") || ok && got != want {
			t.Errorf("%q gave %q %v, want %q", command, got, ok, want)
		}
	}
}

func FuzzArguments(f *testing.F) {
	f.Add([]byte("socat\x00TCP-L:80!!x\x00EXEC:\"ssh x\""))
	f.Add([]byte("nginx: master process nginx"))
	f.Add([]byte("ssh\x00-L[::]:80:x:1\x00-oLocalForward=1 2\x00h"))
	f.Add([]byte("gost\x00-L\x00://\x00-F="))
	names := []string{"socat", "ssh", "ncat", "busybox", "systemd-socket-proxyd", "systemd-socket-activate", "docker-proxy", "gost", "chisel", "tcpserver", "inetd"}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, name := range names {
			p := &program{pid: -1, name: name, args: arguments(raw)}
			if read := known(p); read != nil {
				_, _ = read(p)
			}
		}
		_ = mended(string(raw))
	})
}

// mended runs the small parsers on one text.
func mended(text string) []string {
	_, _ = scriptConnector(text, 0)
	return []string{parseDestination(text, 1).String(), wayText([]hop{{listen: parseListen(text)}}), strings.Join(rejoined(strings.Split(text, "\x00")), " ")}
}
