package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/host"
)

// fullReport has something in every field that JSON shows, so that a field
// that the encoder forgets or names wrongly shows.
func fullReport() *audit.Report {
	p := host.Process{PID: 4711, Name: "socat", Exe: "/usr/bin/socat", Deleted: true, Args: []string{"socat", "-d \"x\""},
		Unit: "relay.service", Container: "c1", Netns: "blue"}
	return &audit.Report{
		SchemaVersion: 1, Tool: audit.Tool{Name: "natwarden", Version: "v", Commit: "c"}, Status: "violations", ExitCode: 2,
		TakenAt: time.Date(2026, 11, 23, 5, 20, 0, 0, time.UTC),
		Host:    audit.Host{Name: "web1", Kernel: "6.18", BootID: "b"}, Policy: audit.PolicyRef{Path: "builtin", SHA256: "s"},
		Scope: audit.Scope{Netns: []string{"all"}, PIDNamespace: "initial", Root: "/",
			Sources: []host.SourceState{{Name: "nf_tables", State: "read", Objects: 812, Why: "because"}, {Name: "x_tables", State: "absent"}}},
		Redirects: []host.Redirect{
			{ID: "9f2c41d07a3b", Mechanism: "rule", Kind: "dnat", State: "active", Why: []string{"w"}, Direction: "inbound",
				Netns: "blue", NetnsUID: 1000, Family: "ip", Proto: "tcp", Ports: "80", Address: "10.0.0.1", Source: "10.0.0.0/8",
				Conditions: []string{"mark 0x20/0x20"}, To: []string{"10.77.2.2:8080", "[2001:db8::1]:80"},
				Rule: &host.RuleRef{Backend: "nf_tables", Writer: "iptables-nft", Family: "ip", Table: "nat", Chain: "DOCKER", Hook: "prerouting",
					Priority: -100, Paths: [][]string{{"PREROUTING", "DOCKER"}, {"OUTPUT"}}, Handle: 1 << 63, Index: 1, Element: "80",
					Comment: "it's <a> & \"b\"", Text: "-A DOCKER", Devices: []string{"eth0"}},
				File: &host.FileRef{Path: "/etc/iptables/rules.v4", Line: 12}, Process: &p,
				Owner:    &host.Owner{Kind: "docker", Name: "web", Evidence: "chain DOCKER"},
				Evidence: []string{"e"}, Verdict: "violation", AllowedBy: "a", Advice: "do"},
			{ID: "plain", Why: []string{}, Conditions: []string{}, To: []string{}, Evidence: []string{}},
		},
		Listeners: []host.Listener{{ID: "l", Proto: "tcp", Address: "::", Port: 22, Netns: "n", UID: 1, User: "u", Transparent: true,
			Processes: []host.Process{p, p}, Verdict: "allowed", AllowedBy: "ssh", Advice: "x"}},
		Ports: []audit.PortRow{{Proto: "tcp", Family: "ip", Address: "a", Ports: "80", Condition: "c", Reason: "r", AnsweredBy: []string{"x"},
			Redirects: []string{"9f2c41d07a3b"}, Netns: "blue"}},
		ExceptionsUsed: []audit.Exception{{ID: "ssh", Reason: "r", Owner: "o", Expires: "2027-01-01"}},
		Blind:          []host.Blind{{Source: "nf_tables", What: "w", Why: "y"}},
		Doubts:         []string{"the kernel is tainted"},
	}
}

func encoded(t testing.TB, r *audit.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := writeReportJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The hand-written encoder writes what encoding/json would.
func TestReportJSONEqualsEncodingJSON(t *testing.T) {
	r := fullReport()
	var want, got bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&got, encoded(t, r)); err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(want.String()) != strings.TrimSpace(got.String()) {
		t.Errorf("encoding/json:\n%s\nby hand:\n%s", &want, &got)
	}
}

// Guards fullReport: a field added to the report must be filled there, or the
// comparison above proves nothing about it.
func TestFullReportFillsEveryField(t *testing.T) {
	var empty func(path string, v reflect.Value) []string
	empty = func(path string, v reflect.Value) []string {
		var out []string
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				return empty(path, v.Elem())
			}
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				return nil
			}
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.Tag.Get("json") != "-" {
					out = append(out, empty(path+"."+f.Name, v.Field(i))...)
				}
			}
			return out
		case reflect.Slice:
			if v.Len() > 0 {
				return empty(path+"[0]", v.Index(0))
			}
		}
		if v.IsZero() || v.Kind() == reflect.Slice {
			return []string{path}
		}
		return nil
	}
	if missing := empty("report", reflect.ValueOf(fullReport())); missing != nil {
		t.Errorf("not filled: %v", missing)
	}
}

func TestNoListIsNull(t *testing.T) {
	r := &audit.Report{Redirects: make([]host.Redirect, 1), Listeners: make([]host.Listener, 1), Ports: make([]audit.PortRow, 1)}
	r.Redirects[0].Rule = &host.RuleRef{}
	r.Redirects[0].Process = &host.Process{}
	if out := encoded(t, r); bytes.Contains(out, []byte("null")) {
		t.Errorf("a list is null:\n%s", out)
	}
	if out := encoded(t, &audit.Report{}); bytes.Contains(out, []byte("null")) {
		t.Errorf("a list is null:\n%s", out)
	}
}

func TestReportJSONDecodesToWhatWasRead(t *testing.T) {
	for _, text := range []string{"\x00\x1b[31m", "\u202etxt", "a\u2028b", "\U000e0041", "ü 東 😀", "\"\\/", "\x7f\u009b", "\n\t\r\b"} {
		r := &audit.Report{Blind: []host.Blind{{What: text}}, Host: audit.Host{Name: text}}
		out := encoded(t, r)
		var back audit.Report
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if back.Blind[0].What != text || back.Host.Name != text {
			t.Errorf("%q came back as %q and %q", text, back.Blind[0].What, back.Host.Name)
		}
		if i := bytes.IndexFunc(out, func(r rune) bool { return r != '\n' && clean(string(r)) != string(r) }); i >= 0 {
			t.Errorf("%q: a terminal would act on %q", text, out[i:min(i+8, len(out))])
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestReportJSONTellsAFailedWrite(t *testing.T) {
	if err := writeReportJSON(failing{}, fullReport()); err == nil {
		t.Error("a failed write was not told")
	}
}

func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "a\"\\", "\xff\xfe", "\u2028\u202e\U000e0041", strings.Repeat("\x00", 1024)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		var want, got string
		std, err := json.Marshal(in)
		if err != nil {
			t.Skip(err)
		}
		if err := json.Unmarshal(std, &want); err != nil {
			t.Fatal(err)
		}
		for _, out := range [][]byte{appendString(nil, in), tame(std)} {
			if err := json.Unmarshal(out, &got); err != nil || got != want {
				t.Fatalf("%q: %s decodes to %q (%v), encoding/json's to %q", in, out, got, err, want)
			}
		}
	})
}

func manyRows(n int) *audit.Report {
	r := fullReport()
	row := r.Redirects[0]
	row.Process = nil
	row.Rule.Text = "-A PREROUTING -d 10.1.2.3/32 -p tcp -m tcp --dport 8080 -m comment --comment \"rule of the load\" -j DNAT --to-destination 10.9.8.7:80"
	r.Redirects = nil
	for i := range n {
		row.ID = fmt.Sprintf("%012x", i)
		r.Redirects = append(r.Redirects, row)
	}
	return r
}

func BenchmarkReportJSON50000(b *testing.B) {
	r := manyRows(50000)
	for b.Loop() {
		if err := writeReportJSON(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReportEncodingJSON50000(b *testing.B) {
	r := manyRows(50000)
	for b.Loop() {
		if err := json.NewEncoder(io.Discard).Encode(r); err != nil {
			b.Fatal(err)
		}
	}
}
