package host

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Target is a destination that a redirect gives to a packet. The zero value
// is this host with the port kept (":*").
type Target struct {
	Lo, Hi netip.Addr // the addresses; both invalid: this host, or the address is kept
	// Prefix is true where Lo-Hi is a prefix whose host part is kept (NETMAP,
	// nft "prefix to"); it is then written with its length, even for a single address.
	Prefix         bool
	PortLo, PortHi uint16 // 0, 0: the port is kept
	ToZero         bool   // the port becomes 0, at which nobody can listen
	Base           uint16 // shifted ranges: the first original port (iptables "80-81/9000"); 0 for none
	Dev            string // an interface: frames or packets are handed to it
	Unix           string // a unix socket
}

// AddrTarget is one address with a port; 0 keeps the port.
func AddrTarget(a netip.Addr, port uint16) Target {
	return Target{Lo: a, Hi: a, PortLo: port, PortHi: port}
}

// Local says whether the target is this host (or keeps the address).
func (t Target) Local() bool { return !t.Lo.IsValid() && t.Dev == "" && t.Unix == "" }

// String writes the target as the contract does: ADDR[-ADDR][:PORT[-PORT][/BASE]],
// [V6]:PORT, PREFIX/LEN, :PORT, :*, dev:NAME, unix:PATH.
func (t Target) String() string {
	switch {
	case t.Dev != "" && !t.Lo.IsValid():
		return "dev:" + t.Dev
	case t.Unix != "":
		return "unix:" + t.Unix
	case !t.Lo.IsValid() && t.keepsPort():
		return ":*"
	case !t.Lo.IsValid():
		return ":" + t.portText()
	case t.keepsPort():
		return t.addrText()
	case t.Lo.Is4():
		return t.addrText() + ":" + t.portText()
	}
	return t.bracketed() + ":" + t.portText()
}

func (t Target) keepsPort() bool { return t.PortLo == 0 && t.PortHi == 0 && !t.ToZero }

func (t Target) addrText() string {
	if t.Prefix {
		if p, ok := asPrefix(t.Lo, t.Hi); ok {
			return p.String()
		}
		if t.Lo == t.Hi {
			return t.Lo.String() + "/" + strconv.Itoa(t.Lo.BitLen())
		}
	}
	if t.Lo == t.Hi {
		return t.Lo.String()
	}
	return t.Lo.String() + "-" + t.Hi.String()
}

// bracketed writes v6 addresses as ip6tables does: "[a]" or "[a]-[b]".
func (t Target) bracketed() string {
	if t.Prefix || t.Lo == t.Hi {
		return "[" + t.addrText() + "]"
	}
	return "[" + t.Lo.String() + "]-[" + t.Hi.String() + "]"
}

func (t Target) portText() string {
	text := strconv.Itoa(int(t.PortLo))
	if t.PortHi > t.PortLo {
		text += "-" + strconv.Itoa(int(t.PortHi))
	}
	if t.Base != 0 {
		text += "/" + strconv.Itoa(int(t.Base))
	}
	return text
}

// ParseTarget reads what String writes, and prefixes with a port
// ("10.0.5.0/24:8080"), which policies use for "any address in there, that port".
func ParseTarget(text string) (Target, error) {
	bad := fmt.Errorf("%q is no destination: want ADDR[:PORT], LO-HI[:PORT-PORT], PREFIX/LEN[:PORT], [V6]:PORT, :PORT, :*, dev:NAME or unix:PATH", text)
	if name, ok := strings.CutPrefix(text, "dev:"); ok && name != "" {
		return Target{Dev: name}, nil
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok && path != "" {
		return Target{Unix: path}, nil
	}
	addr, port := splitTarget(text)
	var t Target
	if addr != "" {
		r, err := parseAddrRange(strings.NewReplacer("[", "", "]", "").Replace(addr))
		if err != nil {
			return Target{}, bad
		}
		t.Lo, t.Hi, t.Prefix = r.Lo, r.Hi, strings.Contains(addr, "/")
	}
	if text == "" || strings.HasSuffix(text, ":") && strings.Count(text, ":") == 1 || strings.HasPrefix(text, "[") && !strings.Contains(text, "]") {
		return Target{}, bad
	}
	if port == "" || port == "*" && addr == "" {
		return t, nil
	}
	if err := t.parsePort(port); err != nil {
		return Target{}, bad
	}
	return t, nil
}

// splitTarget parts address and port. An unbracketed text with two colons or
// more is an IPv6 address without a port.
func splitTarget(text string) (addr, port string) {
	if i := strings.LastIndex(text, "]:"); i >= 0 {
		return text[:i+1], text[i+2:]
	}
	if strings.HasPrefix(text, ":") && strings.Count(text, ":") == 1 {
		return "", text[1:]
	}
	if strings.Count(text, ":") != 1 {
		return text, ""
	}
	addr, port, _ = strings.Cut(text, ":")
	return addr, port
}

func (t *Target) parsePort(text string) error {
	ports, base, shifted := strings.Cut(text, "/")
	if ports == "0" && !shifted {
		t.ToZero = true
		return nil
	}
	r, err := parsePortRange(ports)
	if err != nil || r.Lo == 0 {
		return fmt.Errorf("%q is no port", text)
	}
	t.PortLo, t.PortHi = uint16(r.Lo), uint16(r.Hi)
	if !shifted {
		return nil
	}
	b, err := strconv.ParseUint(base, 10, 16)
	t.Base = uint16(b)
	return err
}
