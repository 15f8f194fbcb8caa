//go:build amd64

package trial

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/lab/fault"
)

// patience is how long one run of natwarden may take before the test calls it stuck.
const patience = 2 * time.Minute

// ran is how a run of natwarden ended.
type ran struct {
	code int // -1 where it was killed
	out  string
}

func (r ran) String() string { return fmt.Sprintf("exit %d\n%s", r.code, r.out) }

// bench is where natwarden is tried.
type bench struct {
	*testing.T
	folder string // for state directories
	state  string // of this run
	runs   int
	last   *fault.Run // whose descendants may still be traced
	doing  string     // right now, for messages
}

var (
	temporary = regexp.MustCompile(`\.tmp-[A-Z0-9]+`)
	changeID  = regexp.MustCompile(`\d{8}T\d{6}Z-[0-9a-f]+`)
	snapshot  = regexp.MustCompile(`/snapshots/[0-9a-f]+`)
	socketNo  = regexp.MustCompile(`socket:\[\d+\]|net:\[\d+\]`)
	procNo    = regexp.MustCompile(`/proc/\d+/`)
)

// normal gives an object the same name in every run, whatever its state
// directory is called. Tracers of earlier runs may still ask.
func normal(state, object string) string {
	object = strings.ReplaceAll(object, state, "STATE")
	object = temporary.ReplaceAllString(object, ".tmp")
	object = changeID.ReplaceAllString(object, "CHANGE")
	object = snapshot.ReplaceAllString(object, "/snapshots/ID")
	object = procNo.ReplaceAllString(object, "/proc/N/")
	return socketNo.ReplaceAllString(object, "socket or namespace")
}

// fresh takes a new state directory, and ends the watchdogs that still look
// into the old one.
func (b *bench) fresh() {
	b.endAll()
	if b.state != "" {
		_ = os.RemoveAll(b.state)
	}
	b.runs++
	b.state = filepath.Join(b.folder, fmt.Sprintf("state%d", b.runs))
}

// endAll ends every natwarden in this PID namespace, which is the test's own:
// inside proved it.
func (b *bench) endAll() {
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		b.Fatal(err)
	}
	for _, process := range found {
		pid, err := strconv.Atoi(filepath.Base(process))
		exe, _ := os.Readlink(process + "/exe")
		if err == nil && pid != os.Getpid() && exe == os.Getenv(envBinary) {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may just have ended
		}
	}
}

// policyFile allows some of the host's redirects.
const policyFile = "/run/policy.yaml"

// traced runs natwarden under the tracer.
func (b *bench) traced(decide func(fault.Call) fault.Action, args ...string) ran {
	b.Helper()
	out, err := os.CreateTemp(b.folder, "out")
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	null, err := os.Open("/dev/null")
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	state := b.state
	run, err := fault.Start(fault.Program{
		Helper: []string{os.Args[0], filterArgument},
		Argv:   append([]string{os.Getenv(envBinary)}, append(args, "--state-dir", state)...),
		Env:    []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"},
		Files:  []uintptr{null.Fd(), out.Fd(), out.Fd()},
		Decide: decide, Normal: func(object string) string { return normal(state, object) },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.last = run
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	code, err := run.Wait(ctx)
	text, readErr := os.ReadFile(out.Name())
	if err != nil || readErr != nil {
		b.Fatalf("%s: natwarden %s: %v %v\n%s", b.doing, strings.Join(args, " "), err, readErr, text)
	}
	return ran{code, string(text)}
}

// calm runs natwarden without a tracer, again while another one, the watchdog,
// holds the lock.
func (b *bench) calm(args ...string) ran {
	b.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if r := b.plain(args...); r.code != 75 || time.Now().After(end) {
			return r
		}
	}
}

// plain runs natwarden without a tracer.
func (b *bench) plain(args ...string) ran {
	b.Helper()
	return b.program(append([]string{os.Getenv(envBinary)}, args...)...)
}

// program runs a program with the state directory as its last argument.
func (b *bench) program(argv ...string) ran {
	b.Helper()
	out, err := os.CreateTemp(b.folder, "out")
	if err != nil {
		b.Fatal(err)
	}
	defer os.Remove(out.Name())
	defer out.Close()
	null, err := os.Open("/dev/null")
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	process, err := os.StartProcess(argv[0], append(argv, "--state-dir", b.state),
		&os.ProcAttr{Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}, Files: []*os.File{null, out, out}})
	if err != nil {
		b.Fatal(err)
	}
	stuck := time.AfterFunc(patience, func() { _ = process.Kill() })
	defer stuck.Stop()
	state, err := process.Wait()
	if err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		b.Fatal(err)
	}
	code := state.ExitCode()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = -1
	}
	return ran{code, string(text)}
}
