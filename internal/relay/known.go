package relay

import "strings"

// reader reads where a known program leads. An error says that it is such a
// program and that its destination could not be found out.
type reader func(p *program) ([]hop, error)

// known gives the reader of a program by the name of its executable; nil for
// programs that are not known to relay.
func known(name string) reader {
	name = strings.TrimSuffix(name, " (deleted)")
	switch name {
	case "haproxy":
		return readHAProxy
	case "nginx", "openresty", "angie":
		return readNginx
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
	case "xinetd":
		return readXinetd
	case "systemd-socket-proxyd", "systemd-socket-activate":
		return readSocketProxyd
	case "ssh":
		return readSSH
	case "ncat", "nc", "nc.openbsd", "nc.traditional", "netcat":
		return readNetcat
	case "docker-proxy", "rootlessport":
		return readDockerProxy
	case "hitch":
		return readHitch
	case "squid":
		return readSquid
	case "envoy", "traefik", "caddy":
		return readByScan
	}
	return nil
}
