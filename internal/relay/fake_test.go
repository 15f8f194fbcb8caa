package relay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fake is a program whose files lie in a folder of the test; its root is the
// machine's, its process the test itself.
func fake(t testing.TB, name string, files map[string]string, args ...string) *program {
	t.Helper()
	dir := t.TempDir()
	for file, text := range files {
		at := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "DIR", dir)
	}
	return &program{pid: os.Getpid(), name: name, exe: "/usr/sbin/" + name, host: true, cwd: dir, args: append([]string{name}, args...)}
}

// wayText writes hops as a test compares them: one line each.
func wayText(hops []hop) string {
	var out []string
	for _, h := range hops {
		var b strings.Builder
		b.WriteString(h.proto + " ")
		if h.listen.addr.IsValid() {
			b.WriteString(h.listen.addr.String())
		}
		b.WriteString(h.listen.unix)
		if h.listen.lo != 0 {
			b.WriteString(":" + decimal(h.listen.lo))
			if h.listen.hi != h.listen.lo {
				b.WriteString("-" + decimal(h.listen.hi))
			}
		}
		for _, d := range h.to {
			b.WriteString(" " + d.String())
		}
		for _, flag := range []struct {
			on   bool
			word string
		}{{h.rest, " rest"}, {h.serves, " serves"}, {h.open, " open"}, {h.fed, " fed"}} {
			if flag.on {
				b.WriteString(flag.word)
			}
		}
		out = append(out, strings.Join(strings.Fields(b.String()), " "))
	}
	return strings.Join(out, "\n")
}

// reading is one case of a reader.
type reading struct {
	program string
	args    []string
	files   map[string]string
	want    string
	err     bool
}

func checkReadings(t *testing.T, cases map[string]reading) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p := fake(t, c.program, c.files, c.args...)
			read := known(p)
			if read == nil {
				t.Fatalf("%s has no reader", c.program)
			}
			hops, err := read(p)
			if got := wayText(hops); got != strings.TrimSpace(c.want) {
				t.Errorf("read\n%s\nwant\n%s", got, strings.TrimSpace(c.want))
			}
			if (err != nil) != c.err {
				t.Errorf("error %v", err)
			}
		})
	}
}
