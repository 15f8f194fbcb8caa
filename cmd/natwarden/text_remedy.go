package main

import (
	"strings"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/owner"
	"github.com/natwarden/natwarden/remediate"
)

// remedy tells how a redirect is ended at its source, and by natwarden where it
// can do that. Commands stand alone and whole, so that they can be pasted.
func (p *page) remedy(r *host.Redirect) {
	label := "to end it"
	if r.Advice != "" && r.Advice == owner.Command(r) {
		p.command(label, r.Advice)
		label = "or"
	} else if r.Advice != "" {
		p.field(label, r.Advice)
		label = "or"
	}
	if r.Ref != nil {
		p.command(label, ownCommand(r))
	}
}

// ownCommand ends the redirect by natwarden, with what it needs to be asked for.
func ownCommand(r *host.Redirect) string {
	words := []string{"natwarden", "remediate"}
	if r.Netns != "" {
		words = append(words, "--netns", r.Netns)
	}
	if kinds := remediate.Needs(r); len(kinds) > 0 {
		words = append(words, "--include", strings.Join(kinds, ","))
	}
	return owner.Line(append(words, "--only", r.ID)...)
}

// command writes a command so that it can be pasted: broken only between words
// of the shell, with a backslash before each end of line but the last.
func (p *page) command(label, line string) {
	const indent, room = 15, columns - 15 - 2
	rows := []string{""}
	for _, word := range shellParts(line) {
		last := &rows[len(rows)-1]
		switch {
		case width(word) > room:
			p.field(label, "a line that is too long for this page: -o json has it as advice")
			return
		case *last == "":
			*last = word
		case width(*last)+1+width(word) <= room:
			*last += " " + word
		default:
			rows = append(rows, word)
		}
	}
	for i, row := range rows {
		if i < len(rows)-1 {
			row += ` \`
		}
		p.lead(label, indent, row)
		label = ""
	}
}

// shellParts parts a line at the blanks that stand in no single quotes, and
// leaves the words as they are written.
func shellParts(line string) []string {
	quoted, escaped := false, false
	return strings.FieldsFunc(line, func(r rune) bool {
		switch {
		case escaped:
			escaped = false
		case r == '\'':
			quoted = !quoted
		case r == '\\' && !quoted:
			escaped = true
		default:
			return r == ' ' && !quoted
		}
		return false
	})
}
