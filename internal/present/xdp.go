package present

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// protocolsPath lists the kinds of sockets with how many of them are open in
// the calling thread's namespace (net/core/sock.c, proto_seq_printf).
const protocolsPath = "/proc/thread-self/net/protocols"

// expressSockets looks for AF_XDP sockets: a program of XDP hands them packets
// before the kernel's own protocols see any.
func expressSockets(context.Context, *host.Space) ([]host.Blind, error) {
	text, err := os.ReadFile(protocolsPath)
	if err != nil {
		return nil, fmt.Errorf("reading kinds of sockets: %w", err)
	}
	if n := open(string(text), "XDP"); n > 0 {
		return []host.Blind{spot("AF_XDP sockets", "%d open: they may take packets before every rule and socket, and answer them", n)}, nil
	}
	return nil, nil
}

// open gives how many sockets of a protocol are open: the third column. The
// kernel writes -1 where it does not count.
func open(text, protocol string) int {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != protocol {
			continue
		}
		n, err := strconv.Atoi(fields[2])
		if err != nil {
			return 0
		}
		return n
	}
	return 0
}
