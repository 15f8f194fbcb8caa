package xt_test

import (
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/xt"
)

func family(n uint8) host.Family {
	return [...]host.Family{host.IP, host.IP6, host.Bridge, host.ARP}[n%4]
}

// clean says whether a text has nothing that drives a terminal.
func clean(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x9b || r == 0xfffd })
}

func FuzzMatch(f *testing.F) {
	for _, c := range matchCases {
		f.Add(uint8(0), c.match, c.revision, c.info)
		f.Add(uint8(1), c.match, c.revision, c.info)
	}
	f.Add(uint8(0), "set", uint8(4), append(setInfo(7, "sd", false), make([]byte, 44)...))
	f.Add(uint8(2), "arp", uint8(0), make([]byte, 50))
	for _, name := range []string{"string", "hashlimit", "policy", "sctp", "dccp", "rt", "hbh", "frag", "physdev", "osf", "connbytes", "rateest"} {
		f.Add(uint8(1), name, uint8(1), make([]byte, 400))
	}
	f.Fuzz(func(t *testing.T, fam uint8, name string, revision uint8, info []byte) {
		alts, text, ok := xt.Match(xt.Ext{Family: family(fam), Name: name, Revision: revision, Info: info}, xt.Env{Now: now, Sets: someSets})
		if !ok && alts != nil || !clean(text) || text == "" && family(fam) != host.Bridge {
			t.Fatalf("%q: ok %v, %v", text, ok, alts)
		}
		for i := range alts {
			for _, c := range alts[i].Conditions {
				if !clean(c) || c == "" {
					t.Fatalf("condition %q", c)
				}
			}
		}
	})
}

func FuzzTarget(f *testing.F) {
	for _, c := range targetCases {
		f.Add(uint8(0), c.target, c.revision, c.info)
		f.Add(uint8(1), c.target, c.revision, c.info)
	}
	for _, name := range []string{"dnat", "redirect", "mark", "arpreply", "mangle", "log", "nflog", "standard"} {
		f.Add(uint8(2), name, uint8(0), make([]byte, 80))
	}
	f.Fuzz(func(t *testing.T, fam uint8, name string, revision uint8, info []byte) {
		r, ok := xt.Target(xt.Ext{Family: family(fam), Name: name, Revision: revision, Info: info}, xt.Env{Now: now, Sets: someSets})
		if !ok && (r.Verdict != host.Uncertain || len(r.Effects) > 0) || !clean(r.Text) || r.Text == "" {
			t.Fatalf("%v %+v", ok, r)
		}
		for _, e := range r.Effects {
			for _, to := range e.To {
				_ = to.String()
			}
			if !clean(strings.Join(e.Evidence, " ") + e.Unknown) {
				t.Fatalf("%+v", e)
			}
		}
	})
}
