package main

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/owner"
)

// What stands after "to end it" is pasted into a root shell: the lines must be
// one command of the words that the rule has, whatever somebody wrote into it.
func TestRemediesCanBePasted(t *testing.T) {
	for name, comment := range map[string]string{
		"plain": "web", "blanks": "two  words of one comment", "quotes": `it\'s \"x\" $(id) \\ b`, "a long one": strings.Repeat("word ", 11) + "end",
	} {
		row := host.Redirect{ID: "9f2c41d07a3b", Netns: "web 1", Mechanism: "rule", State: host.Active, Ref: &host.Ref{Backend: "nf_tables"},
			Rule: &host.RuleRef{Writer: "iptables-nft", Family: host.IP, Table: "nat", Chain: "PREROUTING",
				Text: `-A PREROUTING -p tcp -m tcp --dport 80 -m comment --comment "` + comment + `" -j DNAT --to-destination 192.168.1.10:8080`}}
		row.Advice = owner.Command(&row)
		commands := remedyLines(t, &row)
		if len(commands) != 2 {
			t.Errorf("%s: %q", name, commands)
			continue
		}
		if got, want := wordsInShell(t, commands[0]), wordsInShell(t, row.Advice); got != want {
			t.Errorf("%s: pasted it is %q, want %q", name, got, want)
		}
		if got := wordsInShell(t, commands[1]); got != "natwarden|remediate|--netns|web 1|--only|9f2c41d07a3b|" {
			t.Errorf("%s: natwarden's own command is %q", name, got)
		}
	}
}

func TestARemedyTooLongForThePageIsNotCut(t *testing.T) {
	row := host.Redirect{ID: "9f2c41d07a3b", Rule: &host.RuleRef{Writer: "iptables-nft", Family: host.IP, Table: "nat", Chain: "c",
		Text: `-A c -m comment --comment "` + strings.Repeat("long ", 40) + `" -j REDIRECT`}}
	row.Advice = owner.Command(&row)
	if got := remedyLines(t, &row); len(got) != 1 || strings.Contains(got[0], "REDIRECT") {
		t.Errorf("%q", got)
	}
}

func TestNatwardensOwnCommandAsksForWhatItNeeds(t *testing.T) {
	row := host.Redirect{ID: "a", Mechanism: "route", State: host.Latent, Ref: &host.Ref{Backend: "rtnetlink"}}
	if got, want := ownCommand(&row), "natwarden remediate --include routes,inactive --only a"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// remedyLines gives what is written after each label, with its line ends.
func remedyLines(t *testing.T, r *host.Redirect) []string {
	t.Helper()
	var b strings.Builder
	w := bufio.NewWriter(&b)
	(&page{w: w}).remedy(r)
	w.Flush()
	var out []string
	for _, line := range strings.SplitAfter(strings.TrimSuffix(b.String(), "\n"), "\n") {
		if width(strings.TrimSuffix(line, "\n")) > columns {
			t.Errorf("wider than the page: %q", line)
		}
		if strings.TrimSpace(line[:15]) != "" {
			out = append(out, "")
		}
		out[len(out)-1] += line[15:]
	}
	return out
}

// wordsInShell gives the words that a shell makes of a command.
func wordsInShell(t *testing.T, command string) string {
	t.Helper()
	out, err := exec.Command("/bin/sh", "-c", "for w in "+strings.TrimSuffix(command, "\n")+"\ndo printf '%s|' \"$w\"; done").Output()
	if err != nil {
		t.Errorf("%s: %v", command, err)
	}
	return string(out)
}
