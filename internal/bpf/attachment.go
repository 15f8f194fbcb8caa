package bpf

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/cilium/ebpf"
)

// Backend is the subsystem's name in refs, objects and steps.
const Backend = "bpf"

// The kinds of attachments.
const (
	XDP           = "xdp"
	TCX           = "tcx"
	Netkit        = "netkit"
	SkLookup      = "sk-lookup"
	FlowDissector = "flow-dissector"
	Cgroup        = "cgroup-connect"
	Netfilter     = "netfilter"
)

// Attachment is one eBPF program at one place. It is what a Ref of backend
// "bpf" carries as JSON in its Key.
type Attachment struct {
	Kind    string `json:"kind"`
	Dev     string `json:"dev,omitempty"`
	Ifindex uint32 `json:"ifindex,omitempty"`
	// Hook is where at the device or cgroup: ingress, egress, primary, peer; of
	// XDP the mode (driver, generic, offload); of a cgroup connect4, sendmsg6, ….
	Hook    string `json:"hook,omitempty"`
	Cgroup  string `json:"cgroup,omitempty"` // folder of the cgroup
	Type    uint32 `json:"type"`             // enum bpf_attach_type, as ebpf.AttachType
	Program uint32 `json:"program"`          // id, of this boot
	Link    uint32 `json:"link,omitempty"`   // id of the link that holds it; 0: none
	Tag     string `json:"tag"`
	Name    string `json:"name,omitempty"`
	// Next is the tag of the program that runs after it at the same place.
	Next string `json:"next,omitempty"`
	// Flags are those of BPF_PROG_ATTACH for cgroups (allow override, multi).
	Flags uint32 `json:"flags,omitempty"`
	// LinkPins are the paths in bpffs that the link is pinned to.
	LinkPins []string `json:"link_pins,omitempty"`
	// Rivals counts further links that could be the one: the kernel does not say
	// to which namespace an XDP link belongs.
	Rivals int `json:"rivals,omitempty"`

	down bool // the device is down
}

// Place says where the program stands, in words that stay the same: "xdp h0
// generic", "tcx h0 ingress", "sk-lookup".
func (a Attachment) Place() string {
	return strings.Join(strings.Fields(strings.Join([]string{a.Kind, a.Dev, a.Cgroup, a.Hook}, " ")), " ")
}

// Fingerprint identifies the attachment by program and place, without ids.
func (a Attachment) Fingerprint() string {
	sum := sha256.Sum256([]byte(a.Place() + "\x00" + a.Tag))
	return hex.EncodeToString(sum[:12])
}

// AttachType is the hook as cilium/ebpf has it.
func (a Attachment) AttachType() ebpf.AttachType { return ebpf.AttachType(a.Type) }
