package edit

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/change"
	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// started runs a program in a session of its own, so that it has no terminal,
// and ends it with the test.
func started(t *testing.T, argv ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group that the test made
		<-ended
	})
	return cmd
}

func refTo(t *testing.T, pid int) host.Ref {
	t.Helper()
	life, err := proc.LifeOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	return host.Ref{Backend: Backend, Handle: uint64(pid), Fingerprint: life.Fingerprint(), Text: life.Exe}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatal(what)
}

func alive(pid int) bool { _, err := proc.LifeOf(pid); return err == nil }

// runs waits until the process runs the program, not what forked it.
func runs(t *testing.T, pid int, exe string) {
	t.Helper()
	eventually(t, "it never ran "+exe, func() bool {
		l, err := proc.LifeOf(pid)
		return err == nil && strings.HasSuffix(l.Exe, exe)
	})
}

func stop(t *testing.T, refs ...host.Ref) []change.Step {
	t.Helper()
	ids := make([]string, len(refs))
	for i := range ids {
		ids[i] = string(rune('a' + i))
	}
	steps, refused, err := Editor{}.Steps(context.Background(), refs, ids)
	if err != nil || len(refused) > 0 {
		t.Fatalf("refused %v, %v", refused, err)
	}
	out, err := Editor{}.Edit(context.Background(), 0, steps)
	if err != nil || len(out.Undone) > 0 {
		t.Fatalf("undone %v, %v", out.Undone, err)
	}
	return steps
}

func TestAProcessEnds(t *testing.T) {
	cmd := started(t, "/bin/sleep", "60")
	runs(t, cmd.Process.Pid, "sleep")
	other := started(t, "/bin/sleep", "60")
	ref := refTo(t, cmd.Process.Pid)
	steps := stop(t, ref, ref)
	if len(steps) != 1 || steps[0].Reversible || !slices.Equal(steps[0].IDs, []string{"a", "b"}) || steps[0].Action != change.Stop {
		t.Errorf("steps %+v", steps)
	}
	if alive(cmd.Process.Pid) || !alive(other.Process.Pid) {
		t.Errorf("alive: it %v, the other %v", alive(cmd.Process.Pid), alive(other.Process.Pid))
	}
	if failed, _ := (Editor{}).Check(context.Background(), steps); len(failed) != 1 {
		t.Error("nothing says that there is no way back")
	}
	if _, err := (Editor{}).Edit(context.Background(), 0, []change.Step{steps[0].Inverse()}); err == nil {
		t.Error("a process was started again from its command line")
	}
}

func TestAProcessThatIgnoresTERMEnds(t *testing.T) {
	cmd := started(t, "/bin/sh", "-c", "trap '' TERM; echo; read x < /dev/zero; sleep 60 & wait; sleep 60")
	runs(t, cmd.Process.Pid, "sh")
	time.Sleep(50 * time.Millisecond)
	stop(t, refTo(t, cmd.Process.Pid))
	if alive(cmd.Process.Pid) {
		t.Error("it lives")
	}
}

// A number that was given again, or another start time, is somebody else.
func TestAnotherProcessOfTheNumberIsSpared(t *testing.T) {
	cmd := started(t, "/bin/sleep", "60")
	runs(t, cmd.Process.Pid, "sleep")
	right := refTo(t, cmd.Process.Pid)
	number, rest, _ := strings.Cut(right.Fingerprint, " ")
	for name, print := range map[string]string{"another start": number + " 1" + rest, "another program": right.Fingerprint + "x", "nothing": ""} {
		ref := right
		ref.Fingerprint = print
		if _, _, err := (Editor{}).Steps(context.Background(), []host.Ref{ref}, []string{"a"}); !errors.Is(err, change.ErrStale) {
			t.Errorf("%s: %v, want ErrStale", name, err)
		}
		_ = endAll(context.Background(), []string{print}) // as a plan that is older than the process
		if !alive(cmd.Process.Pid) {
			t.Fatalf("%s: it was ended", name)
		}
	}
	if err := endAll(context.Background(), []string{"x", "1 2 /sbin/init", "-5 1 x"}); err == nil {
		t.Error("no error for what names no process")
	}
}

func TestWhatIsNeverEnded(t *testing.T) {
	life := func(pid int) proc.Life { l, _ := proc.LifeOf(pid); return l }
	own := ancestors()
	if !own[os.Getpid()] || !own[os.Getppid()] {
		t.Fatalf("the ancestors %v lack this process or its parent", own)
	}
	for name, l := range map[string]proc.Life{"init": {PID: 1, Exe: "/sbin/init"}, "itself": life(os.Getpid()), "its parent": life(os.Getppid()), "a kernel thread": {PID: 50, Parent: 2}} {
		if endable(l, own) == nil {
			t.Errorf("%s may be ended", name)
		}
	}
	for _, pid := range []int{os.Getpid(), os.Getppid()} {
		ref := refTo(t, pid)
		steps, refused, err := Editor{}.Steps(context.Background(), []host.Ref{ref}, []string{"a"})
		if err != nil || len(steps) != 0 || len(refused) != 1 {
			t.Errorf("%d: %v %v %v", pid, steps, refused, err)
		}
		if err := endAll(context.Background(), []string{ref.Fingerprint}); err == nil {
			t.Fatalf("%d would have been ended by a plan", pid)
		}
	}
}

// What a loop starts again ends with the loop; what merely shares a terminal's
// socket or a program does not.
func TestLoopsEndWithWhatTheyRun(t *testing.T) {
	for name, script := range map[string]string{
		"a loop":            "while :; do sleep 61; done",
		"a pipe in a loop":  "for i in 1 2 3 4 5 6; do sleep 61 | sleep 62; done",
		"a shell in a loop": "until false; do sh -c 'sleep 61; true'; done",
	} {
		t.Run(name, func(t *testing.T) {
			cmd := started(t, "/bin/sh", "-c", script)
			var pid int
			eventually(t, "no sleep was started", func() bool { pid = grandchild(t, cmd.Process.Pid); return pid != 0 })
			stop(t, refTo(t, pid))
			time.Sleep(50 * time.Millisecond)
			if alive(cmd.Process.Pid) || grandchild(t, cmd.Process.Pid) != 0 {
				t.Error("the loop lives on")
			}
		})
	}
}

// grandchild finds a sleep below a process; 0 for none.
func grandchild(t *testing.T, top int) int {
	t.Helper()
	all, err := everybody(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for pid, l := range all {
		if !strings.HasSuffix(l.Exe, "sleep") {
			continue
		}
		for at := l; at.Parent > 1; at = all[at.Parent] {
			if at.Parent == top {
				return pid
			}
		}
	}
	return 0
}

func TestAScriptWithoutALoopStays(t *testing.T) {
	cmd := started(t, "/bin/sh", "-c", "sleep 61; sleep 62; sleep 63")
	var pid int
	eventually(t, "no sleep was started", func() bool { pid = grandchild(t, cmd.Process.Pid); return pid != 0 })
	stop(t, refTo(t, pid))
	if !alive(cmd.Process.Pid) {
		t.Error("the script was ended, though it starts nothing again")
	}
}

func TestLoopWords(t *testing.T) {
	for script, want := range map[string]bool{"while :; do x; done": true, "x\nfor i in a; do": true, "until x;do": true, "(while x)": true, "echo meanwhile": false, "./for.sh": false, "": false} {
		if loops(script) != want {
			t.Errorf("%q: %v", script, !want)
		}
	}
}

// fakeProgram writes a program that answers by its arguments and logs them.
func fakeProgram(t *testing.T, script string) (program, log string) {
	t.Helper()
	dir := t.TempDir()
	program, log = filepath.Join(dir, "program"), filepath.Join(dir, "log")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$@\" >> "+log+"\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, log
}

func logged(t *testing.T, log string) string {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

const fakeSystemd = `case "$*" in
"show -p LoadState,"*" web.service") echo "LoadState=loaded
TriggeredBy=web.socket web.timer sleeping.path
RequiredBy=shop.service" ;;
"show -p LoadState,"*" web.socket") echo "LoadState=loaded
Triggers=web.service
RequiredBy=" ;;
"show -p LoadState,"*" web.timer") echo "LoadState=loaded
Triggers=other.service" ;;
"show -p LoadState,"*" shop.service") echo "LoadState=loaded
BoundBy=asleep.target" ;;
"show -p LoadState,"*" passing.service") echo "LoadState=loaded
Transient=yes" ;;
"show -p LoadState,"*" deleted.service") echo "LoadState=not-found" ;;
"show -p LoadState,"*" wanted.service") echo "LoadState=loaded
RequiredBy=multi-user.target" ;;
"show -p ActiveState --value -- sleeping.path"|"show -p ActiveState --value -- asleep.target") echo inactive ;;
"show -p ActiveState --value"*) echo active ;;
"show -p MainPID --value -- web.service") echo 0 ;;
"show -p MainPID --value -- cron.service") echo MAIN ;;
"show"*) echo "no such unit" >&2; exit 1 ;;
esac`

// A unit stops with what would start it again and with what needs it, and all
// of them are started again.
func TestUnitsStopWithWhatBelongsToThem(t *testing.T) {
	program, log := fakeProgram(t, fakeSystemd)
	e := Editor{Systemctl: program}
	for unit, want := range map[string]string{
		"web.service": "web.service shop.service web.socket web.timer", "web.socket": "web.socket shop.service web.service web.timer",
	} {
		o := &change.Object{}
		if err := e.unit(context.Background(), o, unit); err != nil || o.Names["units"] != want || o.Kind != kindUnit || o.Names[noWayBack] != "" {
			t.Fatalf("%s: %+v, %v", unit, o, err)
		}
		if err := os.Truncate(log, 0); err != nil {
			t.Fatal(err)
		}
		step := change.Step{Action: change.Stop, Before: o, Reversible: true}
		for _, s := range []change.Step{step, change.Invert([]change.Step{step})[0]} {
			if out, err := e.Edit(context.Background(), 0, []change.Step{s}); err != nil || len(out.Undone) != 0 {
				t.Errorf("%s: %v %v", s.Action, out, err)
			}
		}
		if got := logged(t, log); got != "stop -- "+want+"\nreset-failed -- "+want+"\nstart -- "+want {
			t.Errorf("%s: systemctl was called with\n%s", unit, got)
		}
	}
	for _, unit := range []string{"gone.service", "wanted.service", "--force.service", "a b.service", "x.mount", "../x.service", "*.service"} {
		var no refusal
		if err := e.unit(context.Background(), &change.Object{}, unit); !errors.As(err, &no) {
			t.Errorf("%s: %v, want a refusal", unit, err)
		}
	}
	if err := e.runUnits(context.Background(), change.Stop, []string{"--now"}); err == nil {
		t.Error("an option was taken for a unit")
	}
}

// What vanishes when it stops has no way back, and says so before it stops.
func TestWhatVanishesHasNoWayBack(t *testing.T) {
	program, _ := fakeProgram(t, fakeSystemd)
	e := Editor{Systemctl: program}
	for unit, want := range map[string]string{"passing.service": "vanishes when it stops", "deleted.service": "cannot be loaded (not-found)"} {
		o := &change.Object{}
		if err := e.unit(context.Background(), o, unit); err != nil || !strings.Contains(o.Names[noWayBack], want) {
			t.Errorf("%s: %+v, %v", unit, o, err)
		}
		failed, err := e.Check(context.Background(), []change.Step{{Action: change.Stop, Before: o}})
		if err != nil || len(failed) != 1 {
			t.Errorf("%s: nothing says that there is no way back: %v %v", unit, failed, err)
		}
	}
	id := strings.Repeat("0123456789abcdef", 4)
	for said, want := range map[string]bool{"true": true, "false": false, "": true} {
		program, _ := fakeProgram(t, "echo "+said)
		o := &change.Object{}
		if err := (Editor{Podman: program}).containerOf(context.Background(), o, "0::/libpod_parent/libpod-"+id+"\n"); err != nil || (o.Names[noWayBack] != "") != want {
			t.Errorf("removed when it stops %q: %+v, %v", said, o, err)
		}
	}
}

func TestASocketOfSystemdIsItsUnit(t *testing.T) {
	program, _ := fakeProgram(t, fakeSystemd)
	ref := refTo(t, os.Getppid())
	ref.Chain = "web.socket"
	steps, refused, err := Editor{Systemctl: program}.Steps(context.Background(), []host.Ref{ref}, []string{"a"})
	if err != nil || len(refused) != 0 || len(steps) != 1 || !steps[0].Reversible || steps[0].Before.Text != "web.socket with shop.service with web.service with web.timer" {
		t.Errorf("%+v %v %v", steps, refused, err)
	}
}

// A unit that only keeps what others start is not stopped for one of them.
func TestUnitsThatKeepOthers(t *testing.T) {
	cmd := started(t, "/bin/sleep", "60")
	runs(t, cmd.Process.Pid, "sleep")
	life, err := proc.LifeOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	keeping := started(t, cronNamed(t), "60")
	runs(t, keeping.Process.Pid, "cron")
	program, _ := fakeProgram(t, strings.ReplaceAll(fakeSystemd, "MAIN", decimal(keeping.Process.Pid)))
	e := Editor{Systemctl: program}
	for unit, want := range map[string]bool{"web.service": true, "cron.service": false, "gone.service": false} {
		if got := e.isOfUnit(context.Background(), life, unit, nil); got != want {
			t.Errorf("%s: %v", unit, got)
		}
	}
}

func decimal(n int) string { return string(appendInt(nil, n)) }

func appendInt(b []byte, n int) []byte {
	if n > 9 {
		b = appendInt(b, n/10)
	}
	return append(b, byte('0'+n%10))
}

// cronNamed is sleep(1) under the name of cron.
func cronNamed(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cron")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestContainers(t *testing.T) {
	program, log := fakeProgram(t, "test $1 != inspect || echo false")
	id := strings.Repeat("0123456789abcdef", 4)
	e := Editor{Docker: program}
	o := &change.Object{}
	if err := e.containerOf(context.Background(), o, "0::/system.slice/docker-"+id+".scope\n"); err != nil || o.Kind != kindContainer || o.Names["container"] != id {
		t.Fatalf("%+v %v", o, err)
	}
	step := change.Step{Action: change.Stop, Before: o, Reversible: true}
	for _, s := range []change.Step{step, step.Inverse()} {
		if _, err := e.Edit(context.Background(), 0, []change.Step{s}); err != nil {
			t.Error(err)
		}
	}
	if got := logged(t, log); !strings.HasSuffix(got, "\nstop "+id+"\nstart "+id) {
		t.Errorf("docker was called with\n%s", got)
	}
	for name, cgroup := range map[string]string{"podman is missing": "0::/machine.slice/libpod-" + id + ".scope", "another engine": "0::/kubepods/cri-containerd-" + id + ".scope", "none": "0::/"} {
		var no refusal
		if err := e.containerOf(context.Background(), &change.Object{}, cgroup); !errors.As(err, &no) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	if err := e.runContainer(context.Background(), change.Stop, "docker", "--all"); err == nil {
		t.Error("an option was taken for a container")
	}
}

func TestAProgramThatFailsIsAnError(t *testing.T) {
	program, _ := fakeProgram(t, "echo no >&2; exit 3")
	o := &change.Object{Kind: kindUnit, Text: "x", Names: map[string]string{"units": "x.service"}}
	out, err := Editor{Systemctl: program}.Edit(context.Background(), 0, []change.Step{{Action: change.Stop, Before: o}})
	if err == nil || len(out.Undone) != 1 || !strings.Contains(err.Error(), "no") {
		t.Errorf("%v %v", out, err)
	}
}
