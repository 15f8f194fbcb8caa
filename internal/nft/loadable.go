package nft

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// Loadable writes the tables of a dump as texts for other programs, by file
// name: those of iptables-nft for iptables-restore, those of nft for nft -f. What cannot be said
// in these languages is left out, table by table, with the reason in a comment: the texts are a courtesy.
func Loadable(d *Dump, env Env) map[string]string {
	env.Listing = true
	texts := map[string]*strings.Builder{}
	for i, t := range Decode(d, env).Tables {
		file, comment := loadableFile(t)
		b := texts[file]
		if b == nil {
			b = &strings.Builder{}
			fmt.Fprintf(b, "# Made by natwarden from its raw snapshot, as a courtesy: check before you load it.\n")
			texts[file] = b
		}
		if why := unsayable(d.Tables[i], t); why != "" {
			fmt.Fprintf(b, "# left out: table %s %q: %s\n", t.Family, t.Name, why)
			continue
		}
		if comment {
			loadableNft(b, t)
		} else {
			loadableIptables(b, t)
		}
	}
	out := map[string]string{}
	for file, b := range texts {
		out[file] = b.String()
	}
	return out
}

// loadableFile names the file of a table, and says whether it is one of nft.
func loadableFile(t *host.Table) (file string, isNft bool) {
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			if r.Writer == writerIptables && t.Family == host.IP {
				return "iptables-nft.v4.restore", false
			}
			if r.Writer == writerIptables && t.Family == host.IP6 {
				return "iptables-nft.v6.restore", false
			}
		}
	}
	return "nf_tables.nft", true
}

// plainName is a name that needs no quoting in either language.
var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*$`)

// unsayable says why a table cannot be written for another program; "" where it can.
func unsayable(raw *Table, t *host.Table) string {
	_, isNft := loadableFile(t)
	if len(raw.Others) > 0 {
		return "it holds objects or flowtables"
	}
	for _, s := range raw.Sets {
		if s.Flags&1 == 0 { // NFT_SET_ANONYMOUS
			return "it holds the set or map " + fmt.Sprintf("%q", s.Name)
		}
	}
	if !plainName.MatchString(t.Name) || t.Dormant || t.Owner != 0 {
		return "its name or flags"
	}
	for _, c := range t.Chains {
		if c.Anonymous || !plainName.MatchString(c.Name) || c.Base != nil && len(c.Base.Devices) > 0 {
			return fmt.Sprintf("its chain %q", c.Name)
		}
		for _, r := range c.Rules {
			if len(r.Opaque) > 0 || r.Text == "" || (r.Writer == writerIptables) == isNft || r.Writer == writerEbtables || strings.ContainsAny(r.Text, "\n\r") {
				return fmt.Sprintf("a rule of chain %q", c.Name)
			}
		}
	}
	return ""
}

func loadableIptables(b *strings.Builder, t *host.Table) {
	fmt.Fprintf(b, "*%s\n", t.Name)
	for _, c := range t.Chains {
		policy := "-"
		if c.Base != nil {
			policy = strings.ToUpper(c.Base.Policy)
		}
		fmt.Fprintf(b, ":%s %s [0:0]\n", c.Name, policy)
	}
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			b.WriteString(r.Text + "\n")
		}
	}
	b.WriteString("COMMIT\n")
}

func loadableNft(b *strings.Builder, t *host.Table) {
	fmt.Fprintf(b, "table %s %s {\n", t.Family, t.Name)
	for _, c := range t.Chains { // first all chains: rules jump to them
		fmt.Fprintf(b, "\tchain %s {\n", c.Name)
		if c.Base != nil {
			fmt.Fprintf(b, "\t\ttype %s hook %s priority %d; policy %s;\n", c.Base.Type, c.Base.Hook, c.Base.Priority, strings.ToLower(c.Base.Policy))
		}
		for _, r := range c.Rules {
			b.WriteString("\t\t" + r.Text + "\n")
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
}
