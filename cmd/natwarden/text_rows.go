package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// violation tells all about one redirect: which port, who really answers, the
// rule in the language of whoever wrote it, where it acts, whose it is, and how
// to end it.
func (p *page) violation(r *host.Redirect) {
	p.item(headline(r))
	p.field("id", r.ID)
	p.field("state", stateText(r))
	p.field("rule", ruleLine(r.Rule))
	p.field("acts", whereText(r))
	p.field("when", strings.Join(r.Conditions, "; "))
	p.field("file", fileText(r.File))
	p.field("process", processText(r.Process))
	p.field("owner", ownerText(r.Owner))
	p.field("known by", strings.Join(r.Evidence, "; "))
	p.remedy(r)
}

// short is one line for what needs no action, with the entry that allows it.
func (p *page) short(r *host.Redirect) {
	text := headline(r)
	text += entryText(r.Verdict, r.AllowedBy)
	if r.State != host.Active {
		text += " (" + r.State + ")"
	}
	p.item(text + " [" + r.ID + "]")
}

// entryText names the policy entry that a verdict comes from.
func entryText(verdict, entry string) string {
	switch {
	case entry == "":
		return ""
	case verdict == host.Unreviewed:
		return ", named by policy entry " + entry + " whose review is pending"
	}
	return ", allowed by policy entry " + entry
}

// headline says what happens: "tcp/80 is answered by 192.168.1.10:8080".
func headline(r *host.Redirect) string {
	text := portText(r) + " " + verbOf(r) + " " + targetsText(r.To)
	if r.Direction == "outbound" {
		text += ", for connections that this host makes"
	}
	if r.Netns != "" {
		text += ", in network namespace " + r.Netns
	}
	return text
}

func portText(r *host.Redirect) string {
	text := r.Proto
	switch {
	case r.Proto == "any" && r.Ports == "any":
		text = "everything"
	case r.Ports == "any" || r.Ports == "":
		text = "all " + r.Proto
	default:
		text += "/" + r.Ports
	}
	if r.Family == host.IP6 {
		text += " (IPv6)"
	}
	if r.Address != "" {
		text += " to " + r.Address
	}
	if r.Source != "" {
		text += " from " + r.Source
	}
	return text
}

func verbOf(r *host.Redirect) string {
	switch {
	case r.State == host.Unknown:
		return "may be redirected (" + r.Kind + ") to"
	case r.Info || r.Kind == "snat" || r.Kind == "masquerade":
		return "(" + r.Kind + ") gets"
	case r.Kind == "dup":
		return "is copied to"
	case r.Kind == "queue":
		return "is handed to a program by"
	}
	return "is answered by"
}

func targetsText(to []string) string {
	switch {
	case len(to) == 0:
		return "an unknown destination"
	case len(to) > 8:
		return strings.Join(to[:8], ", ") + fmt.Sprintf(" and %d more", len(to)-8)
	}
	words := make([]string, len(to))
	for i, t := range to {
		words[i] = t
		switch {
		case t == ":*":
			words[i] = "this host itself"
		case strings.HasPrefix(t, ":"):
			words[i] = "this host's port " + t[1:]
		}
	}
	return list(words)
}

// stateText says what is not said by the rest: an active redirect is the usual
// one, and the hook by which it is reached stands in whereText.
func stateText(r *host.Redirect) string {
	var why []string
	for _, w := range r.Why {
		if !strings.HasPrefix(w, "reached from ") {
			why = append(why, w)
		}
	}
	switch {
	case len(why) > 0:
		return r.State + ": " + strings.Join(why, "; ")
	case r.State == host.Active:
		return ""
	}
	return r.State
}

// ruleLine is the rule as its writer would type it. Texts of the iptables
// family leave the program and the table out: they are put before.
func ruleLine(r *host.RuleRef) string {
	if r == nil || r.Text == "" || !strings.HasPrefix(r.Text, "-A ") {
		if r == nil {
			return ""
		}
		return r.Text
	}
	program := "iptables"
	switch r.Family {
	case host.IP6:
		program = "ip6tables"
	case host.Bridge:
		program = "ebtables"
	case host.ARP:
		program = "arptables"
	}
	if _, backend, ok := strings.Cut(r.Writer, "-"); ok {
		program += "-" + backend // iptables alone may be either
	}
	return program + " -t " + r.Table + " " + r.Text
}

// whereText names subsystem, table and chain, and the way by which packets
// come there.
func whereText(r *host.Redirect) string {
	rule := r.Rule
	if rule == nil {
		return ""
	}
	text := fmt.Sprintf("%s, table %s %s, chain %s", rule.Writer, rule.Family, rule.Table, rule.Chain)
	if rule.Hook != "" {
		text += fmt.Sprintf(", hook %s at priority %d", rule.Hook, rule.Priority)
	}
	if rule.Element != "" {
		text += ", element " + rule.Element
	}
	if len(rule.Paths) > 0 && len(rule.Paths[0]) > 1 {
		text += ", reached by " + pathsText(rule.Paths)
	}
	return text
}

func pathsText(paths [][]string) string {
	words := make([]string, 0, 3)
	for _, path := range paths {
		if len(words) == 3 {
			words = append(words[:2], count(len(paths)-2, "other way"))
			break
		}
		words = append(words, strings.Join(path, " > "))
	}
	return list(words)
}

func fileText(f *host.FileRef) string {
	if f == nil {
		return ""
	}
	return f.Path + " line " + strconv.Itoa(f.Line)
}

func processText(p *host.Process) string {
	if p == nil {
		return ""
	}
	text := fmt.Sprintf("%s (pid %d)", p.Name, p.PID)
	for _, more := range []string{p.Exe, p.Unit, p.Container} {
		if more != "" {
			text += ", " + more
		}
	}
	if p.Deleted {
		text += ", its executable is deleted"
	}
	return text
}

func ownerText(o *host.Owner) string {
	switch {
	case o == nil:
		return "nobody that natwarden knows"
	case o.Evidence == "":
		return strings.TrimSpace(o.Kind + " " + o.Name)
	}
	return strings.TrimSpace(o.Kind+" "+o.Name) + " (" + o.Evidence + ")"
}

// badListener tells about a socket that the policy does not allow.
func (p *page) badListener(l *host.Listener) {
	p.item(listenerHeadline(l))
	p.field("id", l.ID)
	for i := range l.Processes {
		p.field("process", processText(&l.Processes[i]))
	}
	p.field("to end it", l.Advice)
}

func (p *page) shortListener(l *host.Listener) {
	text := listenerHeadline(l)
	text += entryText(l.Verdict, l.AllowedBy)
	p.item(text)
}

// listenerHeadline says "tcp 0.0.0.0:22 is held by sshd (user root)".
func listenerHeadline(l *host.Listener) string {
	text := l.Proto + " " + net.JoinHostPort(l.Address, strconv.Itoa(int(l.Port))) + " is held by " + holders(l)
	if l.User != "" {
		text += " (user " + l.User + ")"
	}
	if l.Netns != "" {
		text += ", in network namespace " + l.Netns
	}
	return text
}

func holders(l *host.Listener) string {
	if len(l.Processes) == 0 {
		return "no process that could be found"
	}
	seen, names := map[string]bool{}, []string(nil)
	for _, p := range l.Processes {
		if !seen[p.Name] {
			seen[p.Name] = true
			names = append(names, p.Name)
		}
	}
	if len(names) > 4 {
		names = append(names[:3:3], count(len(names)-3, "other program"))
	}
	return list(names)
}
