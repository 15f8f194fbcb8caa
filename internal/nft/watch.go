package nft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Watch hears who changes nf_tables in one network namespace. The kernel
// names the process of each commit (NFT_MSG_NEWGEN to group NFNLGRP_NFTABLES);
// changes of iptables-legacy make no event.
type Watch struct {
	conn *Conn
	seen []GenInfo
}

// NewWatch starts to listen in the namespace of the calling thread; nil where
// nf_tables is not loaded.
func NewWatch() (*Watch, error) {
	if !Loaded() {
		return nil, nil
	}
	c, err := Open(context.Background())
	if err != nil {
		return nil, fmt.Errorf("opening the monitor of nf_tables: %w", err)
	}
	if err := c.sock.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		c.Close()
		return nil, fmt.Errorf("opening the monitor of nf_tables: %w", err)
	}
	// A large commit overflows any buffer; then some names are missing, no more.
	_ = c.sock.SetReadBuffer(4 << 20)
	return &Watch{conn: c}, nil
}

// Close ends the watch.
func (w *Watch) Close() error {
	if w == nil {
		return nil
	}
	return w.conn.Close()
}

// maxHeard bounds what one question to the watch takes in, in messages.
const maxHeard = 100_000

// Changers names the other processes that committed since the watch began:
// "iptables (pid 4711)".
func (w *Watch) Changers() []string {
	if w == nil {
		return nil
	}
	w.drain()
	var out []string
	for _, g := range w.seen {
		if text := fmt.Sprintf("%s (pid %d)", g.Comm, g.PID); !own(g) && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// own says whether this process committed: the kernel gives the number of the
// thread, which may have ended since.
func own(g GenInfo) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.PID))
	if err != nil {
		name, err := os.ReadFile("/proc/self/comm")
		return err == nil && strings.TrimSpace(string(name)) == g.Comm
	}
	return strings.Contains(string(status), fmt.Sprintf("\nTgid:\t%d\n", os.Getpid()))
}

// drain takes in what has arrived and waits for nothing: the kernel tells of a
// commit before it lets the next one begin. To wait with a deadline would hear nothing where
// the machine is too busy to look before that.
func (w *Watch) drain() {
	for heard := 0; heard < maxHeard; {
		datagram, err := w.conn.ReceiveNow()
		if errors.Is(err, unix.ENOBUFS) {
			heard++
			continue
		}
		if err != nil || datagram == nil {
			return
		}
		// What is torn names nobody.
		_ = Messages(datagram, func(m Message) error { heard++; w.take(m); return nil })
	}
}

func (w *Watch) take(m Message) {
	if m.Type != tables(unix.NFT_MSG_NEWGEN) || len(m.Body) < NetfilterHead {
		return
	}
	if g, err := ParseGeneration(m.Body[NetfilterHead:]); err == nil {
		w.seen = append(w.seen, *g)
	}
}
