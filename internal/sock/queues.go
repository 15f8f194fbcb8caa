package sock

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
)

const (
	queueFile   = "/proc/thread-self/net/netfilter/nfnetlink_queue"
	netlinkFile = "/proc/thread-self/net/netlink"
)

// Queues lists the netfilter queues of the namespace of the calling thread
// that a program has bound, with the inode of the netlink socket by which it
// reads them.
func Queues() ([]host.QueueReader, error) {
	f, err := os.Open(queueFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nobody has bound one: nfnetlink_queue is not in the kernel
	}
	if err != nil {
		return nil, fmt.Errorf("reading netfilter queues: %w", err)
	}
	defer f.Close()
	found, ports, err := parseQueues(f)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	sockets, err := os.Open(netlinkFile)
	if err != nil {
		return found, fmt.Errorf("reading netlink sockets: %w", err)
	}
	defer sockets.Close()
	inodes, err := parseNetlink(sockets)
	for i, port := range ports {
		found[i].Inode = inodes[port]
	}
	return found, err
}

// parseQueues reads the format of nfnetlink_queue: number, port id of the
// netlink socket, queued, mode, range, dropped, dropped by user, sequence, 1.
func parseQueues(in io.Reader) (found []host.QueueReader, ports []uint32, err error) {
	_, err = parseLines(withHeading(in), func(fields []string) ([]host.Listener, error) {
		if len(fields) < 2 {
			return nil, errors.New("the line is no queue")
		}
		number, err := strconv.ParseUint(fields[0], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is no queue", fields[0])
		}
		port, err := strconv.ParseUint(strings.TrimPrefix(fields[1], "-"), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no port id", fields[1])
		}
		if strings.HasPrefix(fields[1], "-") {
			port = -port
		}
		found, ports = append(found, host.QueueReader{Number: uint16(number)}), append(ports, uint32(port))
		return nil, nil
	})
	return found, ports, err
}

// withHeading puts a first line before files that have none.
func withHeading(in io.Reader) io.Reader { return io.MultiReader(strings.NewReader("\n"), in) }

// parseNetlink reads the format of /proc/net/netlink (net/netlink/af_netlink.c)
// and gives the inode of each netfilter socket by its port id:
//
//	sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
func parseNetlink(in io.Reader) (map[uint32]uint64, error) {
	inodes := map[uint32]uint64{}
	_, err := parseLines(in, func(fields []string) ([]host.Listener, error) {
		if len(fields) < 10 {
			return nil, errors.New("the line is no netlink socket")
		}
		if fields[1] != strconv.Itoa(unix.NETLINK_NETFILTER) {
			return nil, nil
		}
		port, inode, err := owner(fields[2], fields[9])
		if err == nil {
			inodes[port] = inode
		}
		return nil, err
	})
	return inodes, err
}
