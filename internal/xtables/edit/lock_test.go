package edit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/natwarden/natwarden/internal/change"
)

func TestTheLockIsThatOfIptables(t *testing.T) {
	s := space(t)
	path := filepath.Join(t.TempDir(), "lock")
	add := func(context.Context) error { // on the thread of the space
		cmd := exec.Command("iptables-legacy", "-w", "1", "-t", "nat", "-A", "PREROUTING", "-j", "ACCEPT")
		cmd.Env = []string{"XTABLES_LOCKFILE=" + path, "PATH=/usr/sbin:/sbin"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	unlock, err := lock(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Do(context.Background(), add); err == nil || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("iptables-legacy beside our lock: %v, want exit status 4", err)
	}
	unlock()
	if err := s.Do(context.Background(), add); err != nil {
		t.Errorf("iptables-legacy after our lock: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the lock file is %v, %v", info.Mode(), err)
	}
}

func TestAHeldLockIsBusyAndSaysWhoHoldsIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	_, err = lock(ctx, path)
	if !errors.Is(err, change.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("held by pid %d ", os.Getpid())) {
		t.Errorf("the second lock gives %v", err)
	}
	time.AfterFunc(30*time.Millisecond, unlock)
	again, err := lock(context.Background(), path)
	if err != nil {
		t.Fatalf("the lock was let go, but: %v", err)
	}
	again()
}

func TestTheLockFollowsNoSymlink(t *testing.T) {
	dir := t.TempDir()
	target, path := filepath.Join(dir, "target"), filepath.Join(dir, "lock")
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if unlock, err := lock(context.Background(), path); err == nil {
		unlock()
		t.Error("the lock was taken through a symlink")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the target of the symlink was made")
	}
}
