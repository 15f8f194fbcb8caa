package sock

import (
	"bytes"
	"context"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/kmod"
	"github.com/natwarden/natwarden/internal/lab/labtest"
)

// packetSocket opens a packet socket on an interface with a filter.
func packetSocket(t *testing.T, kind, index int, proto uint16, filter []unix.SockFilter) {
	t.Helper()
	swapped := proto<<8 | proto>>8 // network order, on both kinds of machine that Go runs on: see below
	fd, err := unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC, int(swapped))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swapped, Ifindex: index}); err != nil {
		t.Fatal(err)
	}
	if filter != nil {
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPacketSockets(t *testing.T) {
	if bitfield(1, 0) != true {
		t.Skip("the test swaps bytes for little endian")
	}
	s := labtest.New(t)
	reject := []unix.SockFilter{{Code: 0x06}}
	s.MustDo(t, func(context.Context) error {
		packetSocket(t, unix.SOCK_RAW, 1, unix.ETH_P_IP, nil)
		packetSocket(t, unix.SOCK_DGRAM, 0, unix.ETH_P_ALL, reject)
		return nil
	})
	var found []host.PacketSocket
	s.MustDo(t, func(ctx context.Context) (err error) {
		found, err = Packets(ctx)
		return err
	})
	if len(found) != 2 {
		t.Fatalf("read %+v", found)
	}
	if found[0].Cooked {
		found[0], found[1] = found[1], found[0]
	}
	a, b := found[0], found[1]
	if a.Device != "lo" || a.Proto != unix.ETH_P_IP || a.Cooked || a.Filter != nil || a.Inode == 0 {
		t.Errorf("read %+v", a)
	}
	if b.Device != "" || b.Proto != unix.ETH_P_ALL || !b.Cooked || b.Inode == a.Inode {
		t.Errorf("read %+v", b)
	}
	if kmod.Read().Have("af_packet_diag") && len(b.Filter) != 8 {
		t.Errorf("the filter is %x", b.Filter)
	}
}

// What /proc/net/packet lists is the same, without the filters.
func TestPacketSocketsWithoutDiag(t *testing.T) {
	s := labtest.New(t)
	s.MustDo(t, func(context.Context) error {
		packetSocket(t, unix.SOCK_RAW, 1, unix.ETH_P_IP, nil)
		packetSocket(t, unix.SOCK_DGRAM, 0, unix.ETH_P_ALL, nil)
		return nil
	})
	s.MustDo(t, func(ctx context.Context) error {
		byDiag, err := Packets(ctx)
		if err != nil {
			return err
		}
		text := readFile(t, packetFile)
		byFile, err := newReader(ctx, kmod.Of()).parsePackets(bytes.NewReader(text))
		if !reflect.DeepEqual(sortedPackets(byDiag), sortedPackets(byFile)) {
			t.Errorf("by sock_diag %+v\nby file %+v", byDiag, byFile)
		}
		return err
	})
}

func sortedPackets(list []host.PacketSocket) map[uint64]host.PacketSocket {
	out := map[uint64]host.PacketSocket{}
	for _, p := range list {
		out[p.Inode] = p
	}
	return out
}

func TestQueues(t *testing.T) {
	found, ports, err := parseQueues(strings.NewReader("    7  12345     0 2 65535     0     0        0  1\n    8  -2147483647  0 2 65535 0 0 0 1\n"))
	if err != nil || len(found) != 2 || found[0].Number != 7 || ports[0] != 12345 || found[1].Number != 8 || ports[1] != 0x80000001 {
		t.Errorf("%+v, %v, %v", found, ports, err)
	}
	for _, bad := range []string{"x 1\n", "7\n", "70000 1\n", "7 x\n"} {
		if _, _, err := parseQueues(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
	inodes, err := parseNetlink(strings.NewReader("sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n" +
		"0000 0 99 00000000 0 0 0 2 0 11\n0000 12 12345 00000000 0 0 0 2 0 4711\n"))
	if err != nil || len(inodes) != 1 || inodes[12345] != 4711 {
		t.Errorf("%v, %v", inodes, err)
	}
}

func FuzzPackets(f *testing.F) {
	f.Add([]byte("sk RefCnt Type Proto Iface R Rmem User Inode\n0000 3 3 0003 0 1 0 0 77\n"), make([]byte, packetMsgSize+12))
	f.Fuzz(func(_ *testing.T, text, message []byte) {
		r := newReader(context.Background(), kmod.Of())
		_, _ = r.parsePackets(bytes.NewReader(text))
		_, _, _ = parseQueues(bytes.NewReader(text))
		_, _ = parseNetlink(bytes.NewReader(text))
		_, _ = r.decodePacket(message)
	})
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
