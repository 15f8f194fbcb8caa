package nft

import (
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// iptables writes the line that a sysadmin types: addresses, interfaces,
// protocol, matches, target.
func (w *textWriter) iptables(raw *Rule, out *host.Rule) string {
	matches, target := w.split(raw)
	match := &w.state.branch.Match
	words := []string{"-A " + w.m.chain.Name}
	words = appendAddrs(words, "-s", match.Source)
	words = appendAddrs(words, "-d", match.Address)
	words = appendIfaces(words, "-i", match.In)
	words = appendIfaces(words, "-o", match.Out)
	proto := host.ProtosString(match.Protos)
	if !match.Protos.Any() {
		words = append(words, negated("-p", proto))
	}
	if !match.Ports.Any() || !match.SPorts.Any() {
		words = append(words, "-m "+strings.TrimPrefix(proto, "!"))
		words = appendPorts(words, "--sport", match.SPorts)
		words = appendPorts(words, "--dport", match.Ports)
	}
	for _, c := range match.Conditions {
		words = append(words, iptablesCondition(c))
	}
	words = append(words, matches...)
	return strings.Join(append(words, target...), " ")
}

// ebtables writes a rule of ebtables-nft likewise.
func (w *textWriter) ebtables(raw *Rule, out *host.Rule) string {
	matches, target := w.split(raw)
	match := &w.state.branch.Match
	words := []string{"-A " + w.m.chain.Name}
	switch match.Family {
	case host.IP:
		words = append(words, "-p IPv4")
	case host.IP6:
		words = append(words, "-p IPv6")
	}
	for _, c := range match.Conditions {
		words = append(words, ebtablesCondition(c))
	}
	words = appendIfaces(words, "-i", match.In)
	words = appendIfaces(words, "-o", match.Out)
	words = append(words, matches...)
	return strings.Join(append(words, target...), " ")
}

// split runs what is native in a rule, for its sets and conditions, and gives
// the texts of x_tables matches and of whatever ends the rule.
func (w *textWriter) split(raw *Rule) (matches, target []string) {
	next := 0
	eachExpr(raw.Exprs, func(name, data []byte) {
		clear(w.f[:])
		w.f.read(data)
		switch string(name) {
		case "match", "target":
			text := "-m " + w.f.text(1)
			if next < len(w.xt) {
				text = w.xt[next]
			}
			next++
			if string(name) == "target" {
				target = append(target, text)
			} else if text != "" {
				matches = append(matches, text)
			}
		case "immediate":
			target = append(target, w.jump()...)
		default:
			w.m.step(name, data)
			w.state = &w.m.states[0]
		}
	})
	return matches, target
}

func (w *textWriter) jump() []string {
	_, payload, _, _ := cutAttr(w.f[2])
	if w.f.u32(1) != verdictRegister {
		return nil
	}
	v, chain, _, _ := readVerdict(payload)
	switch v {
	case host.Accept:
		return []string{"-j ACCEPT"}
	case host.Drop:
		return []string{"-j DROP"}
	case host.Return:
		return []string{"-j RETURN"}
	case host.Jump:
		return []string{"-j " + chain}
	case host.Goto:
		return []string{"-g " + chain}
	}
	return nil
}

// negated turns "!X" into "! OPTION X".
func negated(option, text string) string {
	if rest, not := strings.CutPrefix(text, "!"); not {
		return "! " + option + " " + rest
	}
	return option + " " + text
}

func appendAddrs(words []string, option string, set host.Addrs) []string {
	if set.Any() {
		return words
	}
	return append(words, negated(option, host.AddrsString(set)))
}

func appendPorts(words []string, option string, set host.Ports) []string {
	if set.Any() {
		return words
	}
	return append(words, negated(option, strings.ReplaceAll(host.PortsString(set), "-", ":")))
}

func appendIfaces(words []string, option string, i host.Ifaces) []string {
	if i.Any() {
		return words
	}
	text := option + " " + strings.ReplaceAll(strings.Join(i.Names, ","), "*", "+")
	if i.Not {
		text = "! " + text
	}
	return append(words, text)
}

// iptablesCondition writes the conditions that iptables-nft puts into native
// expressions; what is no option of iptables stands in brackets.
func iptablesCondition(c string) string {
	if mark, ok := strings.CutPrefix(c, "mark "); ok {
		if rest, not := strings.CutPrefix(mark, "!= "); not {
			return "-m mark ! --mark " + rest
		}
		return "-m mark --mark " + mark
	}
	if limit, ok := strings.CutPrefix(c, "limit rate "); ok {
		rate, burst, _ := strings.Cut(strings.TrimSuffix(limit, " packets"), " burst ")
		return "-m limit --limit " + rate + " --limit-burst " + burst
	}
	if flags, ok := strings.CutPrefix(c, "tcp flags & ("); ok {
		if mask, set, ok := strings.Cut(flags, ") == "); ok {
			commas := strings.NewReplacer(" | ", ",", "0x0", "none")
			return "-m tcp --tcp-flags " + strings.ToUpper(commas.Replace(mask)) + " " + strings.ToUpper(commas.Replace(set))
		}
	}
	return "[" + c + "]"
}

func ebtablesCondition(c string) string {
	for _, o := range []struct{ words, option string }{{"ether saddr ", "-s "}, {"ether daddr ", "-d "},
		{"meta ibrname ", "--logical-in "}, {"meta obrname ", "--logical-out "}, {"mark ", "--mark "}} {
		if rest, ok := strings.CutPrefix(c, o.words); ok {
			if rest, not := strings.CutPrefix(rest, "!= "); not {
				return "! " + o.option + strings.Trim(rest, `"`)
			}
			return o.option + strings.Trim(rest, `"`)
		}
	}
	return iptablesCondition(c)
}
