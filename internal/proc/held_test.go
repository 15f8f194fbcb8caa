package proc

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/lab/labtest"
	"github.com/natwarden/natwarden/internal/sock"
)

func TestSocketInode(t *testing.T) {
	for link, want := range map[string]uint64{
		"socket:[12345]": 12345, "socket:[0]": 0, "socket:[4294967295]": 4294967295,
		"socket:[": 0, "socket:[]": 0, "socket:[1": 0, "socket:[-1]": 0, "socket:[99999999999999999999999]": 0,
		"pipe:[12345]": 0, "/tmp/socket:[12345]": 0, "": 0,
	} {
		got, ok := socketInode([]byte(link))
		if got != want || !ok && want != 0 {
			t.Errorf("%q: %d, %v", link, got, ok)
		}
	}
}

func TestNothingWantedAsksNothing(t *testing.T) {
	held, err := Holders(context.Background(), nil)
	if err != nil || len(held.PIDs) != 0 || held.Unread != 0 {
		t.Errorf("%+v, %v", held, err)
	}
}

func TestWalkEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := Holders(ctx, map[uint64]bool{1: true}); err == nil {
		t.Error("no error although the context had ended")
	}
}

// A thread may have descriptors of its own, which /proc/PID/fd does not show.
func TestASocketOfOneThread(t *testing.T) {
	space := labtest.New(t)
	quit, ready := make(chan struct{}), make(chan error)
	t.Cleanup(func() { close(quit) })
	go func() {
		_ = space.Do(context.Background(), func(context.Context) error {
			err := unix.Unshare(unix.CLONE_FILES)
			if err == nil {
				err = listen(80)
			}
			ready <- err
			<-quit
			return nil
		})
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	found := readSpace(t, space)
	if len(found) != 1 || len(found[0].Processes) != 1 {
		t.Errorf("want one listener with one process, read %+v", found)
	}
}

// The figure that matters: ten thousand sockets in five hundred processes.
func BenchmarkAttach(b *testing.B) {
	space := labtest.New(b)
	for i := range 500 {
		server{port: 1000 + 20*i, count: 20, args: []string{fmt.Sprint(i)}}.start(b, space)
	}
	var list []host.Listener
	space.MustDo(b, func(ctx context.Context) (err error) {
		list, _, err = sock.Read(ctx)
		return err
	})
	wanted := map[uint64]bool{}
	for _, l := range list {
		wanted[l.Inode] = true
	}
	b.Run("walk", func(b *testing.B) {
		for b.Loop() {
			held, err := Holders(context.Background(), wanted)
			if err != nil || len(held.PIDs) != 10000 {
				b.Fatal(len(held.PIDs), err)
			}
		}
	})
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			s := &host.Space{Listeners: list}
			if _, err := Attach(context.Background(), []*host.Space{s}, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
