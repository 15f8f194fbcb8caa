package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// clean makes a text that came from the kernel, a file or a process safe to
// show: whatever a terminal would act on instead of printing (control
// characters, ANSI sequences, direction overrides, invisible and invalid
// characters) is written as an escape. Rule comments and chain names are
// data that anybody may have written.
func clean(text string) string {
	if isPlain(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		b.WriteString(cleanRune(r, text[:size]))
		text = text[size:]
	}
	return b.String()
}

func isPlain(text string) bool {
	for i := 0; i < len(text); i++ {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

func cleanRune(r rune, raw string) string {
	switch {
	case r == utf8.RuneError && len(raw) == 1, r < utf8.RuneSelf && !strconv.IsPrint(r):
		return fmt.Sprintf(`\x%02x`, raw[0])
	case strconv.IsPrint(r):
		return raw
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// width is how many columns a clean text takes on a terminal: East Asian wide
// characters take two, combining ones are counted as one (never too few).
func width(text string) int {
	n := 0
	for _, r := range text {
		n++
		if isWide(r) {
			n++
		}
	}
	return n
}

// isWide follows the blocks that Unicode's EastAsianWidth.txt calls W or F,
// rounded outwards: too wide only breaks a line early.
func isWide(r rune) bool {
	return r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xa960 && r <= 0xa97f ||
		r >= 0xac00 && r <= 0xd7ff || r >= 0xf900 && r <= 0xfaff || r >= 0xfe10 && r <= 0xfe6f ||
		r >= 0xff00 && r <= 0xffe6 || r >= 0x16fe0 && r <= 0x18aff || r >= 0x1b000 && r <= 0x1b2ff ||
		r >= 0x1f000 && r <= 0x1faff || r >= 0x20000 && r <= 0x3ffff
}
