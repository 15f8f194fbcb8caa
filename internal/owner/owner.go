// Package owner says who manages a rule or a relay, from the names that managers
// give to their chains and tables, and from the programs that they start. A name is a hint and proves nothing: it
// labels a row and words its advice, and never allows anything.
package owner

import (
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// A mark is how a manager names what it makes.
type mark struct {
	kind   string
	chains []string // prefixes of chain names
	tables []string // whole names of nftables tables
}

// marks are read off what the managers themselves write (see docs/how-it-works.md).
func marks() []mark {
	return []mark{
		{"docker", []string{"DOCKER"}, []string{"docker-bridges"}},
		{"podman", []string{"NETAVARK", "CNI-"}, []string{"netavark"}},
		{"kube-proxy", []string{"KUBE-"}, []string{"kube-proxy"}},
		{"calico", []string{"cali-", "cali:"}, []string{"calico"}},
		{"cilium", []string{"CILIUM_", "OLD_CILIUM_"}, nil},
		{"flannel", []string{"FLANNEL-"}, nil},
		{"istio", []string{"ISTIO_"}, []string{"istio-proxy-nat", "istio-proxy-mangle"}},
		{"firewalld", []string{"PRE_", "POST_", "nat_PRE_", "nat_PREROUTING_ZONES", "PREROUTING_ZONES", "PREROUTING_direct", "nat_PREROUTING_POLICIES"}, []string{"firewalld"}},
		{"ufw", []string{"ufw-", "ufw6-"}, nil},
		{"libvirt", []string{"LIBVIRT_"}, []string{"libvirt_network"}},
		{"fail2ban", []string{"f2b-"}, []string{"f2b-table"}},
		{"tailscale", []string{"ts-"}, nil},
		{"lxd", []string{"lxd_"}, []string{"lxd", "incus"}},
		{"shorewall", []string{"net_dnat", "loc_dnat"}, nil},
		{"miniupnpd", []string{"MINIUPNPD"}, []string{"miniupnpd"}},
		{"sshuttle", []string{"sshuttle-"}, nil},
	}
}

// A Finder knows how managers name what they make.
type Finder struct{ marks []mark }

// NewFinder gives a Finder.
func NewFinder() Finder { return Finder{marks()} }

// Of names the manager of a row; nil where nothing tells.
func (f Finder) Of(r *host.Redirect) *host.Owner {
	if r.Rule == nil {
		return ofProcess(r.Process)
	}
	for _, m := range f.marks {
		if evidence := m.evidence(r.Rule); evidence != "" {
			return &host.Owner{Kind: m.kind, Name: "", Evidence: evidence}
		}
	}
	return nil
}

func (m mark) evidence(rule *host.RuleRef) string {
	if len(rule.Paths) > 0 {
		for _, chain := range rule.Paths[0] {
			if m.made(chain) {
				return "chain " + chain
			}
		}
	}
	if m.made(rule.Chain) {
		return "chain " + rule.Chain
	}
	for _, table := range m.tables {
		if rule.Table == table {
			return "table " + table
		}
	}
	return ""
}

func (m mark) made(chain string) bool {
	for _, prefix := range m.chains {
		if strings.HasPrefix(chain, prefix) {
			return true
		}
	}
	return false
}
