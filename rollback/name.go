package rollback

import (
	"fmt"
	"strings"
)

// nameLimit keeps a file name, with its hash, well under the kernel's 255 bytes.
const nameLimit = 160

// FileName makes one file name of parts that may hold anything: labels of
// namespaces, names of tables and chains from the kernel. Different parts give
// different names.
func FileName(parts ...string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = escape(p)
	}
	name := strings.Join(escaped, "+")
	if len(name) > nameLimit {
		name = name[:nameLimit] + "~" + sha256Hex([]byte(name))[:16]
	}
	return name
}

// escape keeps letters, digits and a few signs, and writes every other byte as
// %XX; so are a leading dot (hidden) and "+" and "~", which FileName uses.
func escape(part string) string {
	var b strings.Builder
	for i := range len(part) {
		c := part[i]
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == ':' || c == '.' && i > 0
		if plain {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
