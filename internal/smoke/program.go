package smoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	outputLimit = 4 << 10 // of what a program says so much is kept, in bytes
	lineLimit   = 300     // and so much of its last line is told
	// keeperTime is how long the keeper may take beyond its own time for killing.
	keeperTime = 5 * time.Second
)

// runProgram runs a program without a shell, with nothing of the caller's
// environment and descriptors, under a keeper: all that it started is dead when this
// returns, and soon after natwarden is killed.
func runProgram(ctx context.Context, words []string, files Files) error {
	if err := files.Program(words[0]); err != nil {
		return fmt.Errorf("it was not run: %w", err)
	}
	var said tail
	r, err := startKeeper(ctx, words, &said)
	if err != nil {
		return fmt.Errorf("it was not run: %w", err)
	}
	defer context.AfterFunc(ctx, r.end)()
	w, err := r.hear()
	switch {
	case err != nil:
		return err
	case w.Error != "":
		return errors.New(w.Error)
	case len(w.Left) > 0:
		return leftError(w.Left)
	}
	return ending(w.status(), &said)
}

// kept is a program that runs under a keeper.
type kept struct {
	keeper *exec.Cmd
	life   *os.File // its end is the word to end everything
	word   *os.File
}

// startKeeper starts natwarden once more, as the keeper of a program.
func startKeeper(ctx context.Context, words []string, said io.Writer) (*kept, error) {
	lifeRead, life, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer lifeRead.Close()
	word, wordWrite, err := os.Pipe()
	if err != nil {
		life.Close()
		return nil, err
	}
	defer wordWrite.Close()
	limit := allTime
	if end, set := ctx.Deadline(); set {
		limit = time.Until(end) + time.Second // natwarden itself ends it first, unless it stands still
	}
	r := &kept{life: life, word: word, keeper: &exec.Cmd{
		Path:   "/proc/self/exe", // this very program, also after its file was replaced
		Args:   append([]string{"natwarden", keeperVerb, limit.String()}, words...),
		Env:    []string{"LC_ALL=C", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
		Dir:    "/",
		Stdout: said, Stderr: said,
		ExtraFiles:  []*os.File{lifeRead, wordWrite},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, // no terminal's signals
		WaitDelay:   time.Second,
	}}
	if err := r.keeper.Start(); err != nil {
		life.Close()
		word.Close()
		return nil, err
	}
	return r, nil
}

// end has everything killed. A keeper that does not come to an end then is not
// waited for.
func (r *kept) end() {
	_ = r.word.SetReadDeadline(time.Now().Add(killTime + keeperTime))
	r.life.Close()
}

// hear waits for what the keeper says when all is over.
func (r *kept) hear() (word, error) {
	var w word
	data, err := io.ReadAll(io.LimitReader(r.word, wordLimit))
	if err != nil {
		_ = r.keeper.Process.Kill()
	}
	r.life.Close()
	r.word.Close()
	end := r.keeper.Wait()
	if err != nil {
		return w, fmt.Errorf("waiting for the process that keeps it: %w", err)
	}
	if len(data) == 0 {
		return w, fmt.Errorf("the process that keeps it was killed (%w), and the program with it", end)
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return w, fmt.Errorf("reading what the process that keeps it says: %w", err)
	}
	return w, nil
}

// ending says how a program ended; nil for well.
func ending(status syscall.WaitStatus, said *tail) error {
	how := ""
	switch {
	case status.Exited() && status.ExitStatus() == 0:
		return nil
	case status.Exited():
		how = fmt.Sprintf("exit status %d", status.ExitStatus())
	default:
		how = "signal: " + status.Signal().String()
	}
	return errors.New(strings.TrimSpace(how + ": " + said.lastLine()))
}

// leftError names processes that could not be killed.
type leftError []string

// Error says which.
func (l leftError) Error() string {
	return "what it started cannot be ended, it hangs in the kernel: process " + strings.Join(l, ", ")
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
