package sshsig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Program is the ssh-keygen that is run; the caller makes sure that only root
// can write it. 8.2 is the first that knows find-principals.
const Program = "/usr/bin/ssh-keygen"

// patience is how long one run may take. It computes one signature.
const patience = 20 * time.Second

// The paths by which the program opens its files: the first descriptors that it inherits.
const (
	signaturePath = "/proc/self/fd/3"
	allowedPath   = "/proc/self/fd/4"
)

// mfdNoExecSeal is MFD_NOEXEC_SEAL (linux/memfd.h): since Linux 6.3 the kernel
// writes a line to its log where neither that nor its contrary is said.
const mfdNoExecSeal = 0x8

// inMemory makes a file that has no name and lies on no disk (memfd_create(2)).
func inMemory(name string, data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|mfdNoExecSeal)
	if errors.Is(err, unix.EINVAL) { // before 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("making a file in memory for ssh-keygen: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, fmt.Errorf("writing %s in memory for ssh-keygen: %w", name, err)
	}
	return f, nil
}

// run runs ssh-keygen with nothing of the caller's environment.
func (k keygen) run(ctx context.Context, input []byte, args ...string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	var out, words bytes.Buffer
	cmd := exec.CommandContext(ctx, Program, args...)
	cmd.Env, cmd.Dir = []string{"LC_ALL=C", "PATH=/usr/bin:/bin", "HOME=/"}, "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &out, &words
	cmd.ExtraFiles = []*os.File{k.signature, k.allowed}
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return out.String(), nil
	case ctx.Err() != nil:
		return "", fmt.Errorf("running %s: %w", Program, ctx.Err())
	case errors.As(err, &exit):
		return "", reason(words.String())
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("running %s, without which no signature can be verified: it is not there (package openssh-client)", Program)
	}
	return "", fmt.Errorf("running %s: %w", Program, err)
}

// reason makes one sentence of what ssh-keygen wrote. What it says of every
// signature that is not good says nothing beside a better line.
func reason(words string) error {
	var lines []string
	for line := range strings.Lines(words) {
		line = strings.TrimSpace(strings.ReplaceAll(line, allowedPath, "allowed signers line "))
		line = strings.Replace(line, "line :", "line ", 1)
		switch line {
		case "", "No principal matched.", "Could not verify signature.":
			continue
		}
		if line = strings.ReplaceAll(line, signaturePath, "the signature"); len(lines) < 3 {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return errNobody
	}
	return errors.New(strings.Join(lines, "; "))
}
