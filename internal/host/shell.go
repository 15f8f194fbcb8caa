package host

import "strings"

// ShellWord quotes a word so that a POSIX shell (section 2.2) passes it on as it
// is. Names of interfaces, files and comments are data that anybody may have
// written: none of them may run when an advice is pasted.
func ShellWord(word string) string {
	if word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=@+%") == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
