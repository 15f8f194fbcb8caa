package present

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/natwarden/natwarden/internal/host"
	"github.com/natwarden/natwarden/internal/proc"
)

// tunDevice is the device that a program opens to be the other end of a TUN or
// TAP interface (Documentation/networking/tuntap.rst).
const tunDevice = "/dev/net/tun"

// tunnels looks at the programs behind TUN and TAP interfaces that are up. One
// may be a whole network stack and answer for whatever is routed to it. The
// usual VPNs, machines and containers are known to pass packets on.
func tunnels(ctx context.Context, into *host.Space) ([]host.Blind, error) {
	var names []string
	for _, i := range into.Ifaces {
		if (i.Kind == "tun" || i.Kind == "tuntap") && i.Up { // the kernel's word, and the library's
			names = append(names, i.Name)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	holders, err := tunHolders(ctx, names)
	if err != nil {
		return nil, err
	}
	var out []host.Blind
	for _, name := range names {
		attended, err := running(name)
		if err != nil {
			return nil, err
		}
		if why := doubt(holders[name], attended); why != "" {
			out = append(out, spot("interface "+name, "%s", why))
		}
	}
	return out, nil
}

// running says whether some program has the other end of the interface: the
// kernel then gives it a carrier (tun_attach in drivers/net/tun.c).
func running(name string) (bool, error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("opening a socket to ask for %s: %w", name, err)
	}
	defer unix.Close(s)
	request, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, request)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return false, fmt.Errorf("reading the flags of %s: %w", name, err)
	}
	return err == nil && request.Uint16()&unix.IFF_RUNNING != 0, nil
}

// doubt says why it is not known who answers behind the interface; "" where
// only known programs are there, or nobody at all.
func doubt(holders []host.Process, attended bool) string {
	for i := range holders {
		if p := &holders[i]; !passesOn(p) {
			return fmt.Sprintf("%s (pid %d, %s) takes what is routed there and may answer for it", p.Name, p.PID, p.Exe)
		}
	}
	if len(holders) == 0 && attended {
		return "some program is behind it, and could not be found: it may answer for what is routed there"
	}
	return ""
}

// passesOn says whether the program is a known VPN, virtual machine or
// container network, as the host's own file.
func passesOn(p *host.Process) bool {
	name := path.Base(p.Exe)
	return p.HostExe && (strings.HasPrefix(name, "qemu-") || slices.Contains([]string{
		"openvpn", "tailscaled", "openconnect", "vpnc", "wireguard-go", "boringtun", "boringtun-cli", "zerotier-one", "nebula", "tincd",
		"charon", "pppd", "cloud-hypervisor", "firecracker", "crosvm", "VBoxHeadless", "libvirtd", "virtqemud",
		"slirp4netns", "pasta", "pasta.avx2", "passt", "passt.avx2", "systemd-networkd", "NetworkManager", "systemd-vmspawn",
	}, name))
}

// tunHolders finds the processes that hold the interfaces, by the names that
// the kernel tells of each descriptor (fdinfo, "iff:"). Processes that cannot
// be looked into are left out.
func tunHolders(ctx context.Context, names []string) (map[string][]host.Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	holders := map[string][]host.Process{}
	describer := proc.NewDescriber(nil)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("looking for programs behind TUN interfaces: %w", err)
		}
		for _, name := range tunsOf(filepath.Join("/proc", e.Name())) {
			if !slices.Contains(names, name) {
				continue
			}
			if p, err := describer.Describe(ctx, pid); err == nil {
				holders[name] = append(holders[name], p)
			}
		}
	}
	return holders, nil
}

// tunsOf are the interfaces behind which a process is.
func tunsOf(dir string) []string {
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return nil // it has ended, or is hidden from this user
	}
	var out []string
	for _, fd := range fds {
		if to, err := os.Readlink(filepath.Join(dir, "fd", fd.Name())); err != nil || to != tunDevice {
			continue
		}
		info, err := os.ReadFile(filepath.Join(dir, "fdinfo", fd.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		if name := ifaceOf(string(info)); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// ifaceOf reads the interface out of a descriptor's fdinfo (tun_chr_show_fdinfo in drivers/net/tun.c).
func ifaceOf(info string) string {
	for line := range strings.Lines(info) {
		if name, ok := strings.CutPrefix(line, "iff:\t"); ok {
			return strings.TrimSuffix(name, "\n")
		}
	}
	return ""
}
