package host

// Process is a process that holds a socket or relays.
type Process struct {
	PID       int      `json:"pid"`
	Name      string   `json:"name"`
	Exe       string   `json:"exe"`
	Deleted   bool     `json:"deleted"`
	Args      []string `json:"args"`
	Unit      string   `json:"unit"`
	Container string   `json:"container"`
	Netns     string   `json:"netns"`

	// User is the name of the user that the process runs as; "" where not read.
	User string `json:"-"`
	// HostExe is true where Exe is the host's own file: same device and inode as
	// that path in the mount namespace of the host. What a container calls
	// /usr/sbin/sshd is not the host's sshd; nor is what a process claims to run in a
	// user namespace of its own.
	HostExe bool `json:"-"`
	// SystemUnit is true where Unit is a unit below system.slice at the root of
	// the cgroup tree, so that only root can have made it.
	SystemUnit bool `json:"-"`
	// Notes say what is odd about it, in words: an executable that is gone, the
	// name of a kernel thread.
	Notes []string `json:"-"`
}

// Listener is a socket that answers: a TCP, SCTP or MPTCP socket in state
// LISTEN, a bound and unconnected UDP or UDP-Lite socket.
type Listener struct {
	ID          string    `json:"id"`
	Proto       string    `json:"proto"`   // tcp udp udplite sctp mptcp
	Address     string    `json:"address"` // as bound; "0.0.0.0" and "::" are wildcards
	Port        uint16    `json:"port"`
	Netns       string    `json:"netns"`
	UID         uint32    `json:"uid"`
	User        string    `json:"user"`
	Transparent bool      `json:"transparent"`
	Processes   []Process `json:"processes"`
	Verdict     string    `json:"verdict"`
	AllowedBy   string    `json:"allowed_by"`
	Advice      string    `json:"advice"`

	Inode  uint64 `json:"-"`
	Device string `json:"-"` // bound to this interface (SO_BINDTODEVICE); "" for none
	V6Only bool   `json:"-"` // a "::" socket that does not take IPv4
	// DualStack is true of a "::" listener that takes IPv4 as well.
	DualStack bool `json:"-"`
	// Partial is true where the kernel did not say whether the socket is
	// transparent or IPv6 only (read from /proc/net, or Linux before 5.10): it is then taken to be dual-stack and not transparent.
	Partial bool `json:"-"`
	// MPTCP is true of a TCP listener that takes Multipath TCP clients as well (RFC 8684).
	MPTCP bool `json:"-"`
	// Unheld is true where no process holds the socket although every process
	// could be looked into.
	Unheld bool `json:"-"`
	// Unreached is true where no packet from outside comes into its namespace.
	Unreached bool `json:"-"`
	// Notes say what is odd about who holds it, in words.
	Notes []string `json:"-"`
}

// PacketSocket is a socket that sees whole frames beside the protocols of the
// kernel (packet(7)), and may answer them.
type PacketSocket struct {
	Inode     uint64
	UID       uint32
	Device    string // "" for all
	Proto     uint16 // ETH_P_*: 3 is all; 0 receives nothing
	Cooked    bool   // SOCK_DGRAM: frames without their link header
	Filter    []byte // classic BPF instructions, 8 bytes each (struct sock_filter); nil: none, or not known
	Processes []Process
}

// QueueReader is a netfilter queue that a program takes packets from.
type QueueReader struct {
	Number    uint16
	Inode     uint64 // of the netlink socket that reads it; 0 where it was not found
	Processes []Process
}
