package relay

import (
	"bufio"
	"context"
	"encoding/binary"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/kmod"
	"github.com/natwarden/natwarden/internal/nlsock"
)

// unixSocket is a connected unix socket with the inode of its other end.
type unixSocket struct{ inode, peer uint64 }

// Numbers of include/uapi/linux/unix_diag.h.
const (
	sizeofUnixReq  = 24
	sizeofUnixMsg  = 16
	unixShowPeer   = 4
	unixDiagPeer   = 2
	unixConnected  = 1 << 1 // TCP_ESTABLISHED, which stream sockets use as well
	mostUnixListed = 100_000
)

// readUnixPeers dumps the connected unix sockets of the namespace of the
// calling thread. Where the kernel cannot tell without loading a module, or
// fails, there are none: who serves a path is then known by the path alone.
func readUnixPeers(ctx context.Context) []unixSocket {
	if !kmod.Read().Have("unix_diag") {
		return nil
	}
	c, err := nlsock.Dial(unix.NETLINK_SOCK_DIAG, &netlink.Config{MessageBufferSize: 64 << 10})
	if err != nil {
		return nil
	}
	defer c.Close()
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(connectionsTime)
	}
	if c.SetDeadline(deadline) != nil {
		return nil
	}
	req := make([]byte, sizeofUnixReq)
	req[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(req[4:], unixConnected)
	binary.NativeEndian.PutUint32(req[12:], unixShowPeer)
	msgs, err := c.Execute(netlink.Message{Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump}, Data: req})
	if err != nil || len(msgs) > mostUnixListed {
		return nil
	}
	var out []unixSocket
	for _, m := range msgs {
		if u, ok := decodeUnix(m.Data); ok {
			out = append(out, u)
		}
	}
	return out
}

// decodeUnix reads struct unix_diag_msg; false for one that is torn or has no
// other end.
func decodeUnix(b []byte) (unixSocket, bool) {
	if len(b) < sizeofUnixMsg {
		return unixSocket{}, false
	}
	u := unixSocket{inode: uint64(binary.NativeEndian.Uint32(b[4:]))}
	ad, err := netlink.NewAttributeDecoder(b[sizeofUnixMsg:])
	if err != nil {
		return u, false
	}
	for ad.Next() {
		if v := ad.Bytes(); ad.Type() == unixDiagPeer && len(v) == 4 {
			u.peer = uint64(binary.NativeEndian.Uint32(v))
		}
	}
	return u, u.peer != 0
}

// neighbours joins the processes at both ends of the sockets.
func neighbours(sockets []unixSocket, held map[uint64][]int) map[int][]int {
	out := map[int][]int{}
	for _, u := range sockets {
		for _, a := range held[u.inode] {
			for _, b := range held[u.peer] {
				if a != b && !slices.Contains(out[a], b) {
					out[a] = append(out[a], b)
				}
			}
		}
	}
	return out
}

// unixListeners maps the paths of listening unix sockets of the namespace of
// the calling thread to their inodes (proc_net(5)); "@name" is abstract.
func unixListeners() map[string]uint64 {
	out := map[string]uint64{}
	f, err := os.Open("/proc/thread-self/net/unix")
	if err != nil {
		return out
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if path, inode, ok := unixLine(lines.Text()); ok {
			out[path] = inode
		}
	}
	return out
}

// unixLine reads a line "Num: RefCount Protocol Flags Type St Inode Path" of a
// socket that accepts (flag __SO_ACCEPTCON, 0x10000) or takes datagrams.
func unixLine(line string) (path string, inode uint64, ok bool) {
	f := strings.Fields(line)
	if len(f) < 8 || f[3] != "00010000" && f[4] != "0002" {
		return "", 0, false
	}
	inode, err := strconv.ParseUint(f[6], 10, 64)
	return strings.Join(f[7:], " "), inode, err == nil
}
