package route

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

func nativeUint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }

// sysctls are the switches of a namespace that make redirects possible, by
// interface name ("all" stands for conf/all).
type sysctls struct {
	forward4, forward6 bool
	proxyARP           map[string]bool // conf/*/proxy_arp or proxy_arp_pvlan
	proxyNDP           map[string]bool
	forwarding4        map[string]bool
	forwarding6        map[string]bool
	acceptLocal        map[string]bool
	routeLocalnet      map[string]bool
}

// readSysctls reads the switches of the namespace of the calling thread:
// /proc/sys/net shows that of the reader.
func readSysctls(links map[uint32]string) (sysctls, error) {
	s := sysctls{
		proxyARP: map[string]bool{}, proxyNDP: map[string]bool{}, forwarding4: map[string]bool{},
		forwarding6: map[string]bool{}, acceptLocal: map[string]bool{}, routeLocalnet: map[string]bool{},
	}
	names := []string{"all"}
	for _, name := range links {
		names = append(names, name)
	}
	for _, name := range names {
		// An interface name with a dot is written with a slash below /proc/sys; both
		// reach it as a path only as it stands.
		if strings.ContainsRune(name, '/') {
			continue
		}
		if err := s.readOne(name); err != nil {
			return s, err
		}
	}
	var err error
	if s.forward4, err = flag("ipv4/ip_forward"); err != nil {
		return s, err
	}
	s.forward6 = s.forwarding6["all"]
	return s, nil
}

func (s *sysctls) readOne(name string) error {
	for _, k := range []struct {
		key  string
		into map[string]bool
	}{
		{"ipv4/conf/" + name + "/proxy_arp", s.proxyARP},
		{"ipv4/conf/" + name + "/proxy_arp_pvlan", s.proxyARP},
		{"ipv6/conf/" + name + "/proxy_ndp", s.proxyNDP},
		{"ipv4/conf/" + name + "/forwarding", s.forwarding4},
		{"ipv6/conf/" + name + "/forwarding", s.forwarding6},
		{"ipv4/conf/" + name + "/accept_local", s.acceptLocal},
		{"ipv4/conf/" + name + "/route_localnet", s.routeLocalnet},
	} {
		on, err := flag(k.key)
		if err != nil {
			return err
		}
		k.into[name] = k.into[name] || on
	}
	return nil
}

// flag reads a switch; one that the kernel lacks, or whose interface went
// meanwhile, is off.
func flag(key string) (bool, error) {
	b, err := os.ReadFile("/proc/sys/net/" + key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading sysctl net.%s: %w", strings.ReplaceAll(key, "/", "."), err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return false, fmt.Errorf("sysctl net.%s is no number: %q", strings.ReplaceAll(key, "/", "."), b)
	}
	return n > 0, nil
}
