package tether

import "testing"

func TestParseSession(t *testing.T) {
	for text, want := range map[string]string{
		"198.51.100.7 50000 10.0.0.1 22":             "10.0.0.1:22",
		"fe80::1%eth0 50000 fe80::2%eth0 22":         "[fe80::2]:22",
		"::ffff:198.51.100.7 1 ::ffff:10.0.0.1 2222": "10.0.0.1:2222",
		"":                               "",
		"198.51.100.7 50000 10.0.0.1":    "",
		"a b c d":                        "",
		"198.51.100.7 1 10.0.0.1 70000":  "",
		"198.51.100.7 1 10.0.0.1 22 ; x": "",
	} {
		got := ""
		if s, ok := parseSession(text); ok {
			got = s.server.String()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzParseSession(f *testing.F) {
	f.Add("198.51.100.7 50000 10.0.0.1 22")
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := parseSession(text); ok && (!s.server.IsValid() || !s.client.IsValid()) {
			t.Errorf("%q: %v", text, s)
		}
	})
}
