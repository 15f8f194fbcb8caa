//go:build amd64

package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Call is a call that is about to happen.
type Call struct {
	Role   string // of the process: Main, or its first argument
	Name   string // of the system call
	Object string // what it works on: a path, a kind of socket and message
	Nth    int    // how manieth of that role, name and object, from 1
}

// Main is the role of the process that was started.
const Main = "main"

// String names the call on one line; a replay finds it by that.
func (c Call) String() string { return fmt.Sprintf("%s %s(%s) #%d", c.Role, c.Name, c.Object, c.Nth) }

// Action is what happens to a call. The zero value lets it happen.
type Action struct {
	Errno unix.Errno // it fails with this, and has no effect
	Late  bool       // it takes effect, and then Errno or Kill
	Kill  bool       // its process is killed, with SIGKILL
}

// Program is what is started.
type Program struct {
	Helper []string // a command that calls Exec with the arguments that follow
	Argv   []string
	Env    []string
	Files  []uintptr // descriptors 0, 1, 2, …
	// Decide is asked at each call, one at a time, on the tracer's thread. Normal
	// makes an object's name the same in every run: nil keeps it.
	Decide func(Call) Action
	Normal func(object string) string
}

// Run is a program under the tracer.
type Run struct {
	pid   int
	main  chan syscall.WaitStatus
	all   chan struct{}
	err   error // why tracing ended early; read after all is closed
	tasks map[int]*task
	seen  map[Call]int
	begun bool // the filter is set and the program itself runs
	p     Program

	mu        sync.Mutex
	processes map[int]bool // that are traced
}

// task is a traced thread.
type task struct {
	role string
	late *Action // what is to happen when its call is done
}

// Start starts a program. Its descendants are traced until they end, also after it.
func Start(p Program) (*Run, error) {
	if p.Normal == nil {
		p.Normal = func(object string) string { return object }
	}
	r := &Run{main: make(chan syscall.WaitStatus, 1), all: make(chan struct{}),
		tasks: map[int]*task{}, seen: map[Call]int{}, processes: map[int]bool{}, p: p}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // ptrace(2): one thread is the tracer; it is thrown away
		defer close(r.all)
		if err := r.start(); err != nil {
			started <- err
			return
		}
		started <- nil
		r.err = r.trace()
	}()
	return r, <-started
}

func (r *Run) start() error {
	argv := append(slices.Clone(r.p.Helper), r.p.Argv...)
	path, err := filepath.EvalSymlinks(argv[0])
	if err != nil {
		return fmt.Errorf("finding the helper: %w", err)
	}
	r.pid, err = syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: r.p.Env, Files: r.p.Files, Sys: &syscall.SysProcAttr{Ptrace: true}})
	if err != nil {
		return fmt.Errorf("starting %s: %w", argv[0], err)
	}
	var status unix.WaitStatus
	if _, err := wait(r.pid, &status); err != nil || !status.Stopped() {
		return fmt.Errorf("waiting for the start of %s: %v (status %#x)", argv[0], err, status)
	}
	r.tasks[r.pid] = &task{role: Main}
	const options = unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
		unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(r.pid, options); err != nil {
		return fmt.Errorf("setting the tracer's options: %w", err)
	}
	return unix.PtraceCont(r.pid, 0)
}

// wait waits for a child of this thread alone: others of the test are not its.
func wait(pid int, status *unix.WaitStatus) (int, error) {
	for {
		got, err := unix.Wait4(pid, status, unix.WALL|unix.WNOTHREAD, nil)
		if !errors.Is(err, unix.EINTR) {
			return got, err
		}
	}
}

// trace serves the stops until no traced thread is left.
func (r *Run) trace() error {
	for {
		var status unix.WaitStatus
		pid, err := wait(-1, &status)
		if errors.Is(err, unix.ECHILD) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("waiting for the traced threads: %w", err)
		}
		if status.Exited() || status.Signaled() {
			r.forget(pid)
			if pid == r.pid {
				r.main <- syscall.WaitStatus(status)
			}
			continue
		}
		// A thread that is killed meanwhile is gone: the next wait tells.
		if err := r.stopped(pid, status); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
}

func (r *Run) stopped(pid int, status unix.WaitStatus) error {
	signal := status.StopSignal()
	t := r.tasks[pid]
	switch {
	case t == nil: // new: its first stop is the tracer's own SIGSTOP
		r.tasks[pid] = &task{}
		return unix.PtraceCont(pid, 0)
	case signal == unix.SIGTRAP|0x80:
		return r.done(pid, t)
	case signal == unix.SIGTRAP && status.TrapCause() == unix.PTRACE_EVENT_SECCOMP:
		return r.entered(pid, t)
	case signal == unix.SIGTRAP && status.TrapCause() == unix.PTRACE_EVENT_EXEC:
		t.role, r.begun = "", true // it is another program now
		r.know(pid)
		return unix.PtraceCont(pid, 0)
	case signal == unix.SIGTRAP || signal == unix.SIGSTOP:
		return unix.PtraceCont(pid, 0)
	}
	return unix.PtraceCont(pid, int(signal))
}

// entered decides about a call.
func (r *Run) entered(pid int, t *task) error {
	var regs registers
	if err := unix.PtraceGetRegs(pid, &regs.PtraceRegs); err != nil {
		return err
	}
	k, ok := kindOf(regs.number())
	if !ok || !r.begun {
		return unix.PtraceCont(pid, 0)
	}
	call := Call{Role: r.role(pid, t), Name: k.name, Object: r.p.Normal(thread(pid).object(k, regs.argument))}
	r.seen[call]++
	call.Nth = r.seen[call]
	act := r.p.Decide(call)
	switch {
	case act.Late:
		t.late = &act
		return unix.PtraceSyscall(pid, 0)
	case act.Kill:
		return unix.Kill(thread(pid).process(), unix.SIGKILL)
	case act.Errno != 0:
		regs.skip(act.Errno)
		if err := unix.PtraceSetRegs(pid, &regs.PtraceRegs); err != nil {
			return err
		}
	}
	return unix.PtraceCont(pid, 0)
}

// done is the stop after a call that took effect.
func (r *Run) done(pid int, t *task) error {
	act := t.late
	t.late = nil
	if act == nil {
		return unix.PtraceCont(pid, 0)
	}
	if act.Kill {
		return unix.Kill(thread(pid).process(), unix.SIGKILL)
	}
	var regs registers
	if err := unix.PtraceGetRegs(pid, &regs.PtraceRegs); err != nil {
		return err
	}
	regs.answer(act.Errno)
	if err := unix.PtraceSetRegs(pid, &regs.PtraceRegs); err != nil {
		return err
	}
	return unix.PtraceCont(pid, 0)
}

// role names the process of a thread.
func (r *Run) role(pid int, t *task) string {
	if t.role == "" {
		process := thread(pid).process()
		t.role = Main
		if process != r.pid {
			t.role = child(process)
		}
	}
	return t.role
}

// child names a process by its first argument.
func child(pid int) string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	words := splitNul(line)
	if len(words) < 2 {
		return "child"
	}
	return words[1]
}

func splitNul(line []byte) []string {
	var out []string
	for len(line) > 0 {
		end := slices.Index(line, 0)
		if end < 0 {
			end = len(line)
		}
		out = append(out, string(line[:end]))
		line = line[min(end+1, len(line)):]
	}
	return out
}

func (r *Run) know(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes[pid] = true
}

func (r *Run) forget(pid int) {
	delete(r.tasks, pid)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.processes, pid)
}

// Kill ends every traced process, with SIGKILL.
func (r *Run) Kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for pid := range r.processes {
		_ = unix.Kill(pid, unix.SIGKILL) // who is gone needs none
	}
}

// Wait waits for the end of the program itself and gives its exit code, or -1
// where it was killed.
func (r *Run) Wait(ctx context.Context) (int, error) {
	select {
	case status := <-r.main:
		if status.Exited() {
			return status.ExitStatus(), nil
		}
		return -1, nil
	case <-ctx.Done():
		_ = unix.Kill(r.pid, unix.SIGQUIT) // a Go program says where it hangs
		select {
		case <-r.main:
		case <-time.After(time.Second):
		}
		r.Kill()
		return -1, ctx.Err()
	case <-r.all:
		select { // it may have ended in the same moment
		case status := <-r.main:
			r.main <- status
			return r.Wait(ctx)
		case <-time.After(time.Millisecond):
			return -1, fmt.Errorf("the tracer ended: %w", r.err)
		}
	}
}

// All waits until the descendants ended as well.
func (r *Run) All(ctx context.Context) error {
	select {
	case <-r.all:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Ended is closed when no process of the run is left.
func (r *Run) Ended() <-chan struct{} { return r.all }
