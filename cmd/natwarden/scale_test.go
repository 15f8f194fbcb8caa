package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/audit"
	"github.com/natwarden/natwarden/internal/lab"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/netns"
	"github.com/natwarden/natwarden/policy"
)

// Five hundred namespaces, each with a listener and a rule, and processes with
// twenty thousand open files are audited in seconds. The namespaces have no
// cable: nothing of this machine can be reached from them.
func TestFiveHundredNamespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("makes five hundred namespaces")
	}
	const namespaces, processes, files = 500, 40, 500
	spaces := manySpaces(t, namespaces)
	for range processes {
		holdFiles(t, files)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began, cost := time.Now(), labtest.Spent(t)
	found, _ := netns.List(t.Context(), netns.AllSpaces())
	defer netns.Close(found)
	listed := time.Since(began)
	in := spaces.input(t, found)
	r, err := audit.Run(t.Context(), in, policy.Builtin(), time.Now())
	took, spent := time.Since(began), labtest.Spent(t)-cost
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.Spaces) != namespaces {
		t.Errorf("%d of %d namespaces were found", len(in.Spaces), namespaces)
	}
	if len(r.Listeners) != namespaces || len(r.Redirects) < namespaces {
		t.Errorf("%d listeners, %d redirects", len(r.Listeners), len(r.Redirects))
	}
	t.Logf("%d namespaces, %d open files: found in %v, audited in %v, %d MiB in use, %d MiB allocated in all", namespaces, processes*files,
		listed.Round(time.Millisecond), took.Round(time.Millisecond), after.HeapInuse>>20, (after.TotalAlloc-before.TotalAlloc)>>20)
	if limit := 30 * time.Second; spent > limit {
		t.Errorf("it took %v, of which others on this machine had no part in %v: more than %v", took, spent, limit)
	}
}

// many are namespaces that one process keeps alive by its open files.
type many struct{ ids map[netns.ID]bool }

func manySpaces(t *testing.T, n int) many {
	t.Helper()
	out := many{ids: map[netns.ID]bool{}}
	var held []*os.File
	for range n {
		s := labtest.New(t)
		id, err := s.Handle().ID()
		if err != nil {
			t.Fatal(err)
		}
		out.ids[id] = true
		s.MustDo(t, func(context.Context) error { return listenHere(t) })
		s.MustDo(t, func(ctx context.Context) error {
			cmd := exec.CommandContext(ctx, "nft", "add table ip n; add chain ip n a { type nat hook prerouting priority -100; }; add rule ip n a tcp dport 80 dnat to 10.77.2.2:8080")
			text, err := cmd.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, text)
			}
			return nil
		})
		fd, err := unix.FcntlInt(uintptr(s.Handle().Fd()), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, os.NewFile(uintptr(fd), "namespace"))
	}
	startHolder(t, held)
	return out
}

// listenHere opens a listener that lives as long as the test.
func listenHere(t *testing.T) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: 80}); err != nil {
		return err
	}
	return unix.Listen(fd, 5)
}

// holdFiles starts a process with that many open files.
func holdFiles(t *testing.T, n int) {
	t.Helper()
	files := make([]*os.File, n)
	for i := range files {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		files[i] = f
	}
	startHolder(t, files)
}

// startHolder starts a process that keeps the files until the test ends, and
// closes them here.
func startHolder(t *testing.T, files []*os.File) {
	t.Helper()
	cmd := exec.Command("cat")
	cmd.ExtraFiles = files
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
}

// input is an audit of those of the found namespaces that the test made.
func (m many) input(t *testing.T, found []netns.Space) audit.Input {
	t.Helper()
	var own []netns.Space
	for _, f := range found {
		if m.ids[f.ID] {
			own = append(own, f)
		}
	}
	s := &spaces{found: own}
	in, err := inputFor(s.toAudit(), s.labels(), nil)
	if err != nil {
		t.Fatal(err)
	}
	in.Join = append([]audit.Join{s.reached()}, in.Join...)
	return in
}

// A hundred audits in one process leave no open file, no thread and no
// namespace behind.
func TestAHundredAuditsLeakNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("audits a hundred times")
	}
	labtest.New(t, "iptables-nft") // for its demands
	net, err := lab.NewTriangle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { net.Close() })
	if _, err := net.Host.Run(t.Context(), "", "iptables-nft", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "80", "-j", "DNAT", "--to-destination", "192.168.1.10:8080"); err != nil {
		t.Fatal(err)
	}
	once := func() {
		found, _ := netns.List(t.Context(), netns.AllSpaces())
		netns.Close(found)
		in, err := inputFor([]audit.Space{{Enter: net.Host.Do}, {Label: "client", Enter: net.Client.Do}}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		in.Doubts = doubts(t.Context())
		r, err := audit.Run(t.Context(), in, policy.Builtin(), time.Now())
		if err != nil || r.Status != audit.Violations {
			t.Fatalf("%v, %v", r, err)
		}
	}
	for range 5 {
		once() // what is made once for good, is
	}
	files, threads := settle("fd"), settle("task")
	for range 100 {
		once()
	}
	if now := settle("fd"); len(now) > len(files) {
		t.Errorf("%d open files became %d: %s", len(files), len(now), strings.Join(now, " "))
	}
	if now := settle("task"); len(now) > len(threads)+8 { // the runtime keeps idle ones
		t.Errorf("%d threads became %d", len(threads), len(now))
	}
}

// settle lists a folder of this process once ended threads and what the
// collector closes are gone.
func settle(folder string) []string {
	runtime.GC()
	runtime.GC()
	time.Sleep(100 * time.Millisecond)
	entries, err := os.ReadDir("/proc/self/" + folder)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		link, err := os.Readlink("/proc/self/" + folder + "/" + e.Name())
		if folder == "fd" && err != nil {
			continue // the folder itself
		}
		out = append(out, e.Name()+"="+link)
	}
	return out
}
