package owner

import (
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// savedWords parts a rule as iptables-save writes it into its words: a word in
// double quotes keeps its spaces, and a backslash in it takes the next byte as it
// is. ok is false for a line that cannot be typed again: an open quote, or a
// condition that natwarden could only put in words of its own, "[…]".
func savedWords(text string) (words []string, ok bool) {
	for text = strings.TrimLeft(text, " "); text != ""; text = strings.TrimLeft(text, " ") {
		var word string
		switch text[0] {
		case '[':
			return nil, false
		case '"':
			if word, text, ok = quotedWord(text[1:]); !ok {
				return nil, false
			}
		default:
			word, text, _ = strings.Cut(text, " ")
		}
		words = append(words, word)
	}
	return words, true
}

// quotedWord reads up to the closing quote.
func quotedWord(text string) (word, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], true
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// shellLine writes words so that a shell (POSIX, section 2.2) passes them on as
// they are. Comments and names are data that anybody may have written: none of
// them may run when the line is pasted. ok is false where a word holds what
// cannot be shown, and so not be pasted either.
func shellLine(words []string) (line string, ok bool) {
	out := make([]string, len(words))
	for i, word := range words {
		if !shows(word) {
			return "", false
		}
		out[i] = host.ShellWord(word)
	}
	return strings.Join(out, " "), true
}

// Line is shellLine for words that natwarden made; "" where one cannot be shown.
func Line(words ...string) string {
	line, _ := shellLine(words)
	return line
}

func shows(word string) bool {
	return strings.IndexFunc(word, func(r rune) bool { return r == '\uFFFD' || !strconv.IsPrint(r) }) < 0
}
