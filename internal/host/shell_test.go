package host

import "testing"

func TestShellWords(t *testing.T) {
	for word, want := range map[string]string{
		"eth0":      "eth0",
		";reboot":   "';reboot'",
		"$(reboot)": "'$(reboot)'",
		"a'b":       `'a'\''b'`,
		"":          "''",
		"a b":       "'a b'",
		"`x`":       "'`x`'",
	} {
		if got := ShellWord(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
