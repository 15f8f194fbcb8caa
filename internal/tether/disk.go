package tether

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/natwarden/natwarden/internal/proc"
)

// sysfs is where the kernel tells of its block devices (sysfs(5)).
const sysfs = "/sys"

// disks adds the connections to the servers of block devices that the kernel names:
// iSCSI and NVMe over TCP. Another (NBD, DRBD, rbd) is found by its connection.
func (f *finder) disks(root string) {
	for _, d := range append(iscsi(root), nvme(root)...) {
		f.server(fmt.Sprintf("the connection to %s, by which %s is read,", d.at, d.words), server{"tcp", d.at})
	}
}

// disk is a block device that comes over the network.
type disk struct {
	words string // "iSCSI (connection1:0)"
	at    netip.AddrPort
}

// iscsi reads the portal that each connection has, or last had
// (drivers/scsi/scsi_transport_iscsi.c).
func iscsi(root string) (out []disk) {
	for _, dir := range entries(root, "class/iscsi_connection") {
		for _, kind := range []string{"", "persistent_"} {
			if at, ok := endOf(bracketed(attribute(dir, kind+"address"))+":"+attribute(dir, kind+"port"), 0); ok {
				out = append(out, disk{"the iSCSI disk of " + filepath.Base(dir), at})
			}
		}
	}
	return out
}

// nvme reads "traddr=10.0.0.5,trsvcid=4420" of each controller over TCP
// (drivers/nvme/host/fabrics.c).
func nvme(root string) (out []disk) {
	for _, dir := range entries(root, "class/nvme") {
		if attribute(dir, "transport") != "tcp" {
			continue
		}
		values := map[string]string{}
		for _, pair := range strings.Split(attribute(dir, "address"), ",") {
			key, value, _ := strings.Cut(pair, "=")
			values[key] = value
		}
		if at, ok := endOf(bracketed(values["traddr"])+":"+values["trsvcid"], 0); ok {
			out = append(out, disk{"the NVMe disk " + filepath.Base(dir), at})
		}
	}
	return out
}

func entries(root, folder string) (out []string) {
	found, err := os.ReadDir(filepath.Join(root, folder))
	if err != nil {
		return nil
	}
	for _, e := range found {
		out = append(out, filepath.Join(root, folder, e.Name()))
	}
	return out
}

func attribute(dir, name string) string {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func bracketed(addr string) string {
	if strings.Contains(addr, ":") && !strings.HasPrefix(addr, "[") {
		return "[" + addr + "]"
	}
	return addr
}

// kernel adds the connections that this host has opened and that no process holds:
// the kernel itself reads a file system or a disk by them (NFS, SMB, NBD, DRBD, Ceph, …).
// It is asked last: what is known by a better name has its line by then.
func (f *finder) kernel(ctx context.Context) {
	wanted := map[uint64]bool{}
	for i := range f.sockets {
		if f.maybeKernels(&f.sockets[i]) {
			wanted[f.sockets[i].inode] = true
		}
	}
	held, err := proc.Holders(ctx, wanted)
	if err != nil {
		return
	}
	n := 0
	for _, s := range f.sockets {
		if f.maybeKernels(&s) && len(held.PIDs[s.inode]) == 0 && n < mostLines {
			n++
			f.add(f.asked.Remote, fmt.Sprintf("the connection %s that no process holds, so that the kernel itself may read a file system or disk by it,", ends(&s, true)), s, true)
		}
	}
}

func (f *finder) maybeKernels(s *socket) bool {
	return s.proto == "tcp" && s.connected() && !s.listens && s.inode != 0 && !s.there.Addr().IsLoopback() && !f.accepted(s)
}

// isStorage knows the programs that read a file system or a disk from elsewhere.
func isStorage(name string) bool {
	return slices.Contains([]string{"nbd-client", "qemu-nbd", "nbdfuse", "iscsid", "iscsiuio", "sshfs", "glusterfs", "ceph-fuse", "rbd-nbd", "rbd",
		"mfsmount", "moosefs", "rclone", "s3fs", "gcsfuse", "goofys", "juicefs", "mount.davfs", "beegfs-client", "weed", "curlftpfs", "smbnetfs", "blobfuse2"}, name)
}
