package ipset

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/natwarden/natwarden/internal/netns"
)

// LazySets reads the ipsets of one namespace when the first of them is asked
// for: most hosts have no rule that names one. Several goroutines may use it.
type LazySets struct {
	mu   sync.Mutex // guards what follows
	done bool
	read func() (*Sets, error)
	sets *Sets
	err  error
}

// Lazy gives the ipsets of the network namespace of the calling thread,
// whichever thread asks later. The context bounds the reading.
func Lazy(ctx context.Context) *LazySets {
	home, err := netns.Current()
	if err != nil {
		return &LazySets{read: func() (*Sets, error) { return nil, err }}
	}
	return &LazySets{read: func() (*Sets, error) {
		defer home.Close()
		return readIn(ctx, home)
	}}
}

// readIn reads in a namespace; it enters it only from another one, because
// entering needs more privilege than reading.
func readIn(ctx context.Context, home netns.Handle) (sets *Sets, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	same, err := isHere(home)
	if err != nil {
		return nil, err
	}
	if same {
		return Read(ctx)
	}
	err = home.Do(ctx, func(ctx context.Context) error {
		var err error
		sets, err = Read(ctx)
		return err
	})
	return sets, err
}

func isHere(home netns.Handle) (bool, error) {
	here, err := netns.Current()
	if err != nil {
		return false, err
	}
	defer here.Close()
	a, err := here.ID()
	if err != nil {
		return false, err
	}
	b, err := home.ID()
	return a == b, err
}

func (l *LazySets) load() *Sets {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.done {
		l.sets, l.err = l.read()
		l.done = true
	}
	return l.sets
}

// ByIndex gives the set with the index that the kernel writes into rules. Where
// the sets could not be read there is none.
func (l *LazySets) ByIndex(index uint16) (Set, bool) { return l.load().ByIndex(index) }

// ByName gives the set with a name.
func (l *LazySets) ByName(name string) (Set, bool) { return l.load().ByName(name) }

// Err says why the sets could not be read; nil where they were, or where
// nobody asked for them.
func (l *LazySets) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return fmt.Errorf("reading the ipsets that rules name: %w", l.err)
	}
	return nil
}
