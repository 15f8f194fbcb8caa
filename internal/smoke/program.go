package smoke

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	outputLimit = 4 << 10 // of what a program says so much is kept, in bytes
	lineLimit   = 300     // and so much of its last line is told
)

// runProgram runs a program without a shell, with nothing of the caller's
// environment, in a session of its own: at its time limit all of that is killed. It dies with natwarden.
func runProgram(ctx context.Context, words []string, files Files) error {
	if err := files.Program(words[0]); err != nil {
		return fmt.Errorf("it was not run: %w", err)
	}
	runtime.LockOSThread() // Pdeathsig is sent when the thread that started it ends (prctl(2))
	defer runtime.UnlockOSThread()
	var said tail
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env, cmd.Dir = []string{"LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"}, "/"
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // for a child that left the group and holds the output
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil:
		return nil
	case errors.As(err, &exit):
		return errors.New(strings.TrimSpace(exit.String() + ": " + said.lastLine()))
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

// Write takes everything and never fails: a program that says much must not
// stop for it.
func (t *tail) Write(data []byte) (int, error) {
	t.kept = append(t.kept, data[max(0, len(data)-outputLimit):]...)
	t.kept = t.kept[max(0, len(t.kept)-outputLimit):]
	return len(data), nil
}

// lastLine is the last line that says something.
func (t *tail) lastLine() string {
	lines := bytes.Split(bytes.TrimSpace(t.kept), []byte("\n"))
	last := lines[len(lines)-1]
	return strings.ToValidUTF8(string(last[:min(len(last), lineLimit)]), "\uFFFD")
}
