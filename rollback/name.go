package rollback

import (
	"encoding/json"
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

// ScopeName is the file of a snapshot that lists what was read for it: a
// subsystem that it lists and that has no file was empty.
const ScopeName = "scope.json"

// Scope is what a snapshot was made of: subsystems of network namespaces.
type Scope struct {
	Netns   string `json:"netns"` // label
	Backend string `json:"backend"`
}

// WriteScope writes the scope of a snapshot.
func WriteScope(scope []Scope) ([]byte, error) {
	data, err := json.MarshalIndent(scope, "", " ")
	if err != nil {
		return nil, fmt.Errorf("writing down the scope: %w", err)
	}
	return append(data, '\n'), nil
}

// ReadScope reads the scope among the files of a snapshot; false where it has none.
func ReadScope(files map[string][]byte) ([]Scope, bool, error) {
	data, found := files[ScopeName]
	if !found {
		return nil, false, nil
	}
	var scope []Scope
	if err := strict(data, &scope); err != nil {
		return nil, true, fmt.Errorf("reading the scope of a snapshot: %w", err)
	}
	return scope, true, nil
}

// SpaceFile names a file of a subsystem of a network namespace in a snapshot. No
// label can look like "", the namespace in which natwarden was started.
func SpaceFile(label, backend, file string) string {
	return FileName(spaceFolder(label), backend, file)
}

func spaceFolder(label string) string {
	if label == "" {
		return "here"
	}
	return "netns-" + label
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
