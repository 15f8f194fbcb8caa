package host

import "strings"

// ShellWord quotes a word so that a POSIX shell (section 2.2) passes it on as it
// is. Names of interfaces, files and comments are data that anybody may have
// written: none of them may run when an advice is pasted.
func ShellWord(word string) string {
	if word != "" && strings.IndexFunc(word, special) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// special says whether a shell may take the character for something else.
func special(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return !strings.ContainsRune("-_./:,=@+%", r)
}
