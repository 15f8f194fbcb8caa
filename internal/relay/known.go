package relay

import (
	"path"
	"strings"
)

// reader reads where a known program leads. An error says that it is such a
// program and that its destination could not be found out.
type reader func(p *program) ([]hop, error)

// known gives the reader of a program; nil for programs that are not known to
// relay.
func known(p *program) reader {
	if r := relayReader(p.name); r != nil {
		return r
	}
	switch p.name {
	case "nginx", "openresty", "angie":
		return readNginx
	case "apache2", "httpd":
		return readApache
	case "lighttpd":
		return readLighttpd
	case "tcpserver", "tcpsvd", "udpsvd", "ipsvd", "s6-tcpserver", "faucet":
		return readSuperServer
	case "xinetd":
		return readXinetd
	case "inetd", "openbsd-inetd", "inetutils-inetd":
		return readInetd
	case "systemd":
		return readSystemd
	case "ncat", "nc", "nc.openbsd", "nc.traditional", "netcat":
		return readNetcat
	case "busybox":
		return busyboxReader(p)
	}
	return nil
}

// relayReader knows the programs that exist to pass on.
func relayReader(name string) reader {
	switch name {
	case "haproxy":
		return readHAProxy
	case "socat", "socat1":
		return readSocat
	case "rinetd":
		return readRinetd
	case "redsocks", "redsocks2":
		return readRedsocks
	case "stunnel", "stunnel4", "stunnel5":
		return readStunnel
	case "sslh", "sslh-fork", "sslh-select", "sslh-ev":
		return readSSLH
	case "systemd-socket-proxyd", "systemd-socket-activate":
		return readSocketProxyd
	case "ssh", "dbclient", "plink":
		return readSSH
	case "docker-proxy":
		return readDockerProxy
	case "hitch":
		return readHitch
	case "squid", "squid3":
		return readSquid
	case "pound":
		return readPound
	case "varnishd":
		return readVarnish
	case "envoy", "traefik", "caddy":
		return readByScan
	case "gost":
		return readGost
	case "chisel":
		return readChisel
	case "tinyproxy", "privoxy", "sockd", "danted", "3proxy", "microsocks", "polipo", "cntlm", "srelay", "ss-server", "ssserver", "ss-local", "sslocal",
		"v2ray", "xray", "sing-box", "trojan", "brook", "mihomo", "clash", "tor", "hysteria", "delegated":
		return readOpenProxy
	case "rootlessport", "slirp4netns", "pasta", "pasta.avx2", "passt", "passt.avx2", "frps", "frpc", "simpleproxy", "redir", "portfwd", "tcptunnel", "balance", "pen",
		"iodined", "ptunnel", "udp2raw", "kcptun-server", "wstunnel", "ghostunnel", "goproxy", "nps", "npc", "rathole", "bore":
		return readUnknownRelay
	}
	return nil
}

// busyboxReader goes by the applet, which busybox itself takes from its
// arguments.
func busyboxReader(p *program) reader {
	args := p.args
	if len(args) > 1 && path.Base(args[0]) == "busybox" {
		args = args[1:]
	}
	if len(args) == 0 {
		return nil
	}
	switch strings.TrimPrefix(path.Base(args[0]), "-") {
	case "nc", "netcat":
		return readNetcat
	case "inetd":
		return readInetd
	case "tcpsvd", "udpsvd":
		return readSuperServer
	}
	return nil
}

// readSuperServer reads tcpsvd and its kin: options, address, port, command.
func readSuperServer(p *program) ([]hop, error) {
	for i := range p.args {
		if w, ok := connector(p.args[i:], 0); ok && i > 0 {
			return []hop{{kind: w.kind, how: p.name + ": " + w.how, to: []destination{w.to}}}, nil
		}
	}
	return nil, nil
}
