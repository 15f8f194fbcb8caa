package main

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCleanShowsWhatATerminalWouldActOn(t *testing.T) {
	for in, want := range map[string]string{
		"plain -A PREROUTING":     "plain -A PREROUTING",
		"":                        "",
		"grün 東":                  "grün 東",
		"a\x00b":                  `a\x00b`,
		"\x1b[31mred":             `\x1b[31mred`,
		"line\nbreak\ttab\r":      `line\x0abreak\x09tab\x0d`,
		"\u009b2J":                `\u009b2J`,
		"abc\u202etxt.exe":        `abc\u202etxt.exe`,
		"zero\u200bwidth\ufeff":   `zero\u200bwidth\ufeff`,
		"tag\U000e0041":           `tag\U000e0041`,
		"bad\xff\xc3(":            `bad\xff\xc3(`,
		"sep\u2028\u2029":         `sep\u2028\u2029`,
		"del\x7f nbsp\u00a0":      `del\x7f nbsp\u00a0`,
		"real replacement \ufffd": "real replacement \ufffd",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "a\x1b]0;x\a", "\xff", "\u202e", strings.Repeat("\x00", 1024)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := clean(in)
		if !utf8.ValidString(out) {
			t.Fatalf("clean(%q) is not UTF-8", in)
		}
		for _, r := range out {
			if !strconv.IsPrint(r) {
				t.Fatalf("clean(%q) keeps %q", in, r)
			}
		}
		if clean(out) != out {
			t.Fatalf("clean(%q) changes when it is cleaned again", in)
		}
	})
}
