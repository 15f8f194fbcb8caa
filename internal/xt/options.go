package xt

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/natwarden/natwarden/internal/host"
)

// options writes the options of one match or target twice: as iptables-save
// prints them, and in words for a condition ("! --mark 0x1" is "not mark 0x1").
type options struct {
	text, words strings.Builder
	ebtables    bool // "--option ! value" instead of "! --option value"
}

// match begins the text of a match: "-m NAME".
func (d *data) match() *options {
	o := &options{}
	o.text.Grow(64)
	o.text.WriteString("-m ")
	o.text.WriteString(quote(d.name))
	return o
}

// target begins the text of a target: "-j NAME".
func (d *data) target() *options {
	o := &options{}
	o.text.Grow(64)
	o.text.WriteString("-j ")
	o.text.WriteString(quote(d.name))
	return o
}

// add appends an option; value may be "".
func (o *options) add(not bool, option, value string) *options {
	return o.as(not, option, option, value)
}

// as is add with another word for the condition; word "" leaves it out of it.
func (o *options) as(not bool, option, word, value string) *options {
	if not && !o.ebtables {
		o.text.WriteString(" !")
	}
	o.text.WriteString(" --")
	o.text.WriteString(option)
	if not && o.ebtables {
		o.text.WriteString(" !")
	}
	if value != "" {
		o.text.WriteByte(' ')
		o.text.WriteString(value)
	}
	if word == "" {
		return o
	}
	if not {
		o.word("not")
	}
	o.word(word)
	if value != "" {
		o.word(value)
	}
	return o
}

// flag appends an option without a value where on.
func (o *options) flag(on bool, option string) *options {
	if on {
		o.add(false, option, "")
	}
	return o
}

// word appends to the words only.
func (o *options) word(word string) *options {
	if o.words.Len() > 0 {
		o.words.WriteByte(' ')
	}
	o.words.WriteString(word)
	return o
}

// only gives a match as words alone.
func (o *options) only() ([]host.Match, string) { return o.with(host.Match{}) }

// with gives a match as a set and the words, if there are any, as a condition.
func (o *options) with(m host.Match) ([]host.Match, string) {
	if o.words.Len() > 0 {
		m.Require(o.words.String())
	}
	return []host.Match{m}, o.text.String()
}

// computed gives a match as a test, with the words of the options.
func (o *options) computed(t host.Test) ([]host.Match, string) {
	var m host.Match
	t.Words = o.words.String()
	m.Expect(t)
	return []host.Match{m}, o.text.String()
}

// sets adds what a target assigns.
func (r Result) sets(a ...host.Assign) Result {
	r.Assigns = append(r.Assigns, a...)
	return r
}

// does gives a target with this verdict and effects.
func (o *options) does(v host.Verdict, effects ...host.Effect) Result {
	return Result{Verdict: v, Effects: effects, Text: o.text.String()}
}

// quote writes a string as xtables_save_string does: in quotes unless it is
// plain. Control characters and bytes that are no UTF-8 become \xNN, so that no
// name from the kernel can drive a terminal.
func quote(s string) string {
	if s != "" && all(s, plain) {
		return s
	}
	return quoted(s)
}

// plain bytes need no quotes: the no_quote_chars of libxtables.
func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// simple bytes stand in quotes as they are.
func simple(c byte) bool {
	return c >= ' ' && c <= '~' && c != '"' && c != '\'' && c != '\\'
}

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

// bareName writes the name of an interface, a set or a list, which iptables-save
// never quotes; only what could drive a terminal or a shell is quoted.
func bareName(name string) string {
	for _, r := range name {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune("\"'\\`$&;|<>()*?!#", r) {
			return quoted(name)
		}
	}
	if name == "" {
		return quoted(name)
	}
	return name
}

// quoted writes a string in quotes whatever it holds.
func quoted(s string) string {
	if all(s, simple) {
		return `"` + s + `"`
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\' || r == '\'':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == utf8.RuneError && n == 1 || !strconv.IsPrint(r):
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	b.WriteByte('"')
	return b.String()
}

func num[T ~uint8 | ~uint16 | ~uint32 | ~uint64](n T) string {
	return strconv.FormatUint(uint64(n), 10)
}

func hex(n uint32) string { return "0x" + strconv.FormatUint(uint64(n), 16) }

// hexMask writes VALUE/MASK and leaves a full mask out.
func hexMask(value, mask uint32) string {
	if mask == 0xffffffff {
		return hex(value)
	}
	return hex(value) + "/" + hex(mask)
}

// span writes LO, or LO:HI where they differ.
func span[T ~uint8 | ~uint16 | ~uint32 | ~uint64](lo, hi T, sep string) string {
	if lo == hi {
		return num(lo)
	}
	return num(lo) + sep + num(hi)
}

// mac writes a hardware address.
func mac(b []byte) string {
	parts := make([]string, len(b))
	for i, c := range b {
		parts[i] = fmt.Sprintf("%02x", c)
	}
	return strings.Join(parts, ":")
}

// names lists the names of the bits that are set, lowest first.
func names(bits uint32, list ...string) string {
	var out []string
	for i, name := range list {
		if bits>>i&1 == 1 && name != "" {
			out = append(out, name)
		}
	}
	return strings.Join(out, ",")
}
