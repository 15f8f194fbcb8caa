package qemu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is, by the name under which it is called, the guest's init, its
// modprobe, or the main of the tests.
func TestMain(m *testing.M) {
	switch {
	case os.Getpid() == 1:
		guest()
	case os.Args[0] == holder:
		hold()
	case path.Base(os.Args[0]) == "modprobe":
		if err := modprobe(os.Args[1:]); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The marks by which the host finds the tests of each suite in the guest's output.
const (
	suiteBegins = "@@ suite "
	suiteEnds   = "@@ end "
	guestEnds   = "@@ bye"
)

// guest is the machine's only program. It never returns.
func guest() {
	if err := furnish(); err != nil {
		fmt.Println("furnishing the guest:", err)
	}
	only := os.Getenv(onlyVariable) // the kernel hands what it does not know to init
	if only == "" {
		suite("pristine", "/init", "-test.v", "-test.run", "^TestPristine")
		only = "^TestGuest"
	}
	if err := usual(); err != nil {
		fmt.Println("loading modules:", err)
	}
	binaries, _ := filepath.Glob("/tests/*/*.test")
	for _, binary := range binaries {
		suite(path.Base(path.Dir(binary)), binary, "-test.v", "-test.timeout", "200s")
	}
	suite("guest", "/init", "-test.v", "-test.run", only, "-test.timeout", "400s")
	fmt.Println(guestEnds)
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) // qemu ends: -no-reboot
	select {}
}

// furnish mounts what a Debian system has and gives the loopback its place.
func furnish() error {
	for _, m := range [][3]string{{"proc", "/proc", ""}, {"sysfs", "/sys", ""}, {"devtmpfs", "/dev", ""}, {"tmpfs", "/tmp", ""}, {"tmpfs", "/run", "mode=755"},
		{"bpf", "/sys/fs/bpf", "mode=700"}, {"cgroup2", "/sys/fs/cgroup", ""}, {"tracefs", "/sys/kernel/tracing", ""}} {
		if err := os.MkdirAll(m[1], 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m[0], m[1], m[0], 0, m[2]); err != nil {
			return fmt.Errorf("mounting %s: %w", m[1], err)
		}
	}
	for _, dir := range []string{"/run/netns", "/root", "/var/lib"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return unix.Sethostname([]byte("guest"))
}

// usual loads what a busy Debian host has: what natwarden reads only where it
// is there, and the device of tunnels, which nobody else makes here.
func usual() error {
	l, err := newLoader()
	for _, name := range []string{"tcp_diag", "udp_diag", "mptcp_diag", "raw_diag", "sctp_diag", "unix_diag", "af_packet_diag", "tun", "nf_conntrack_netlink"} {
		err = errors.Join(err, l.load(name))
	}
	return err
}

// suite runs one test binary and marks what it prints.
func suite(name string, argv ...string) {
	fmt.Println(suiteBegins + name)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C", "NATWARDEN_REQUIRE_LAB=1", guestVariable + "=1"}
	if argv[0] != "/init" {
		cmd.Dir = path.Dir(argv[0])
	}
	began := time.Now()
	err := cmd.Run()
	result := "ok"
	if err != nil {
		result = strings.ReplaceAll(err.Error(), "\n", " ")
	}
	fmt.Printf("%s%s after %v: %s\n", suiteEnds, name, time.Since(began).Round(time.Millisecond), result)
}
