package host

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// ID names a redirect by what it is: mechanism, kind, namespace, place and
// content, without counters, handle, index, state, verdict and owner, so that it is the
// same next week and after a rollback. Content is whatever tells it further: the rule's
// fingerprint, a program's tag.
func ID(r *Redirect, content ...string) string {
	var b strings.Builder
	put := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(p)
			b.WriteByte(0)
		}
	}
	put(r.Mechanism, r.Kind, stableNetns(r.Netns))
	if r.Rule != nil {
		put(r.Rule.Backend, string(r.Rule.Family), r.Rule.Table, r.Rule.Chain, r.Rule.Element)
	}
	put(content...)
	put(string(r.Family), r.Proto, r.Ports, r.Address, r.Source)
	put(r.Conditions...)
	put("to")
	put(r.To...)
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:6])
}

// stableNetns leaves out labels that are another next week.
func stableNetns(label string) string {
	if strings.HasPrefix(label, "pid:") || strings.HasPrefix(label, "fd:") || strings.HasPrefix(label, "/proc/") {
		return "process"
	}
	return label
}

// Number gives rows with equal ids their order: the second is ID-2, the third ID-3.
func Number(rows []Redirect) {
	seen := make(map[string]int, len(rows))
	for i := range rows {
		base := rows[i].ID
		seen[base]++
		if n := seen[base]; n > 1 {
			rows[i].ID = fmt.Sprintf("%s-%d", base, n)
		}
	}
}
