package policy

import (
	"fmt"
	"regexp"
	"strings"
)

// plainText is what YAML reads as text without quotes, whatever stands there.
var plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_/.@+-]*( [A-Za-z0-9_/.@+-]+)*$`)

// typed are the words that YAML (1.1 readers too) takes for something else.
var typed = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|nan|inf)$`)

// plain writes text for YAML: as it stands where that is safe, else in double
// quotes with everything but printable ASCII escaped. Names from the kernel are
// data: a comment with a line break must not become a line of the policy.
func plain(text string) string {
	if plainText.MatchString(text) && !typed.MatchString(text) {
		return text
	}
	return quoted(text)
}

func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c >= ' ' && c < 0x7f:
			b.WriteRune(c)
		case c < 0x100:
			fmt.Fprintf(&b, `\x%02x`, c)
		case c < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			fmt.Fprintf(&b, `\U%08x`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
