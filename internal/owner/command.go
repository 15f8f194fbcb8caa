package owner

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// Command is the line by which a person deletes a rule in a shell, with the tool
// that wrote it and in its network namespace; "" where no such line can be typed.
func Command(r *host.Redirect) string {
	if r.Rule == nil {
		return ""
	}
	words, ok := deletion(r.Rule)
	if !ok {
		return ""
	}
	inside, ok := entering(r.Netns)
	if !ok {
		return ""
	}
	line, ok := shellLine(append(inside, words...))
	if !ok {
		return ""
	}
	return line
}

// typeable are the names that nft takes on a command line: it has no quotes
// for those of tables and chains.
var typeable = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9/\\_.-]*$`)

func deletion(rule *host.RuleRef) (words []string, ok bool) {
	switch rule.Writer {
	case "iptables-nft", "iptables-legacy", "ebtables-nft":
		text, appends := strings.CutPrefix(rule.Text, "-A ")
		words, ok := savedWords(text)
		return append([]string{binary(rule), "-t", rule.Table, "-D"}, words...), ok && appends
	case "nft":
		return []string{"nft", "delete", "rule", string(rule.Family), rule.Table, rule.Chain, "handle", strconv.FormatUint(uint64(rule.Handle), 10)},
			typeable.MatchString(rule.Table) && typeable.MatchString(rule.Chain)
	}
	return nil, false
}

// entering are the words that run a command in a network namespace, by the label of a row.
func entering(netns string) (words []string, ok bool) {
	kind, at, _ := strings.Cut(netns, ":")
	switch {
	case netns == "":
		return nil, true
	case strings.HasPrefix(netns, "/"):
		return []string{"nsenter", "--net=" + netns}, true
	case kind == "pid":
		return []string{"nsenter", "--net=/proc/" + at + "/ns/net"}, true
	case kind == "fd":
		return []string{"nsenter", "--net=/proc/" + strings.Replace(at, "/", "/fd/", 1)}, true
	case strings.ContainsAny(netns, ":/"):
		return nil, false
	}
	return []string{"nsenter", "--net=/run/netns/" + netns}, true
}

func binary(rule *host.RuleRef) string {
	backend := strings.TrimPrefix(strings.TrimPrefix(rule.Writer, "ebtables-"), "iptables-")
	switch rule.Family {
	case host.IP6:
		return "ip6tables-" + backend
	case host.Bridge:
		return "ebtables-" + backend
	case host.ARP:
		return "arptables-" + backend
	}
	return "iptables-" + backend
}
