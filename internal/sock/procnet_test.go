package sock

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/natwarden/natwarden/internal/host"
)

func kindOf(t testing.TB, name string) kind {
	t.Helper()
	for _, k := range kinds() {
		if k.name == name {
			return k
		}
	}
	t.Fatalf("no kind %s", name)
	return kind{}
}

func TestProcNetFormats(t *testing.T) {
	for _, c := range []struct {
		file, kind string
		want       []string
	}{
		{"tcp", "tcp", []string{"tcp 0.0.0.0 22 partial", "tcp 127.0.0.1 631 partial"}},
		{"tcp6", "tcp", []string{"tcp 127.0.0.1 81 partial", "tcp :: 22 dual partial", "tcp fe80::1 80 partial"}},
		{"udp", "udp", []string{"udp 0.0.0.0 68 partial"}},
		{"sctp_eps", "sctp", []string{"sctp 10.0.0.1 5000 partial", "sctp 2001:db8::1 5000 partial"}},
	} {
		parse := parseInet
		if c.kind == "sctp" {
			parse = parseEndpoints
		}
		found, err := parse(bytes.NewReader(golden(t, c.file)), kindOf(t, c.kind))
		if err != nil {
			t.Fatalf("%s: %v", c.file, err)
		}
		if got := lines(found); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.file, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestProcNetDetails(t *testing.T) {
	found, err := parseInet(bytes.NewReader(golden(t, "tcp")), kindOf(t, "tcp"))
	if err != nil {
		t.Fatal(err)
	}
	want := host.Listener{Proto: "tcp", Address: "127.0.0.1", Port: 631, UID: 101, Inode: 18250, Partial: true}
	if got := found[1]; line(got) != line(want) || got.UID != want.UID || got.Inode != want.Inode {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

// A line that is not understood fails the whole file: what it lists is then
// not known, and must not be called complete.
func TestProcNetIsStrict(t *testing.T) {
	good := string(golden(t, "tcp"))
	for name, bad := range map[string]string{
		"cut short":    good[:len(good)-120],
		"no address":   strings.Replace(good, "0100007F:0277", "0100007G:0277", 1),
		"long address": strings.Replace(good, "0100007F:0277", "0100007F00:0277", 1),
		"long port":    strings.Replace(good, "0100007F:0277", "0100007F:10277", 1),
		"no state":     strings.Replace(good, " 0A ", " ZZ ", 1),
		"no uid":       strings.Replace(good, "   101 ", "   -1 ", 1),
		"no inode":     strings.Replace(good, "18250", "0x182", 1),
		"other text":   "heading\nhello\n",
	} {
		if bad == good {
			t.Fatalf("%s: the golden file lacks what is replaced", name)
		}
		if found, err := parseInet(strings.NewReader(bad), kindOf(t, "tcp")); err == nil {
			t.Errorf("%s: no error, read %v", name, lines(found))
		}
	}
	for _, bad := range []string{"h\na b 2 10 49 5000\n", "h\na b 2 x 49 5000 0 7 1.2.3.4\n", "h\na b 2 10 49 70000 0 7 1.2.3.4\n", "h\na b 2 10 49 5000 0 7 1.2.3.400\n"} {
		if _, err := parseEndpoints(strings.NewReader(bad), kindOf(t, "sctp")); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzProcNet(f *testing.F) {
	for _, name := range []string{"tcp", "tcp6", "udp", "sctp_eps"} {
		f.Add(golden(f, name))
	}
	tcp, sctp := kindOf(f, "tcp"), kindOf(f, "sctp")
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, found := range [][]host.Listener{must(parseInet(bytes.NewReader(b), tcp)), must(parseEndpoints(bytes.NewReader(b), sctp))} {
			for _, l := range found {
				if l.Address == "" || l.Port == 0 || !l.Partial {
					t.Errorf("half a listener: %+v", l)
				}
			}
		}
	})
}

// must gives nothing where there was an error: both are fine here.
func must(found []host.Listener, err error) []host.Listener {
	if err != nil {
		return nil
	}
	return found
}
