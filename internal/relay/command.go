package relay

import (
	"errors"
	"path"
	"strings"
)

var errNoDestination = errors.New("its destination could not be found in its arguments or configuration")

// way is where a command connects its standard input and output to.
type way struct {
	to   destination
	kind string // forwarder, tunnel
	how  string
}

// nestedCommands bounds how deep shells and wrappers are looked into.
const nestedCommands = 4

// connector reads a command that a listening program runs for each connection
// (nc, ncat, socat, ssh, openssl, telnet, a shell that runs one): where does it
// lead? false for commands that are not known to connect anywhere.
func connector(words []string, depth int) (way, bool) {
	words = unwrapped(words)
	if len(words) == 0 || depth > nestedCommands {
		return way{}, false
	}
	args := words[1:]
	switch name := path.Base(words[0]); name {
	case "sh", "bash", "dash", "ash", "zsh", "ksh", "busybox":
		return shellConnector(name, args, depth)
	case "nc", "ncat", "netcat", "nc.openbsd", "nc.traditional":
		return netcatConnector(args)
	case "socat", "socat1":
		return socatConnector(args)
	case "ssh", "dbclient":
		host, ok := sshHost(args)
		return way{host, "tunnel", "ssh to " + host.String()}, ok
	case "openssl":
		at := (&program{args: words}).value("-connect")
		return way{parseDestination(at, 0), "forwarder", "openssl s_client"}, at != ""
	case "telnet", "tcpconnect":
		return plainWay(name, args)
	case "systemd-socket-proxyd":
		to, ok := proxydDestination(args)
		return way{to, "forwarder", "argument of systemd-socket-proxyd"}, ok
	}
	return way{}, false
}

// unwrapped leaves out what only runs another command: assignments, exec,
// nohup, timeout 5, ip netns exec NS.
func unwrapped(words []string) []string {
	for len(words) > 1 {
		skip := 0
		switch name := path.Base(words[0]); {
		case strings.Contains(words[0], "=") && !strings.HasPrefix(words[0], "-"):
			skip = 1
		case name == "exec" || name == "nohup" || name == "setsid" || name == "env" || name == "sudo" || name == "stdbuf" || name == "nice" || name == "tcpd" || strings.HasPrefix(name, "-"):
			skip = 1
		case name == "timeout":
			skip = 2
		case name == "ip" && len(words) > 4 && words[1] == "netns" && words[2] == "exec":
			skip = 4
		}
		if skip == 0 || skip >= len(words) {
			return words
		}
		words = words[skip:]
	}
	return words
}

func shellConnector(name string, args []string, depth int) (way, bool) {
	if name == "busybox" {
		return connector(args, depth+1)
	}
	for i, a := range args {
		if strings.HasPrefix(a, "-") && strings.HasSuffix(a, "c") && i+1 < len(args) {
			return scriptConnector(args[i+1], depth+1)
		}
	}
	return way{}, false
}

// scriptConnector looks at each command of a line of shell.
func scriptConnector(script string, depth int) (way, bool) {
	for _, part := range strings.FieldsFunc(script, func(r rune) bool { return strings.ContainsRune("|;&\n(){}`", r) }) {
		if w, ok := connector(shellWords(part), depth); ok {
			return w, true
		}
	}
	return way{}, false
}

// shellWords splits at blanks outside of quotes.
func shellWords(text string) []string {
	var out []string
	var word strings.Builder
	var quote byte
	inside := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inside = c, true
		case c == '\\' && quote != '\'' && i+1 < len(text):
			i++
			word.WriteByte(text[i])
			inside = true
		case quote == 0 && strings.IndexByte(" \t\r\n", c) >= 0:
			if inside {
				out = append(out, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteByte(c)
			inside = true
		}
	}
	if inside {
		out = append(out, word.String())
	}
	return out
}

// plainWay reads "HOST PORT" behind options without values.
func plainWay(name string, args []string) (way, bool) {
	rest := operands(args, "")
	if len(rest) < 2 || parsePort(rest[1]) == 0 {
		return way{}, false
	}
	return way{hostAndPort(rest[0], parsePort(rest[1])), "forwarder", name + " as the command of each connection"}, true
}

// operands are the arguments that are no options; valued are the letters of
// the options that take a value.
func operands(args []string, valued string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			return append(out, args[i+1:]...)
		case strings.HasPrefix(a, "--"):
		case strings.HasPrefix(a, "-") && len(a) > 1:
			if at := strings.IndexAny(a[1:], valued); valued != "" && at >= 0 && at == len(a)-2 {
				i++ // the value is the next one
			}
		default:
			out = append(out, a)
		}
	}
	return out
}

// plainCommand says of a command that it only prints or echoes.
func plainCommand(words []string) bool {
	words = unwrapped(words)
	if len(words) == 0 {
		return false
	}
	switch path.Base(words[0]) {
	case "cat", "echo", "date", "true", "false", "yes", "head", "tail", "printf", "uptime", "hostname", "login", "sleep", "tee", "who", "w":
		return true
	}
	return false
}
