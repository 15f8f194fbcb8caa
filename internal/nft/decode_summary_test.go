package nft

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// testNow is the time against which the tests hold dates.
var testNow = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// decodeIn loads a ruleset into a new namespace and decodes what is there.
func decodeIn(t testing.TB, ruleset string, more ...[]string) Decoded {
	t.Helper()
	s := labtest.New(t, "nft")
	if ruleset != "" {
		s.MustRun(t, ruleset, "nft", "-f", "-")
	}
	for _, argv := range more {
		s.MustRun(t, "", argv...)
	}
	env := Env{Now: testNow, Ifname: func(i uint32) string { return map[uint32]string{1: "lo"}[i] }}
	return Decode(read(t, s, Options{}), env)
}

// summary writes decoded branches compactly, one a line.
func summary(d Decoded) string {
	var b strings.Builder
	for _, t := range d.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				for _, br := range r.Branches {
					fmt.Fprintf(&b, "%s %d:%s\n", c.Name, r.Index, branchSummary(r, &br))
				}
			}
		}
	}
	for _, x := range d.Blind {
		fmt.Fprintf(&b, "blind: %s: %s\n", x.What, x.Why)
	}
	return anonymous.ReplaceAllString(b.String(), "$1")
}

// anonymous are the names that the kernel counts up for the whole machine.
var anonymous = regexp.MustCompile(`(__(?:chain|set|map))[0-9]+`)

func branchSummary(r *host.Rule, br *host.Branch) string {
	m := &br.Match
	var w []string
	add := func(name, text string) {
		if text != "" && text != "any" {
			w = append(w, name+text)
		}
	}
	add("", string(m.Family))
	add("", host.ProtosString(m.Protos))
	add("dport=", host.PortsString(m.Ports))
	add("sport=", host.PortsString(m.SPorts))
	add("dst=", host.AddrsString(m.Address))
	add("src=", host.AddrsString(m.Source))
	add("in=", m.In.String())
	add("out=", m.Out.String())
	for _, c := range m.Conditions {
		add("", "["+c+"]")
	}
	add("DEAD ", m.Dead)
	add("WAITING ", m.Waiting)
	if e := br.Element; e != nil {
		add("el ", e.Key)
	}
	for _, e := range br.Effects {
		add("", effectSummary(e))
	}
	add("=> ", []string{"", "accept", "drop", "return", "jump " + br.Chain, "goto " + br.Chain, "queue", "stolen", "uncertain"}[br.Verdict])
	if r.Writer != writerNft {
		add("", r.Writer)
	}
	if r.Text != "" {
		add("", "`"+r.Text+"`")
	}
	if r.Comment != "" {
		add("comment ", r.Comment)
	}
	add("OPAQUE ", strings.Join(r.Opaque, "; "))
	return " " + strings.Join(w, " ")
}

func effectSummary(e host.Effect) string {
	text := e.Kind
	if e.Source {
		text += "(source)"
	}
	for _, t := range e.To {
		text += " " + t.String()
	}
	if e.Unknown != "" {
		text += " UNKNOWN " + e.Unknown
	}
	if len(e.Evidence) > 0 {
		text += " <" + strings.Join(e.Evidence, ", ") + ">"
	}
	return "{" + text + "}"
}
