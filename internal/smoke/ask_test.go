package smoke

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

func files() Files {
	return Files{Program: func(string) error { return nil }, Read: os.ReadFile}
}

func why(t *testing.T, p host.Probe) string {
	t.Helper()
	if p.Timeout == 0 {
		p.Timeout = 5 * time.Second
	}
	return Ask(context.Background(), []host.Probe{p}, files())[0]
}

func check(t *testing.T, name, got, want string) {
	t.Helper()
	if want == "" && got != "" || !strings.Contains(got, want) || want != "" && got == "" {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}

// refusing is an address of this host at which nobody listens: the port is held, so
// that no other test gets it.
func refusing(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		t.Cleanup(func() { unix.Close(fd) })
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

// silent takes connections and never says anything.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestTCP(t *testing.T) {
	t.Parallel()
	check(t, "open", why(t, host.Probe{TCP: silent(t)}), "")
	check(t, "refused", why(t, host.Probe{TCP: refusing(t)}), "connection refused")
	if !Connects(context.Background(), silent(t), time.Second) || Connects(context.Background(), refusing(t), time.Second) {
		t.Error("Connects disagrees")
	}
}

func page(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "all is well") })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusBadGateway) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/circle", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/circle", http.StatusFound) })
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	s := httptest.NewUnstartedServer(mux)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func TestHTTP(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://"+refusing(t))
	t.Setenv("http_proxy", "http://"+refusing(t))
	s := page(t)
	for name, c := range map[string]struct {
		probe host.HTTPProbe
		want  string
	}{
		"good":            {host.HTTPProbe{URL: "/ok", Status: 200, Body: "is well"}, ""},
		"another body":    {host.HTTPProbe{URL: "/ok", Status: 200, Body: "burning"}, `does not hold "burning"; it begins "all is well"`},
		"broken":          {host.HTTPProbe{URL: "/broken", Status: 200}, "it answered 502, not 200"},
		"broken as told":  {host.HTTPProbe{URL: "/broken", Status: 502}, ""},
		"not followed":    {host.HTTPProbe{URL: "/moved", Status: 200}, `it answered 302 (to "/ok"), not 200`},
		"moved as told":   {host.HTTPProbe{URL: "/moved", Status: 302}, ""},
		"followed":        {host.HTTPProbe{URL: "/moved", Status: 200, Body: "well", Follow: true}, ""},
		"in a circle":     {host.HTTPProbe{URL: "/circle", Status: 200, Follow: true}, "more than 5 redirects"},
		"out of the web":  {host.HTTPProbe{URL: "/file", Status: 200, Follow: true}, "unsupported protocol scheme"},
		"endless":         {host.HTTPProbe{URL: "/endless", Status: 200, Body: "x"}, `does not hold "x"`},
		"endless headers": {host.HTTPProbe{URL: "/headers", Status: 200}, "exceeded"},
		"slow":            {host.HTTPProbe{URL: "/slow", Status: 200, Body: "x"}, "no answer within 1s"},
	} {
		c.probe.URL = s.URL + c.probe.URL
		timeout := 20 * time.Second
		if name == "slow" {
			timeout = time.Second
		}
		check(t, name, why(t, host.Probe{HTTP: &c.probe, Timeout: timeout}), c.want)
	}
	check(t, "nobody", why(t, host.Probe{HTTP: &host.HTTPProbe{URL: "http://" + refusing(t), Status: 200}}), "connection refused")
	check(t, "silent", why(t, host.Probe{Timeout: 300 * time.Millisecond, HTTP: &host.HTTPProbe{URL: "http://" + silent(t), Status: 200}}), "no answer within 300ms")
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "secret") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		probe host.HTTPProbe
		want  string
	}{
		"a stranger":       {host.HTTPProbe{}, "certificate"},
		"known":            {host.HTTPProbe{CA: ca, Body: "secret"}, ""},
		"it does not care": {host.HTTPProbe{Insecure: true, Body: "secret"}, ""},
		"no certificates":  {host.HTTPProbe{CA: empty}, "it holds none"},
		"no file":          {host.HTTPProbe{CA: ca + "x"}, "no such file"},
	} {
		c.probe.URL, c.probe.Status = s.URL, 200
		check(t, name, why(t, host.Probe{HTTP: &c.probe}), c.want)
	}
}

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("SECRET", "1")
	for name, c := range map[string]struct{ text, want string }{
		"good":           {"exit 0", ""},
		"bad":            {"echo first; echo the disk is full >&2; echo; exit 3", "exit status 3: the disk is full"},
		"bad and silent": {"exit 1", "exit status 1:"},
		"killed":         {"kill -9 $$", "killed"},
		"environment":    {`test "$(env | grep -c SECRET)" = 0 && test "$PWD" = / && test "$LC_ALL" = C && test "$1" = "a b"`, ""},
		"no input":       {"read x && exit 0; exit 0", ""},
		"noisy":          {"head -c 10000000 /dev/zero; exit 4", "exit status 4"},
		"lingering":      {"sleep 100 & exit 0", ""},
		"slow":           {"sleep 100", "no answer within 2s"},
	} {
		timeout := 20 * time.Second
		if name == "slow" {
			timeout = 2 * time.Second
		}
		check(t, name, why(t, host.Probe{Command: []string{script(name, c.text), "a b"}, Timeout: timeout}), c.want)
	}
	check(t, "no program", why(t, host.Probe{Command: []string{dir + "/none"}}), "no such file")
	refused := Ask(context.Background(), []host.Probe{{Command: []string{script("x", "exit 0")}, Timeout: time.Second}}, Files{Program: func(string) error { return errors.New("others can write it") }})
	check(t, "not trusted", refused[0], "it was not run: others can write it")
}

// All that a program started is killed with it at its time limit.
func TestAProgramIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	got := why(t, host.Probe{Timeout: 3 * time.Second, Command: []string{"/bin/sh", "-c", "sleep 100 & echo $! $$ >" + pids + "; wait"}})
	check(t, "slow", got, "no answer within 3s")
	data, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range strings.Fields(string(data)) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(5 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process %d lives on", pid)
			}
		}
	}
}

// alive says whether a process runs; what nobody has waited for does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ") && syscall.Kill(pid, 0) == nil
}

func TestQuestionsGoOutSideBySide(t *testing.T) {
	t.Parallel()
	address := silent(t)
	probes := make([]host.Probe, 16)
	for i := range probes {
		probes[i] = host.Probe{Timeout: 500 * time.Millisecond, HTTP: &host.HTTPProbe{URL: "http://" + address, Status: 200}}
	}
	probes = append(probes, host.Probe{Timeout: 20 * time.Second, TCP: address}, host.Probe{Timeout: 20 * time.Second, Command: []string{"/bin/true"}})
	began := time.Now()
	got := Ask(context.Background(), probes, files())
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("it took %s", took)
	}
	for i, why := range got {
		if want := i < 16; (why != "") != want {
			t.Errorf("%d: %q", i, why)
		}
	}
}

func TestAllTogetherAreBounded(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeoutCause(context.Background(), time.Second, errAllTime)
	defer stop()
	sleep := host.Probe{Timeout: time.Minute, Command: []string{"/bin/sleep", "100"}}
	got := Ask(ctx, []host.Probe{sleep, sleep}, files())
	for _, why := range got {
		check(t, "late", why, "all tests together may take 2m0s")
	}
}
