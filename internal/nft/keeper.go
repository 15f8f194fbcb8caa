package nft

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// freshness bounds how old a reading may be that is used again: rules change
// with the generation, counters with every packet.
const freshness = 5 * time.Second

// A Keeper reads nf_tables and keeps what it read: a change is planned, proven,
// compared and sent from the same rules, and to dump 50,000 of them takes the
// kernel a second each time. What is kept is used again only while the generation
// is the same and no commit is going on. A Keeper may be used from several goroutines.
type Keeper struct {
	mu   sync.Mutex
	kept map[nsID]kept
}

type nsID struct{ dev, ino uint64 }

type kept struct {
	dump *Dump
	at   time.Time
}

// Read gives nf_tables of the network namespace of the calling thread with
// objects and flowtables, as Read does. The dump is shared: it must not be changed.
func (k *Keeper) Read(ctx context.Context) (*Dump, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return Read(ctx, Options{Objects: true})
	}
	id := nsID{uint64(st.Dev), st.Ino}
	if last, ok := k.kept[id]; ok && time.Since(last.at) < freshness && unchanged(ctx, last.dump.Generation) {
		return last.dump, nil
	}
	d, err := Read(ctx, Options{Objects: true})
	if err != nil {
		return nil, err
	}
	if k.kept == nil {
		k.kept = map[nsID]kept{}
	}
	k.kept[id] = kept{d, time.Now()}
	return d, nil
}

// Last gives what was read last in the namespace of the calling thread; nil
// where nothing is kept. Whether its generation still counts is not asked: that is for a
// batch that it guards.
func (k *Keeper) Last() *Dump {
	k.mu.Lock()
	defer k.mu.Unlock()
	var st unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &st) != nil {
		return nil
	}
	last, ok := k.kept[nsID{uint64(st.Dev), st.Ino}]
	if !ok || last.dump.Generation == 0 || time.Since(last.at) >= freshness {
		return nil
	}
	return last.dump
}

// unchanged says whether the generation is surely still the given one.
func unchanged(ctx context.Context, generation uint32) bool {
	if generation == 0 || !Loaded() {
		return false
	}
	c, err := Open(ctx)
	if err != nil {
		return false
	}
	defer c.Close()
	return c.still(generation) == nil
}
