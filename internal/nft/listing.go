package nft

import (
	"fmt"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// Listing writes a dump for a person: every table with its chains and rules,
// each rule in the language of its writer. It is made to be read beside the raw
// bytes of a snapshot, not to be loaded.
func Listing(d *Dump, env Env) string {
	env.Listing = true
	var b strings.Builder
	for _, t := range Decode(d, env).Tables {
		fmt.Fprintf(&b, "table %s %q {\n", t.Family, t.Name)
		for _, c := range t.Chains {
			fmt.Fprintf(&b, "\tchain %q {%s\n", c.Name, baseWords(c.Base))
			for _, r := range c.Rules {
				fmt.Fprintf(&b, "\t\t%s # handle %d%s\n", oneLine(r.Text), r.Handle, commentWords(r.Comment))
			}
			b.WriteString("\t}\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func baseWords(base *host.Base) string {
	if base == nil {
		return ""
	}
	words := fmt.Sprintf(" # type %s hook %s priority %d policy %s", base.Type, base.Hook, base.Priority, base.Policy)
	if len(base.Devices) > 0 {
		words += fmt.Sprintf(" devices %q", base.Devices)
	}
	return words
}

func commentWords(comment string) string {
	if comment == "" {
		return ""
	}
	return fmt.Sprintf(" comment %q", comment)
}

// oneLine keeps a rule on its line whatever names it holds.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}
