package rollback

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Origin says where and when something was written.
type Origin struct {
	Version string    `json:"version"` // of natwarden
	Host    string    `json:"host"`
	Machine string    `json:"machine"` // hash of /etc/machine-id; "" where there is none
	BootID  string    `json:"boot_id"`
	Kernel  string    `json:"kernel"`
	Time    time.Time `json:"time"`
	Netns   []Netns   `json:"netns"`
}

// Netns is a network namespace: its label, and the device and inode of its
// nsfs file, which identify it until the host restarts.
type Netns struct {
	Label string `json:"label"`
	Dev   uint64 `json:"dev"`
	Ino   uint64 `json:"ino"`
	// First is whether it is the one of process 1, which is there again after a
	// restart: "yes", "no", or "" where that could not be read.
	First string `json:"first,omitempty"`
}

// Same says whether two are one namespace under one label, as long as the host
// does not restart.
func (n Netns) Same(other Netns) bool {
	return n.Label == other.Label && n.Dev == other.Dev && n.Ino == other.Ino
}

// Here is the origin of what is written now on this host.
func Here(version string, now time.Time, spaces []Netns) (Origin, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return Origin{}, fmt.Errorf("asking for the kernel's name: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Origin{}, fmt.Errorf("reading the boot id: %w", err)
	}
	return Origin{
		Version: version,
		Host:    unix.ByteSliceToString(uts.Nodename[:]),
		Machine: machine(),
		BootID:  strings.TrimSpace(string(boot)),
		Kernel:  unix.ByteSliceToString(uts.Release[:]),
		Time:    now.UTC().Truncate(time.Second),
		Netns:   append([]Netns{}, spaces...),
	}, nil
}

// machine hashes the machine id, which is not to be shown (machine-id(5)).
func machine() string {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil || len(strings.TrimSpace(string(id))) == 0 {
		return ""
	}
	sum := sha256.Sum256([]byte("natwarden " + strings.TrimSpace(string(id))))
	return hex.EncodeToString(sum[:8])
}

// SameBoot says whether o was written since this host started.
func (o Origin) SameBoot(here Origin) bool { return o.BootID == here.BootID }

// SameHost says whether o was written on this host. The boot id proves it; over
// a restart the machine id and the name must both agree, because clones of a
// virtual machine often share the first.
func (o Origin) SameHost(here Origin) bool {
	return o.SameBoot(here) || o.Machine == here.Machine && o.Host == here.Host
}
