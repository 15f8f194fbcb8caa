package sock

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// readProcNet lists one protocol of one family from /proc/net. It tells
// neither IP_TRANSPARENT nor IPV6_V6ONLY nor the device.
func (r *reader) readProcNet(k kind, v6 int) error {
	if k.files[v6] == "" {
		return errNotLoaded
	}
	if k.name == "sctp" && v6 == 1 {
		return nil // one file lists both families
	}
	path := "/proc/thread-self/net/" + k.files[v6]
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	defer f.Close()
	parse := parseInet
	if k.name == "sctp" {
		parse = parseEndpoints
	}
	found, err := parse(f, k)
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	r.found = append(r.found, found...)
	return nil
}

// parseInet reads the format of /proc/net/tcp, tcp6, udp, udp6, udplite,
// udplite6 (proc(5)):
//
//	sl  local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
//
// Addresses are words of 32 bits in host order, in hex; ports are hex.
func parseInet(in io.Reader, k kind) ([]host.Listener, error) {
	return parseLines(in, func(fields []string) ([]host.Listener, error) {
		if len(fields) < 10 || !strings.HasSuffix(fields[0], ":") {
			return nil, errors.New("the line is no socket")
		}
		addr, port, err := hexAddrPort(fields[1])
		if err != nil {
			return nil, err
		}
		_, remote, err := hexAddrPort(fields[2])
		if err != nil {
			return nil, err
		}
		state, err := strconv.ParseUint(fields[3], 16, 8)
		if err != nil {
			return nil, fmt.Errorf("%q is no socket state", fields[3])
		}
		uid, inode, err := owner(fields[7], fields[9])
		if err != nil || uint8(state) != k.state || remote != 0 || port == 0 {
			return nil, err
		}
		return []host.Listener{plain(k.name, addr, port, uid, inode)}, nil
	})
}

// parseEndpoints reads the format of /proc/net/sctp/eps (net/sctp/proc.c):
//
//	ENDPT SOCK STY SST HBKT LPORT UID INODE LADDRS
func parseEndpoints(in io.Reader, k kind) ([]host.Listener, error) {
	return parseLines(in, func(fields []string) ([]host.Listener, error) {
		if len(fields) < 8 {
			return nil, errors.New("the line is no endpoint")
		}
		state, err := strconv.ParseUint(fields[3], 10, 8)
		if err != nil {
			return nil, fmt.Errorf("%q is no socket state", fields[3])
		}
		port, err := strconv.ParseUint(fields[5], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("%q is no port", fields[5])
		}
		uid, inode, err := owner(fields[6], fields[7])
		if err != nil || uint8(state) != k.state || port == 0 {
			return nil, err
		}
		var found []host.Listener
		for _, text := range fields[8:] {
			addr, err := netip.ParseAddr(text)
			if err != nil || addr.Zone() != "" {
				return nil, fmt.Errorf("%q is no address", text)
			}
			found = append(found, plain(k.name, addr, uint16(port), uid, inode))
		}
		return found, nil
	})
}

// parseLines skips the heading and gives the fields of each line to parse. A
// line that is not understood fails the file: what it lists is then not known.
func parseLines[T any](in io.Reader, parse func([]string) ([]T, error)) ([]T, error) {
	var found []T
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		if n == 1 {
			continue
		}
		here, err := parse(strings.Fields(lines.Text()))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		found = append(found, here...)
	}
	return found, lines.Err()
}

// hexAddrPort reads "0100007F:0016" or 32 digits and a port.
func hexAddrPort(text string) (netip.Addr, uint16, error) {
	bad := fmt.Errorf("%q is no address and port", text)
	digits, portText, _ := strings.Cut(text, ":")
	port, err := strconv.ParseUint(portText, 16, 16)
	if err != nil || len(portText) != 4 {
		return netip.Addr{}, 0, bad
	}
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.Addr{}, 0, bad
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr, uint16(port), nil
}

func owner(uidText, inodeText string) (uid uint32, inode uint64, err error) {
	u, err := strconv.ParseUint(uidText, 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("%q is no uid", uidText)
	}
	inode, err = strconv.ParseUint(inodeText, 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("%q is no inode", inodeText)
	}
	return uint32(u), inode, nil
}

// plain is a listener of which /proc/net tells all that it can.
func plain(proto string, addr netip.Addr, port uint16, uid uint32, inode uint64) host.Listener {
	return host.Listener{
		Proto: proto, Address: addressText(addr), Port: port, UID: uid, Inode: inode,
		DualStack: addr == netip.IPv6Unspecified(), Partial: true,
	}
}
