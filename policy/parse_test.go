package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestErrorsGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d bad policies, %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		p, err := Parse(data, name)
		if err == nil || p != nil || !errors.Is(err, ErrPolicy) {
			t.Errorf("%s: policy %v, error %v", name, p, err)
			continue
		}
		golden(t, filepath.Join("bad", strings.TrimSuffix(name, ".yaml")+".golden"), []byte(err.Error()+"\n"))
	}
}

const contract = `version: 1
defaults: {redirects: deny, listeners: report, latent: report}     # deny | report
allow:
  redirects:
    - id: public-web
      reason: public site to the DMZ pool, CHG-1042   # required
      owner: netops@example.org                       # required
      expires: 2027-03-31                             # required (end of that day, UTC), or permanent: true
      reviewed: 2026-11-01                            # optional, with review_every: 31d; controls: [CIS 3.5]
      review_every: 31d
      controls: [CIS 3.5]
      match: {proto: tcp, ports: "80,443", to: "10.0.5.0/24:8080", family: ip, writer: iptables-nft, table: nat, chain: PREROUTING}
  listeners:
    - id: ssh
      reason: administration
      owner: ops@example.org
      permanent: true
      match: {proto: tcp, ports: "22", address: "0.0.0.0", exe: /usr/sbin/sshd, user: root, unit: ssh.service}
`

func TestParseReadsTheContractsExample(t *testing.T) {
	p := parsedPolicy(t, contract)
	if len(p.Redirects) != 1 || len(p.Listeners) != 1 || p.Path != "policy.yaml" || len(p.SHA256) != 64 || string(p.Source) != contract {
		t.Fatalf("%+v", p)
	}
	e := p.Redirects[0].Entry
	if e.ID != "public-web" || e.Reason != "public site to the DMZ pool, CHG-1042" || e.Owner != "netops@example.org" || e.Until() != "2027-03-31" ||
		e.Permanent || e.Reviewed.Format(day) != "2026-11-01" || e.ReviewEvery.String() != "31d" || len(e.Controls) != 1 || e.Controls[0] != "CIS 3.5" ||
		e.Review != "" || e.Line != 5 {
		t.Errorf("%+v", e)
	}
	if want := `proto: tcp, ports: "80,443", to: "10.0.5.0/24:8080", family: ip, writer: iptables-nft, table: nat, chain: PREROUTING`; e.Words != want {
		t.Errorf("words %q", e.Words)
	}
	if l := p.Listeners[0].Entry; !l.Permanent || l.Until() != "permanent" || l.Line != 14 {
		t.Errorf("%+v", l)
	}
}

func TestDefaultsMayBeAbsent(t *testing.T) {
	for text, want := range map[string]Defaults{
		"version: 1":                                {Deny, Report, Report},
		"version: 1\ndefaults: {}\nallow: {}":       {Deny, Report, Report},
		"version: 1\ndefaults: {listeners: deny}":   {Deny, Deny, Report},
		"version: 1\ndefaults: {redirects: report}": {Report, Report, Report},
		"version: 1\ndefaults: {latent: deny}\nallow: {redirects: [], listeners: []}": {Deny, Report, Deny},
	} {
		if p := parsedPolicy(t, text); p.Defaults != want {
			t.Errorf("%q: %+v, want %+v", text, p.Defaults, want)
		}
	}
}

func TestPeriods(t *testing.T) {
	from := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{"31d": "2026-03-03", "2w": "2026-02-14", "2m": "2026-03-31", "1y": "2027-01-31"} {
		p := parsedPolicy(t, "version: 1\nallow: {redirects: [{id: e, reason: r, owner: o, permanent: true, reviewed: 2026-01-31, review_every: "+text+", match: {ports: 80}}]}")
		every := p.Redirects[0].ReviewEvery
		if got := every.After(from).Format(day); got != want || every.String() != text {
			t.Errorf("%s after %s: %s as %q, want %s", text, from.Format(day), got, every, want)
		}
	}
}

func TestParseRefusesALargeFile(t *testing.T) {
	if _, err := Parse([]byte("version: 1\n"+strings.Repeat("#", MaxSize)), "p"); !errors.Is(err, ErrPolicy) {
		t.Error(err)
	}
}

func TestPlainIsReadBackAsItStands(t *testing.T) {
	for _, name := range hostile {
		if strings.TrimSpace(name) == "" || strings.ToValidUTF8(name, "") != name {
			continue
		}
		p := parsedPolicy(t, "version: 1\nallow: {redirects: [{id: e, reason: r, owner: o, permanent: true, match: {comment: "+plain(name)+"}}]}")
		if got := p.Redirects[0].Match.comment; len(got) != 1 || got[0] != name {
			t.Errorf("%q is read back as %q", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(contract))
	f.Add([]byte("version: 1\nchange: {windows: [" + nights + "," + eve + "]}\n"))
	files, _ := filepath.Glob("testdata/bad/*.yaml")
	for _, file := range append(files, "testdata/init.yaml") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data, "p")
		if err == nil {
			p.JudgeRedirect(web(nil), today)
			Lint(p, nil, today)
			return
		}
		var all Errors
		if !errors.As(err, &all) || len(all) == 0 || p != nil {
			t.Fatalf("%v", err)
		}
		for _, e := range all {
			if e.Line < 1 || e.Col < 1 || e.Message == "" || e.File != "p" {
				t.Errorf("%+v", e)
			}
		}
	})
}
