package sock

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/kmod"
)

const packetFile = "/proc/thread-self/net/packet"

// include/uapi/linux/packet_diag.h
const (
	packetReqSize    = 20 // struct packet_diag_req
	packetMsgSize    = 16 // struct packet_diag_msg
	packetShowInfo   = 1
	packetShowFilter = 32
	packetAttrInfo   = 0 // struct packet_diag_info; the interface comes first
	packetAttrUID    = 5
	packetAttrFilter = 7 // struct sock_filter[]
)

// Packets lists the packet sockets of the network namespace of the calling
// thread, which the caller has locked: by sock_diag where that loads no
// module, which tells their filters, else from /proc/net/packet.
func Packets(ctx context.Context) ([]host.PacketSocket, error) {
	if _, err := os.Stat(packetFile); errors.Is(err, fs.ErrNotExist) {
		return nil, nil // the kernel has no packet sockets
	}
	r := newReader(ctx, kmod.Read())
	defer r.close()
	if r.modules.Have("af_packet_diag") {
		found, err := r.packets()
		if err == nil || !unsupported(err) {
			return found, err
		}
	}
	f, err := os.Open(packetFile)
	if err != nil {
		return nil, fmt.Errorf("reading packet sockets: %w", err)
	}
	defer f.Close()
	found, err := r.parsePackets(f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", packetFile, err)
	}
	return found, nil
}

func (r *reader) packets() ([]host.PacketSocket, error) {
	c, err := dialDiag()
	if err != nil {
		return nil, err
	}
	r.diag = c
	stop := r.limit()
	defer stop()
	data := make([]byte, packetReqSize)
	data[0] = unix.AF_PACKET
	binary.NativeEndian.PutUint32(data[8:], packetShowInfo|packetShowFilter)
	_, err = c.Send(netlink.Message{
		Header: netlink.Header{Type: unix.SOCK_DIAG_BY_FAMILY, Flags: netlink.Request | netlink.Dump}, Data: data,
	})
	if err != nil {
		return nil, fmt.Errorf("asking for packet sockets: %w", err)
	}
	var found []host.PacketSocket
	var bad error // the rest is still received
	for m, err := range c.ReceiveIter() {
		if err != nil {
			return nil, fmt.Errorf("dumping packet sockets: %w", err)
		}
		if m.Header.Type == unix.SOCK_DIAG_BY_FAMILY && bad == nil {
			var p host.PacketSocket
			p, bad = r.decodePacket(m.Data)
			found = append(found, p)
		}
	}
	return found, bad
}

// decodePacket reads a struct packet_diag_msg (family, type, protocol in host
// order, inode, cookie) and its attributes.
func (r *reader) decodePacket(b []byte) (host.PacketSocket, error) {
	if len(b) < packetMsgSize {
		return host.PacketSocket{}, errTorn
	}
	p := host.PacketSocket{
		Proto: binary.NativeEndian.Uint16(b[2:]), Inode: uint64(binary.NativeEndian.Uint32(b[4:])), Cooked: b[1] == unix.SOCK_DGRAM,
	}
	for b = b[packetMsgSize:]; len(b) >= 4; {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return p, errTorn
		}
		value := b[4:n]
		switch kind := binary.NativeEndian.Uint16(b[2:]); {
		case kind == packetAttrInfo && len(value) >= 4:
			p.Device = r.device(binary.NativeEndian.Uint32(value))
		case kind == packetAttrUID && len(value) >= 4:
			p.UID = binary.NativeEndian.Uint32(value)
		case kind == packetAttrFilter && len(value)%8 == 0 && len(value) > 0:
			p.Filter = append([]byte{}, value...)
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return p, nil
}

// parsePackets reads the format of /proc/net/packet (net/packet/af_packet.c):
//
//	sk RefCnt Type Proto Iface R Rmem User Inode
func (r *reader) parsePackets(in io.Reader) ([]host.PacketSocket, error) {
	var found []host.PacketSocket
	_, err := parseLines(in, func(fields []string) ([]host.Listener, error) {
		if len(fields) < 9 {
			return nil, errors.New("the line is no packet socket")
		}
		proto, err := strconv.ParseUint(fields[3], 16, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is no protocol", fields[3])
		}
		index, err := strconv.ParseUint(fields[4], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no interface", fields[4])
		}
		uid, inode, err := owner(fields[7], fields[8])
		if err != nil {
			return nil, err
		}
		found = append(found, host.PacketSocket{Proto: uint16(proto), Device: r.device(uint32(index)), UID: uid,
			Inode: inode, Cooked: fields[2] == strconv.Itoa(unix.SOCK_DGRAM)})
		return nil, nil
	})
	return found, err
}
