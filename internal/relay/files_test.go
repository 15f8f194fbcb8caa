package relay

import (
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/lab/labtest"
)

func TestHAProxy(t *testing.T) {
	read := func(text string, want string) reading {
		return reading{program: "haproxy", args: []string{"-f", "DIR/h.cfg"}, files: map[string]string{"h.cfg": text}, want: want + "\nrest"}
	}
	checkReadings(t, map[string]reading{
		"listen":            read("listen x\n bind :80\n server b 10.0.0.1:8080 check\n", "tcp :80 10.0.0.1:8080"),
		"comment and quote": read("listen x # y\n bind \"*:80\" # z\n server b '10.0.0.1:8080'\n", "tcp :80 10.0.0.1:8080"),
		"frontend":          read("frontend f\n bind 10.9.9.9:80,:::443 ssl crt x\n default_backend b\nbackend b\n default-server check\n server s1 10.0.0.1:8080\n server s2 [fd00::1]:8080 backup\n", "tcp 10.9.9.9:80 10.0.0.1:8080 [fd00::1]:8080\ntcp :::443 10.0.0.1:8080 [fd00::1]:8080"),
		"use_backend":       read("backend a\n server s 10.0.0.1\nbackend b\n server s 10.0.0.2:+1\nfrontend f\n bind :80-90\n use_backend a if x\n use_backend %[var(txn.b)]\n", "tcp :80-90 10.0.0.1:80 10.0.0.2:81"),
		"default_backend of defaults": read("defaults d\n default_backend b\nfrontend f\n bind :80\nbackend b\n server s 10.0.0.1:80\ndefaults\nfrontend g\n bind :81\n",
			"tcp :80 10.0.0.1:80\ntcp :81 serves"),
		"families":    read("listen x\n bind ipv4@:80\n bind unix@/run/in.sock\n server a ipv4@10.0.0.1:80\n server b unix@/run/x.sock\n server c abns@y\n", "tcp :80 unix:@y 10.0.0.1:80 unix:/run/x.sock\ntcp /run/in.sock unix:@y 10.0.0.1:80 unix:/run/x.sock"),
		"template":    read("listen x\n bind :80\n server-template srv 1-3 pool.example:8080 check\n use-server srv1 if a\n", "tcp :80 pool.example:8080"),
		"statistics":  read("global\n stats socket ipv4@127.0.0.1:9999\nfrontend s\n bind :8404\n stats enable\n http-request return status 200\n", "tcp 127.0.0.1:9999 serves\ntcp :8404 serves"),
		"transparent": read("listen x\n bind :80 transparent\n server s 0.0.0.0:0\nlisten y\n bind :81\n option transparent\n", "tcp :80 open\ntcp :81 open"),
		"peers":       read("peers p\n peer a 10.0.0.1:1024\n", "tcp 10.0.0.1:1024 serves"),
		"nothing":     read("", ""),
		"torn":        read("listen\n bind\n server x\nuse_backend\n", ""),
		"several files and a folder": {program: "haproxy", args: []string{"-W", "-f", "a.cfg", "-fd", "-S", "127.0.0.1:99", "--", "last.cfg"},
			files: map[string]string{"a.cfg": "frontend f\n bind :80\n default_backend b\n", "d/b.cfg": "backend b\n server s 10.0.0.1:1\n", "d/no.txt": "listen z\n bind :7\n server s 10.0.0.7:7\n", "last.cfg": "backend b\n server t 10.0.0.2:2\n"},
			want:  "tcp :80 10.0.0.1:1 10.0.0.2:2\n127.0.0.1:99 serves\nrest"},
	})
}

func TestNginx(t *testing.T) {
	read := func(text string, want string) reading {
		return reading{program: "nginx", args: []string{"-c", "DIR/n.conf"}, files: map[string]string{"n.conf": text}, want: want}
	}
	checkReadings(t, map[string]reading{
		"a location":       read("http { server { listen 80; location / { proxy_pass http://10.0.0.1:8080; } } }", "tcp :80 10.0.0.1:8080"),
		"it serves":        read("http { server { listen 80; root /var/www; } }", "tcp :80 serves"),
		"no listen":        read("http { server { location / { proxy_pass http://10.0.0.1; } } }", "tcp :80 10.0.0.1:80\ntcp :8000 10.0.0.1:80"),
		"an upstream":      read("http { upstream u { least_conn; server 10.0.0.1:81 weight=2; server [fd00::1]; server unix:/run/x; } server { listen [::]:80; location / { if ($x) { proxy_pass https://u/path; } } } }", "tcp :::80 10.0.0.1:81 [fd00::1]:80 unix:/run/x"),
		"a later upstream": read("http { server { listen 127.0.0.1:80; location / { proxy_pass http://u; } } upstream u { server 10.0.0.1:81; } }", "tcp 127.0.0.1:80 10.0.0.1:81"),
		"a stream":         read("stream { server { listen 53 udp reuseport; proxy_pass 10.0.0.1:53; } server { listen 12-14; proxy_pass backend.example:1; } }", "udp :53 10.0.0.1:53\ntcp :12-14 backend.example:1"),
		"a unix listener":  read("http { server { listen unix:/run/n.sock; location / { proxy_pass http://10.0.0.1; } } }", "tcp /run/n.sock 10.0.0.1:80"),
		"a variable with a value": read("http { map $host $pool { default 10.0.0.1:1; a.example 10.0.0.2:2; } server { listen 80; set $up http://10.0.0.3:3; location /a { proxy_pass http://$pool$request_uri; } location /b { proxy_pass ${up}; } } }",
			"tcp :80 10.0.0.1:1 10.0.0.2:2 10.0.0.3:3"),
		"a variable of the request": read("http { server { listen 80; location / { resolver 10.0.0.53; proxy_pass http://$http_host$request_uri; } } }", "tcp :80 open"),
		"a variable in the path":    read("http { server { listen 80; location / { proxy_pass http://10.0.0.1:81/$uri; } } }", "tcp :80 10.0.0.1:81"),
		"grpc and fastcgi":          read("http { server { listen 80; location /a { grpc_pass grpcs://10.0.0.1; } location ~ \"\\.php{1}$\" { fastcgi_pass unix:/run/php.sock; } } }", "tcp :80 10.0.0.1:443 unix:/run/php.sock"),
		"mail":                      read("mail { auth_http 127.0.0.1/auth; server { listen 25; protocol smtp; } }", "tcp :25 open"),
		"comments":                  read("http { # } \n server { listen 80; # proxy_pass http://1.2.3.4;\n } }", "tcp :80 serves"),
		"includes": {program: "nginx", args: []string{"-p", "DIR/", "-c", "conf/n.conf"}, files: map[string]string{
			"conf/n.conf": "include mod/*.conf; http { include sites/*/on.conf; include none/*.conf; }", "conf/mod/a.conf": "stream { include DIR/conf/s.inc; }",
			"conf/s.inc": "server { listen 53 udp; proxy_pass 10.0.0.1:53; }", "conf/sites/b/on.conf": "server { listen 82; location / { proxy_pass http://10.0.0.2:82; } }",
			"conf/sites/a/on.conf": "server { listen 81; location / { proxy_pass http://10.0.0.1:81; } }", "conf/sites/a/off.conf": "server { listen 83; location / { proxy_pass http://10.0.0.3; } }"},
			want: "udp :53 10.0.0.1:53\ntcp :81 10.0.0.1:81\ntcp :82 10.0.0.2:82"},
		"an include that is gone": {program: "nginx", args: []string{"-c", "DIR/n.conf"}, files: map[string]string{"n.conf": "include DIR/none.conf;"}, err: true},
		"an endless include":      {program: "nginx", args: []string{"-c", "DIR/n.conf"}, files: map[string]string{"n.conf": "include DIR/n.conf;"}, err: true},
		"open braces":             {program: "nginx", args: []string{"-c", "DIR/n.conf"}, files: map[string]string{"n.conf": "http { server { listen 80;"}, err: true},
		"too many ends":           {program: "nginx", args: []string{"-c", "DIR/n.conf"}, files: map[string]string{"n.conf": "http { } }"}, err: true},
	})
}

func TestApache(t *testing.T) {
	read := func(text string, want string) reading {
		return reading{program: "apache2", args: []string{"-d", "DIR", "-f", "a.conf"}, files: map[string]string{"a.conf": text}, want: want}
	}
	checkReadings(t, map[string]reading{
		"it serves":       read("Listen 80\nDocumentRoot /var/www\n", "tcp :80 serves"),
		"ProxyPass":       read("Listen 80\nProxyPass / http://10.0.0.1:8080/ retry=0\nProxyPass /x !\n", "tcp :80 10.0.0.1:8080"),
		"virtual hosts":   read("Listen 80\nListen 81\n<VirtualHost *:81>\n <Location /a>\n  proxypass https://10.0.0.1/\n </Location>\n</VirtualHost>\n<VirtualHost *:80>\n</VirtualHost>\n", "tcp :80 serves\ntcp :81 serves\ntcp :81 10.0.0.1:443\ntcp :80 serves"),
		"a rewrite":       read("Listen 80\nRewriteRule ^/(.*)$ http://10.0.0.1:1/$1 [L,P]\nRewriteRule ^/y http://10.0.0.2/ [R]\n", "tcp :80 10.0.0.1:1"),
		"a balancer":      read("Listen 80\n<Proxy \"balancer://Pool\">\n BalancerMember http://10.0.0.1:1 route=a\n BalancerMember ajp://10.0.0.2\n</Proxy>\nProxyPass \"/\" \"balancer://pool/\"\n", "tcp :80 10.0.0.1:1 10.0.0.2:8009"),
		"a match":         read("Listen 80\nProxyPassMatch ^/(.*)$ http://10.0.0.1:1/$1\n", "tcp :80 10.0.0.1:1"),
		"a handler":       read("Listen 80\n<FilesMatch php>\nSetHandler \"proxy:unix:/run/php.sock|fcgi://localhost\"\n</FilesMatch>\n", "tcp :80 unix:/run/php.sock"),
		"a forward proxy": read("Listen 80\nProxyRequests On\n", "tcp :80 open"),
		"definitions":     read("Define up 10.0.0.1:1\nListen 80\nProxyPass / \\\n http://${up}/\n# ProxyPass / http://1.1.1.1\n", "tcp :80 10.0.0.1:1"),
		"includes": {program: "httpd", args: []string{"-d", "DIR"}, files: map[string]string{"conf/httpd.conf": "Listen 80\nIncludeOptional conf.d/*.conf\nInclude one\nIncludeOptional none.conf\n",
			"conf.d/p.conf": "ProxyPass / http://10.0.0.1:1/\n", "one/x": "ProxyPass /x http://10.0.0.2:2/\n"}, want: "tcp :80 10.0.0.1:1 10.0.0.2:2"},
		"an include that is gone": {program: "apache2", args: []string{"-d", "DIR", "-f", "a.conf"}, files: map[string]string{"a.conf": "Include none.conf\n"}, err: true},
	})
}

func TestSmallForwarders(t *testing.T) {
	checkReadings(t, map[string]reading{
		"rinetd": {program: "rinetd", args: []string{"-f", "-c", "r.conf"}, files: map[string]string{"r.conf": "# x\nallow 10.*\n0.0.0.0 80 10.0.0.1 8080\n127.0.0.1 53/udp 10.0.0.2 53/udp [timeout=72]\n:: 81 fd00::1 81\n0.0.0.0 https backend.example http\nlogfile /x\n0.0.0.0 1\n"},
			want: "tcp 0.0.0.0:80 10.0.0.1:8080\nudp 127.0.0.1:53 10.0.0.2:53\ntcp :::81 [fd00::1]:81\ntcp 0.0.0.0:443 backend.example:80"},
		"redsocks": {program: "redsocks", args: []string{"-c", "DIR/r.conf"}, files: map[string]string{"r.conf": "base { log = \"file:/x\"; }\nredsocks {\n local_ip = 0.0.0.0; local_port = 12345;\n ip = 10.0.0.1;\n port = 1080; type = socks5;\n}\nredudp { local_port = 10053; ip = 10.0.0.1; port = 1080; dest_ip = 8.8.8.8; dest_port = 53; }\ndnstc { local_port = 5300; }\n"},
			want: "tcp :12345 10.0.0.1:1080 fed\nudp :10053 10.0.0.1:1080 fed\nudp :5300 serves fed"},
		"stunnel": {program: "stunnel4", args: []string{"DIR/s.conf"}, files: map[string]string{"s.conf": "pid =\n; x\n[a]\naccept = 443\nconnect = 10.0.0.1:80\nconnect = [fd00::1]:80\n[b]\nclient = yes\naccept = 127.0.0.1:25\nconnect = mail.example:465\n[c]\naccept = :::444\nconnect = 8080\n[d]\naccept = 445\nprotocol = socks\n[e]\naccept=446\nexec=/bin/nc\nexecArgs=nc 10.0.0.9 9\n[f]\naccept=447\nexec=/bin/cat\n[g]\nconnect=1.1.1.1:1\n"},
			want: "tcp :443 10.0.0.1:80 [fd00::1]:80\ntcp 127.0.0.1:25 mail.example:465\ntcp :::444 127.0.0.1:8080\ntcp :445 open\ntcp :446 10.0.0.9:9\ntcp :447 serves"},
		"stunnel's folder": {program: "stunnel", args: []string{"DIR/s.conf"}, files: map[string]string{"s.conf": "include = DIR/d\n", "d/x.conf": "[a]\naccept = 443\nconnect = 10.0.0.1:80\n"}, want: "tcp :443 10.0.0.1:80"},
		"xinetd": {program: "xinetd", args: []string{"-f", "DIR/x.conf"}, files: map[string]string{"x.conf": "defaults\n{\n log_type = SYSLOG\n}\nservice a\n{\n type = UNLISTED\n port = 80\n protocol = tcp\n redirect = 10.0.0.1 8080\n}\nincludedir DIR/x.d\n",
			"x.d/b": "service http-alt\n{\n socket_type = stream\n bind = 127.0.0.1\n server = /bin/nc\n server_args = 10.0.0.2 82\n}\n", "x.d/c": "service c\n{\n disable = yes\n port = 9\n redirect = 1.1.1.1 1\n}\n", "x.d/.d": "service d\n{\n port = 10\n redirect = 1.1.1.1 1\n}\nservice e\n{\n port=11\n}"},
			want: "tcp :80 10.0.0.1:8080\n127.0.0.1:8080 10.0.0.2:82"},
		"inetd": {program: "inetd", args: []string{"DIR/i.conf"}, files: map[string]string{"i.conf": "# x\n80 stream tcp nowait root /bin/nc nc 10.0.0.1 8080\n127.0.0.1:http stream tcp6 nowait nobody /usr/sbin/tcpd /bin/nc 10.0.0.2 1\ntftp dgram udp wait root /usr/sbin/in.tftpd in.tftpd /srv\nbad line\n"},
			want: "tcp :80 10.0.0.1:8080\ntcp 127.0.0.1:80 10.0.0.2:1\nudp :69 serves"},
		"squid": {program: "squid", args: []string{"-N", "-f", "DIR/q.conf"}, files: map[string]string{"q.conf": "http_port 3128\nhttp_port 10.0.0.9:80 accel defaultsite=x\ninclude DIR/q.d/*.conf\n#http_port 1\n", "q.d/p.conf": "cache_peer 10.0.0.1 parent 8080 0 no-query originserver\n"},
			want: "tcp :3128 10.0.0.1:8080 open\ntcp 10.0.0.9:80 10.0.0.1:8080"},
		"hitch":                {program: "hitch", args: []string{"--config=DIR/h.conf"}, files: map[string]string{"h.conf": "frontend = \"[*]:443\"\nbackend = \"[10.0.0.1]:80\" # x\npem-file = \"/x\"\n"}, want: "tcp 10.0.0.1:80"},
		"pound":                {program: "pound", args: []string{"-f", "DIR/p.cfg"}, files: map[string]string{"p.cfg": "ListenHTTP\n Address 0.0.0.0\n Port 80\n Service\n  BackEnd\n   Address 10.0.0.1\n   Port 8080\n  End\n End\nEnd\n"}, want: "tcp 10.0.0.1:8080"},
		"varnish":              {program: "varnishd", args: []string{"-a", ":80", "-f", "DIR/v.vcl", "-T", "127.0.0.1:6082"}, files: map[string]string{"v.vcl": "vcl 4.1;\nbackend a { .host = \"10.0.0.1\"; .port = \"8080\"; }\n# backend b { .host = \"1.1.1.1\"; }\nbackend c { .host = \"c.example\"; }\n"}, want: "tcp 10.0.0.1:8080 c.example:80\n127.0.0.1:6082 serves"},
		"lighttpd":             {program: "lighttpd", args: []string{"-D", "-f", "DIR/l.conf"}, files: map[string]string{"l.conf": "server.port = 80\ninclude \"conf/*.conf\"\n", "conf/p.conf": "proxy.server = ( \"\" => ( ( \"host\" => \"10.0.0.1\", \"port\" => 8080 ) ) )\n"}, want: "tcp 10.0.0.1:8080"},
		"lighttpd that serves": {program: "lighttpd", args: []string{"-f", "DIR/l.conf"}, files: map[string]string{"l.conf": "server.port = 80\n"}},
		"sslh":                 {program: "sslh", args: []string{"-F", "DIR/s.cfg"}, files: map[string]string{"s.cfg": "listen: ( { host: \"0.0.0.0\"; port: \"443\"; } );\nprotocols: (\n { name: \"ssh\"; host: \"localhost\"; port: \"22\"; },\n { name: \"tls\"; host: \"10.0.0.1\"; port: \"443\"; } # x\n);\n"}, want: "127.0.0.1:22 10.0.0.1:443"},
		"ssh":                  {program: "ssh", args: []string{"-F", "DIR/c", "h"}, files: map[string]string{"c": "Host h\n LocalForward *:80 10.0.0.1:8080\n DynamicForward=1080\n"}, want: "tcp :80\ntcp :1080 open\nrest"},
	})
}

func TestProgramsThatAreScanned(t *testing.T) {
	checkReadings(t, map[string]reading{
		"envoy yaml": {program: "envoy", args: []string{"-c", "DIR/e"}, files: map[string]string{"e": "address: { socket_address: { address: 0.0.0.0, port_value: 80 } }\nendpoint:\n  address:\n    socket_address:\n      address: backend.example\n      port_value: 8080\n"}, want: "0.0.0.0:80 backend.example:8080"},
		"envoy json": {program: "envoy", args: []string{"-c", "DIR/e"}, files: map[string]string{"e": `{"socket_address": {"address": "10.0.0.1", "port_value": 8080}}`}, want: "10.0.0.1:8080"},
		"traefik": {program: "traefik", args: []string{"--configFile=DIR/t.yml"}, files: map[string]string{"t.yml": "entryPoints:\n web:\n  address: \":80\"\nproviders:\n file:\n  directory: DIR/dyn\n", "dyn/x.yml": "servers:\n - url: \"http://10.0.0.1:8080/\"\n# - url: http://10.9.9.9:1\n"},
			want: "10.0.0.1:8080 10.0.0.1:8080"},
		"traefik's arguments": {program: "traefik", args: []string{"--providers.file.filename=DIR/x.yml"}, files: map[string]string{"x.yml": "- url: http://b.example\n"}, want: "b.example:80"},
		"caddy":               {program: "caddy", args: []string{"run", "--config", "DIR/C"}, files: map[string]string{"C": ":80 {\n reverse_proxy /api/* backend.example:8080 10.0.0.2:1\n}\n"}, want: "10.0.0.2:1 backend.example:8080 10.0.0.2:1"},
		"caddy json":          {program: "caddy", args: []string{"run", "--config", "DIR/C"}, files: map[string]string{"C": `{"handler":"reverse_proxy","upstreams":[{"dial":"b.example:8080"}]}`}, want: "b.example:8080"},
		"caddy that serves":   {program: "caddy", args: []string{"run", "--config", "DIR/C"}, files: map[string]string{"C": ":80\nfile_server\n"}},
		"caddy that hides it": {program: "caddy", args: []string{"run", "--config", "DIR/C"}, files: map[string]string{"C": ":80 {\n reverse_proxy {$UP}\n}\n"}, err: true},
	})
}

func TestUnits(t *testing.T) {
	s := unitKeys("[Socket]\nListenStream=80\nListenStream=\nListenStream=0.0.0.0:81\n# ListenStream=9\nExecStart=/bin/x \\\n y\n")
	if got := s.keys["listenstream"]; len(got) != 1 || got[0] != "0.0.0.0:81" || s.one("execstart") != "/bin/x   y" {
		t.Errorf("read %v", s.keys)
	}
}

func FuzzConfigurations(f *testing.F) {
	for _, text := range []string{"listen x\n bind :80\n server b 10.0.0.1:+1", "http{upstream u{server a;}server{listen 80;location /{proxy_pass http://$x;}}}", "[a]\naccept=1\nconnect=2",
		"Listen 80\n<Proxy balancer://x>\nBalancerMember http://$x\n</Proxy>\nProxyPass / balancer://x\nRewriteRule a http://b:1 [P]", "0.0.0.0 80 10.0.0.1 81", "service x\n{\n redirect = a 1\n}",
		"backend = \"[x]:1\"", "protocols: ( { host: \"x\"; port: \"1\"; } )", "80 stream tcp nowait root nc nc x 1", "http_port 1\ncache_peer x parent 1", "BackEnd\nAddress x\nPort 1\nEnd", "${X}", "set $a $a;", "'", "\"\\"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p := &program{pid: -1, name: "apache2"}
		_ = haproxyHops(haproxySections(text), "x")
		r := nginxReader{program: p}
		if top, _, err := r.block(nginxTokens(text), 0); err == nil {
			_ = nginxHops(top, "x")
		}
		_ = stunnelHops(text, "x", services{})
		for _, s := range append(braced(text, ";"), braced(text, "\x01")...) {
			_ = xinetdHop(s, s.name, "x", services{})
		}
		a := &apache{p: p, hosts: [][]string{nil}}
		for _, words := range [][]string{shellWords(text), {"ProxyPass", text}, {"SetHandler", text}, {"SetHandler"}, {"ProxyPass"}} {
			if len(words) > 0 {
				_ = a.directive(words)
			}
		}
		_ = a.hops("x")
		_ = sslhConfig(text)
		_ = vclBackends(text)
		_ = unitKeys(text)
		_ = uncommented(text, "#", "//")
		for _, name := range []string{"envoy", "traefik", "caddy"} {
			_ = scanned(name, text)
		}
		_, _, _ = unixLine(text)
		_, _ = decodeUnix([]byte(text))
		_, _ = decodeConnection([]byte(text))
	})
}

// A configuration that multiplies itself costs neither time nor memory.
func TestHostileConfigurations(t *testing.T) {
	began := labtest.Spent(t)
	many := func(n int, line string) string { return strings.Repeat(line, n) }
	for name, text := range map[string]string{
		"haproxy": "backend b\n" + many(15000, " server s 10.0.0.1:1\n") + many(15000, "frontend f\n bind :80\n use_backend %[x]\n"),
		"nginx":   "http{upstream u{" + many(20000, "server a:1;") + "}" + many(10000, "server{listen 1;location /{proxy_pass http://u;}}") + many(2000, "set $a $a$a;") + "server{proxy_pass $a;}}",
		"apache2": "Listen 80\n" + many(15000, "ProxyPass / http://a/\n") + many(8000, "<VirtualHost *>\nProxyPass / http://b/\n</VirtualHost>\n"),
	} {
		p := fake(t, name, map[string]string{"x": text}, map[string]string{"haproxy": "-f", "nginx": "-c", "apache2": "-f"}[name], "DIR/x")
		if hops, err := known(p)(p); err != nil || len(hops) == 0 {
			t.Errorf("%s: %d hops, %v", name, len(hops), err)
		}
	}
	if took := labtest.Spent(t) - began; took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
}
