package bpf

import (
	"context"
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// TestAProgramThatCannotBeReadIsNotGone: it is there, and may be one that makes
// system calls lie.
func TestAProgramThatCannotBeReadIsNotGone(t *testing.T) {
	loaded(t, ebpf.XDP, ebpf.AttachNone, returning(2))
	c := NewCatalog()
	if _, err := c.Meddlers(context.Background()); err != nil {
		t.Fatalf("all programs can be read, but: %v", err)
	}
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 0, Max: was.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, err := NewCatalog().Meddlers(context.Background())
	if back := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, unix.EMFILE) {
		t.Errorf("no program can be opened, and Meddlers says %v", err)
	}
}
