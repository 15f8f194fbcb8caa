package xtables

import (
	"fmt"
	"strings"
)

// commands are what a line of a table may do, by the names of iptables(8).
var commands = map[string]string{
	"-A": "append", "-I": "insert", "-D": "delete", "-R": "replace", "-N": "new-chain",
	"-F": "flush", "-X": "delete-chain", "-P": "policy", "-E": "rename-chain", "-Z": "zero",
}

// rule reads "[packets:bytes] -A CHAIN …".
func (p *saveParser) rule(text string) error {
	if p.rules++; p.rules > maxRules {
		return p.wrong(1, fmt.Sprintf("more than %d rules", maxRules))
	}
	r := SaveRule{Line: p.line}
	rest, at, err := p.ruleCounters(&r, text)
	if err != nil {
		return err
	}
	r.Text = rest
	words, err := p.split(text, at)
	if err != nil {
		return err
	}
	words = r.version(words)
	if len(words) == 0 {
		return p.wrong(at+1, "want a command such as -A CHAIN")
	}
	if words, err = p.command(&r, words); err != nil {
		return err
	}
	r.Words = words
	p.table.Rules = append(p.table.Rules, r)
	return nil
}

// ruleCounters reads the counters before a rule and says where the rest starts.
func (p *saveParser) ruleCounters(r *SaveRule, text string) (rest string, at int, err error) {
	if text[0] == '[' {
		end := strings.IndexByte(text, ']')
		if end < 0 {
			return "", 0, p.wrong(1, "counters without ]")
		}
		if r.Counters, err = p.counters(text[:end+1], 1); err != nil {
			return "", 0, err
		}
		at = end + 1
	}
	rest = strings.TrimLeft(text[at:], " \t")
	return rest, len(text) - len(rest), nil
}

// version takes -4 and -6 from the front: files that serve both families have them.
func (r *SaveRule) version(words []Word) []Word {
	if len(words) == 0 || words[0].Quoted {
		return words
	}
	switch words[0].Text {
	case "-4", "--ipv4":
		r.Version = 4
	case "-6", "--ipv6":
		r.Version = 6
	default:
		return words
	}
	return words[1:]
}

// command reads the command and its chain, which flush, delete-chain and zero
// may leave out.
func (p *saveParser) command(r *SaveRule, words []Word) ([]Word, error) {
	first := words[0]
	long, known := commands[first.Text]
	if name, ok := strings.CutPrefix(first.Text, "--"); ok {
		for _, c := range commands {
			if c == name {
				long, known = c, true
			}
		}
	}
	if !known || first.Quoted {
		return nil, p.wrong(first.Column, fmt.Sprintf("%.20q is no command: want -A, -I, -D, -R, -N, -P, -F, -X, -E or -Z", first.Text))
	}
	r.Command, words = long, words[1:]
	if len(words) == 0 {
		if long == "flush" || long == "delete-chain" || long == "zero" {
			return nil, nil
		}
		return nil, p.wrong(first.Column, first.Text+" names no chain")
	}
	r.Chain = words[0].Text
	if r.Chain == "" || len(r.Chain) >= extName {
		return nil, p.wrong(words[0].Column, fmt.Sprintf("%.40q is no chain name: want 1 to %d bytes", r.Chain, extName-1))
	}
	return words[1:], nil
}

// split parts a line into words from byte at on, as iptables-restore does
// (add_param_to_argv in iptables/xshared.c): double quotes hold a word
// together, a backslash in them takes the next byte as it is, and a closing
// quote ends the word.
func (p *saveParser) split(text string, at int) ([]Word, error) {
	var words []Word
	for {
		for at < len(text) && (text[at] == ' ' || text[at] == '\t') {
			at++
		}
		if at == len(text) {
			return words, nil
		}
		w, next, ok := oneWord(text, at)
		if !ok {
			return nil, p.wrong(w.Column, "a double quote is not closed")
		}
		words = append(words, w)
		at = next
	}
}

// oneWord reads the word that starts at byte at, and gives where it ended.
func oneWord(text string, at int) (w Word, next int, ok bool) {
	w.Column = at + 1
	var b strings.Builder
	for ; at < len(text) && text[at] != ' ' && text[at] != '\t'; at++ {
		if text[at] != '"' {
			b.WriteByte(text[at])
			continue
		}
		w.Quoted = true
		next, ok = quoted(&b, text, at+1)
		w.Text = b.String()
		return w, next, ok
	}
	w.Text = b.String()
	return w, at, true
}

// quoted reads up to the closing quote.
func quoted(b *strings.Builder, text string, at int) (next int, ok bool) {
	for ; at < len(text); at++ {
		switch text[at] {
		case '"':
			return at + 1, true
		case '\\':
			if at++; at == len(text) {
				return at, false
			}
		}
		b.WriteByte(text[at])
	}
	return at, false
}
