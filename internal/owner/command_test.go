package owner

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

// Whoever wrote a comment, a name or an interface must not run anything when
// the advice is pasted.
func TestCommandsPassWordsThroughAShellAsTheyAre(t *testing.T) {
	rule := func(writer, table, text string) host.Redirect {
		return host.Redirect{Rule: &host.RuleRef{Writer: writer, Family: host.IP, Table: table, Chain: "c", Handle: 7, Text: text}}
	}
	for name, c := range map[string]struct {
		row  host.Redirect
		want []string // nil: no command
	}{
		"plain": {rule("iptables-nft", "nat", "-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:8080"),
			[]string{"iptables-nft", "-t", "nat", "-D", "PREROUTING", "-p", "tcp", "-m", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", "10.0.0.1:8080"}},
		"quotes": {rule("iptables-legacy", "nat", `-A PREROUTING -m comment --comment "it\'s \"x\" $(id) \\ b  c" -j REDIRECT`),
			[]string{"iptables-legacy", "-t", "nat", "-D", "PREROUTING", "-m", "comment", "--comment", `it's "x" $(id) \ b  c`, "-j", "REDIRECT"}},
		"chain":     {rule("iptables-nft", "nat", "-A $(id);`id`&* -j REDIRECT"), []string{"iptables-nft", "-t", "nat", "-D", "$(id);`id`&*", "-j", "REDIRECT"}},
		"negated":   {rule("iptables-nft", "nat", "-A c ! -i lo -j REDIRECT"), []string{"iptables-nft", "-t", "nat", "-D", "c", "!", "-i", "lo", "-j", "REDIRECT"}},
		"empty":     {rule("iptables-nft", "nat", `-A c -m comment --comment "" -j REDIRECT`), []string{"iptables-nft", "-t", "nat", "-D", "c", "-m", "comment", "--comment", "", "-j", "REDIRECT"}},
		"in words":  {rule("iptables-nft", "nat", "-A c [ip saddr & 255.0.255.0 == 1.0.0.0] -j REDIRECT"), nil},
		"open":      {rule("iptables-nft", "nat", `-A c --comment "x`), nil},
		"escape":    {rule("iptables-nft", "nat", "-A c --comment \"\x1b[2J\""), nil},
		"native":    {rule("nft", "t", "dnat to 10.0.0.1"), []string{"nft", "delete", "rule", "ip", "t", "c", "handle", "7"}},
		"nft names": {rule("nft", "t;reboot", "dnat to 10.0.0.1"), nil},
	} {
		line := Command(&c.row)
		if c.want == nil {
			if line != "" {
				t.Errorf("%s: %s", name, line)
			}
			continue
		}
		out, err := exec.Command("/bin/sh", "-c", "for w in "+line+`; do printf '%s\0' "$w"; done`).Output()
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %s: the shell makes %q of it, want %q (%v)", name, line, got, c.want, err)
		}
	}
}

func TestCommandsEnterTheNamespace(t *testing.T) {
	for label, want := range map[string]string{
		"": "nft", "web": "nsenter --net=/run/netns/web nft", "/run/docker/netns/a": "nsenter --net=/run/docker/netns/a nft",
		"pid:12": "nsenter --net=/proc/12/ns/net nft", "fd:12/3": "nsenter --net=/proc/12/fd/3 nft", "a b": "nsenter '--net=/run/netns/a b' nft",
		"mnt:/proc/1/fd/2:/x": "",
	} {
		row := host.Redirect{Netns: label, Rule: &host.RuleRef{Writer: "nft", Family: host.IP, Table: "t", Chain: "c", Handle: 1}}
		got := Command(&row)
		if want != "" {
			want += " delete rule ip t c handle 1"
		}
		if got != want {
			t.Errorf("%q: %s, want %s", label, got, want)
		}
	}
}
