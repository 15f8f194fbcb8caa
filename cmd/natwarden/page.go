package main

import (
	"bufio"
	"fmt"
	"strings"
)

// columns is how wide a text may be; a report is read in terminals, mails and
// tickets, so it does not follow the window.
const columns = 80

// page writes the text for people. Rules of the house, for every text*.go:
// the verdict is the first line; what must be done stands before what is fine;
// one colour, one meaning (red: not authorized, green: fine, yellow: not
// known); whatever the kernel or a file named goes through clean.
type page struct {
	w      *bufio.Writer
	colour bool
	limit  int // rows of one list; 0 for all
}

// paint is an ANSI select-graphic-rendition code (ECMA-48).
type paint string

const (
	red    paint = "1;31"
	green  paint = "1;32"
	yellow paint = "1;33"
	bold   paint = "1"
	faint  paint = "2"
)

func (p *page) painted(c paint, text string) string {
	if !p.colour {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

func (a *app) page() *page {
	p := &page{w: a.out, colour: a.colour(), limit: 20}
	if a.Verbose {
		p.limit = 0
	}
	return p
}

// line writes one line; its text is natwarden's own or clean already.
func (p *page) line(text string) { p.w.WriteString(text + "\n") }

func (p *page) blank() { p.w.WriteByte('\n') }

// heading begins a section.
func (p *page) heading(text string) {
	p.blank()
	p.line(p.painted(bold, text))
}

// paragraph writes text at the margin, wrapped, in a colour where one is given.
func (p *page) paragraph(c paint, text string) {
	for _, l := range wrap(clean(text), columns) {
		if c != "" {
			l = p.painted(c, l)
		}
		p.line(l)
	}
}

// item begins a row of a list.
func (p *page) item(text string) {
	for i, l := range wrap(clean(text), columns-4) {
		if i > 0 {
			l = "  " + l
		}
		p.line("  " + l)
	}
}

// field writes "    label   value", the value wrapped under itself. An empty
// value is no field.
func (p *page) field(label, value string) {
	const indent = 15
	if value == "" {
		return
	}
	for i, l := range wrap(clean(value), columns-indent) {
		if i > 0 {
			label = ""
		}
		p.lead(label, indent, l)
	}
}

// lead writes one line below a label.
func (p *page) lead(label string, indent int, text string) {
	p.line(fmt.Sprintf("    %-*s %s", indent-5, label, text))
}

// cut gives how many of n rows to show, and says at the end what is left out.
func (p *page) cut(n int) int {
	if p.limit > 0 && n > p.limit {
		return p.limit
	}
	return n
}

func (p *page) more(n int) {
	if left := n - p.cut(n); left > 0 {
		p.line(p.painted(faint, "  … and "+thousands(left)+" more (-o json has all)"))
	}
}

// wrap breaks a text at spaces into lines of at most max columns. A word that
// is longer is broken where it must be: addresses and ids keep together as long
// as a line can hold them.
func wrap(text string, max int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		for width(word) > max {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			head := fitting(word, max)
			lines, word = append(lines, head), word[len(head):]
		}
		switch {
		case line == "":
			line = word
		case width(line)+1+width(word) <= max:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// fitting gives the longest beginning of a word that max columns hold.
func fitting(word string, max int) string {
	n := 0
	for i, r := range word {
		if n += width(string(r)); n > max {
			return word[:i]
		}
	}
	return word
}

// thousands writes 49980 as "49,980".
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// count writes "1 redirect", "2 redirects", "1 entry", "2 entries".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		return thousands(n) + " " + stem + "ies"
	}
	return thousands(n) + " " + noun + "s"
}

// list writes "a", "a and b", "a, b and c".
func list(parts []string) string {
	if len(parts) < 2 {
		return strings.Join(parts, "")
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], ", ") + " and " + parts[last]
}
