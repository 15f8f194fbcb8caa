package xt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/ipset"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/nft"
	"github.com/natwarden/natwarden/internal/xt"
	"github.com/natwarden/natwarden/internal/xtables"
)

// oneRule is a line of testdata/rules.
type oneRule struct {
	family host.Family
	table  string
	chain  string
	args   []string
	text   string
}

func rules(t *testing.T) (all []oneRule) {
	t.Helper()
	file, err := os.ReadFile("testdata/rules")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(file)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		line = strings.TrimSpace(line)
		f := strings.SplitN(line, " ", 4)
		all = append(all, oneRule{host.Family(f[0]), f[1], f[2], words(f[3]), line})
	}
	return all
}

// words splits as a shell does with double quotes and backslashes in them.
func words(text string) (list []string) {
	var word strings.Builder
	quoted, started := false, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted, started = !quoted, true
		case c == '\\' && quoted:
			i++
			word.WriteByte(text[i])
		case c == ' ' && !quoted:
			if started {
				list = append(list, word.String())
			}
			word.Reset()
			started = false
		default:
			word.WriteByte(c)
			started = true
		}
	}
	return append(list, word.String())
}

const sets = `create hosts hash:ip timeout 600
add hosts 10.0.0.1
create pairs hash:ip,port timeout 0
add pairs 10.0.0.1,80
create counted hash:net counters skbinfo
create hosts6 hash:ip family inet6
`

// load puts every rule that this kernel can hold into its table, one after the
// other, and gives those.
func load(t *testing.T, s labtest.Space, backend string) (held []oneRule) {
	t.Helper()
	s.MustRun(t, sets, "ipset", "restore")
	for _, r := range rules(t) {
		program := "iptables-" + backend
		if r.family == host.IP6 {
			program = "ip6tables-" + backend
		}
		argv := append([]string{program, "-t", r.table, "-A", r.chain}, r.args...)
		if out, err := s.Run(t.Context(), "", argv...); err != nil {
			t.Logf("not held by this kernel: %s: %s", r.text, lastLine(out))
			continue
		}
		held = append(held, r)
	}
	if len(held) < 200 {
		t.Errorf("this kernel holds %d rules of testdata/rules; the test proves too little", len(held))
	}
	return held
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// noise is what libxt_connlabel writes to standard error, in the midst of lines.
const noise = "Warning: cannot open /etc/xtables/connlabel.conf: No such file or directory\n"

// saved gives the lines of iptables-save, in the order of their rules in each
// family and table.
func saved(t *testing.T, s labtest.Space, backend string) map[string][]string {
	t.Helper()
	lines := map[string][]string{}
	for family, program := range map[host.Family]string{host.IP: "iptables-", host.IP6: "ip6tables-"} {
		table := ""
		for line := range strings.Lines(strings.ReplaceAll(s.MustRun(t, "", program+backend+"-save"), noise, "")) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "*"):
				table = line[1:]
			case strings.HasPrefix(line, "-A "):
				key := string(family) + " " + table + " " + strings.Fields(line)[1]
				lines[key] = append(lines[key], line)
			}
		}
	}
	return lines
}

// decoded is one rule as xt says it: the texts of its matches and target.
type decoded struct {
	texts []string
	bad   []string
}

func (d *decoded) match(e xt.Ext, env xt.Env) {
	_, text, ok := xt.Match(e, env)
	d.note(e, text, ok)
}

func (d *decoded) target(e xt.Ext, env xt.Env) {
	if e.Name == "" {
		return
	}
	r, ok := xt.Target(e, env)
	d.note(e, r.Text, ok)
}

func (d *decoded) note(e xt.Ext, text string, ok bool) {
	d.texts = append(d.texts, text)
	if !ok {
		d.bad = append(d.bad, e.Name)
	}
}

func env(t *testing.T, s labtest.Space) xt.Env {
	t.Helper()
	e := xt.Env{Now: time.Now()}
	s.MustDo(t, func(ctx context.Context) error {
		read, err := ipset.Read(ctx)
		e.Sets = read
		return err
	})
	return e
}

// legacy decodes the rules of iptables-legacy from their entries.
func legacy(t *testing.T, s labtest.Space, env xt.Env) map[string][]decoded {
	t.Helper()
	all := map[string][]decoded{}
	s.MustDo(t, func(ctx context.Context) error {
		dump, err := xtables.Read(ctx)
		if err != nil {
			return err
		}
		for _, table := range dump.Tables {
			chains, err := table.Chains()
			if err != nil {
				return err
			}
			for _, c := range chains {
				for i := c.First; i < c.End; i++ {
					key := string(table.Family) + " " + table.Name + " " + c.Name
					all[key] = append(all[key], entry(table, i, env))
				}
			}
		}
		return nil
	})
	return all
}

func entry(table *xtables.Table, i int, env xt.Env) (d decoded) {
	raw := table.Raw(i)
	xtables.EachMatch(table.Family, raw, func(name string, revision uint8, info []byte) {
		d.match(xt.Ext{Family: table.Family, Name: name, Revision: revision, Info: info}, env)
	})
	target := raw[table.Entries[i].Target:]
	size := binary.NativeEndian.Uint16(target)
	name, _, _ := bytes.Cut(target[2:31], []byte{0})
	d.target(xt.Ext{Family: table.Family, Name: string(name), Revision: target[31], Info: target[32:size]}, env)
	return d
}

func TestTextIsWhatIptablesLegacySavePrints(t *testing.T) {
	s := labtest.New(t, "iptables-legacy", "ip6tables-legacy", "ipset")
	load(t, s, "legacy")
	want, got := saved(t, s, "legacy"), legacy(t, s, env(t, s))
	for key, lines := range want {
		if len(got[key]) != len(lines) {
			t.Fatalf("%s: %d rules decoded of %d", key, len(got[key]), len(lines))
		}
		for i, line := range lines {
			d := got[key][i]
			text := strings.Join(d.texts, " ")
			if head, ok := strings.CutSuffix(line, text); !ok || strings.Contains(head, " -m ") || strings.Contains(head, " -j ") {
				t.Errorf("save:    %s\ndecoded: %s", line, text)
			}
			if len(d.bad) > 0 {
				t.Errorf("%s: not understood: %v", line, d.bad)
			}
		}
	}
}

// The attributes of nf_tables that carry x_tables extensions:
// include/uapi/linux/netfilter/nf_tables.h and nf_tables_compat.h.
const (
	exprName, exprData       = 1, 2
	extName, extRev, extInfo = 1, 2, 3
)

func nftRule(family host.Family, exprs []byte, env xt.Env) (d decoded, err error) {
	err = nft.Walk(exprs, func(_ uint16, elem []byte) {
		kind := nft.Text(nft.Find(elem, exprName))
		if kind != "match" && kind != "target" {
			return
		}
		e := xt.Ext{Family: family}
		inner := nft.Find(elem, exprData)
		e.Name = nft.Text(nft.Find(inner, extName))
		e.Revision = uint8(binary.BigEndian.Uint32(nft.Find(inner, extRev)))
		e.Info = nft.Find(inner, extInfo)
		if kind == "match" {
			d.match(e, env)
		} else {
			d.target(e, env)
		}
	})
	return d, err
}

func TestTextIsWhatIptablesNftSavePrints(t *testing.T) {
	s := labtest.New(t, "iptables-nft", "ip6tables-nft", "ipset")
	load(t, s, "nft")
	want, found := saved(t, s, "nft"), 0
	e := env(t, s)
	var dump *nft.Dump
	s.MustDo(t, func(ctx context.Context) (err error) {
		dump, err = nft.Read(ctx, nft.Options{})
		return err
	})
	for _, table := range dump.Tables {
		family := map[uint8]host.Family{2: host.IP, 10: host.IP6}[table.Family]
		for _, chain := range table.Chains {
			lines := want[string(family)+" "+table.Name+" "+chain.Name]
			for i, rule := range chain.Rules {
				d, err := nftRule(family, rule.Exprs, e)
				if err != nil {
					t.Fatal(err)
				}
				for _, text := range d.texts {
					if found++; !strings.Contains(lines[i]+" ", " "+text+" ") {
						t.Errorf("save:    %s\ndecoded: %s", lines[i], text)
					}
				}
				if len(d.bad) > 0 {
					t.Errorf("%s: not understood: %v", lines[i], d.bad)
				}
			}
		}
	}
	if found < 180 {
		t.Errorf("%d matches and targets were compared; too few to prove anything", found)
	}
}
