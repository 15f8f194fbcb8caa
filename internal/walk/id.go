package walk

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// id names a redirect by what it is: mechanism, kind, namespace, place and
// content, without counters, handle, index and state, so that it is the same
// next week and after a rollback.
func id(r *host.Redirect) string {
	var b strings.Builder
	put := func(parts ...string) {
		for _, p := range parts {
			b.WriteString(p)
			b.WriteByte(0)
		}
	}
	put(r.Mechanism, r.Kind, stableNetns(r.Netns), r.Rule.Backend, string(r.Rule.Family), r.Rule.Table, r.Rule.Chain, r.Rule.Element)
	put(r.Ref.Fingerprint, string(r.Family), r.Proto, r.Ports, r.Address, r.Source)
	put(r.Conditions...)
	put("to")
	put(r.To...)
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:6])
}

// stableNetns leaves out labels that are another next week.
func stableNetns(label string) string {
	if strings.HasPrefix(label, "pid:") || strings.HasPrefix(label, "fd:") {
		return "process"
	}
	return label
}
