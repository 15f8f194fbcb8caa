package nft

import "github.com/natwarden/natwarden/internal/host"

// text writes a rule in the language of its writer.
func (m *machine) text(raw *Rule, out *host.Rule) string { return "" }
