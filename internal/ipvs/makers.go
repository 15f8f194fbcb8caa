package ipvs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/natwarden/natwarden/internal/host"
)

// A maker is what usually makes services, and how one is ended there.
type maker struct{ name, how string }

// makers are programs that keep services as they are configured. That one runs
// proves nothing about a service: it words the advice.
func makers() []maker {
	return []maker{
		{"keepalived", "take its virtual_server out of /etc/keepalived/keepalived.conf and systemctl reload keepalived"},
		{"ldirectord", "take its virtual entry out of /etc/ha.d/ldirectord.cf"},
		{"kube-router", "delete or change the Service (kubectl get svc -A)"},
	}
}

// kubeInterface is the device on which kube-proxy puts the addresses of its
// services (pkg/proxy/ipvs of Kubernetes, defaultDummyDevice).
const kubeInterface = "kube-ipvs0"

// advice says how a service is ended where it was made, as far as the namespace
// shows who makes services there.
func advice(option string, from []string) string {
	byHand := "ipvsadm -D " + option
	if len(from) == 0 {
		return byHand + ", and in what made it (keepalived, ldirectord, kube-proxy, ipvsadm-restore at boot: /etc/ipvsadm.rules): it comes back otherwise"
	}
	return strings.Join(from, "; ") + "; else it comes back after " + byHand
}

// seenMakers says for each maker that is seen in the namespace of the calling
// thread how it is asked to end a service.
func seenMakers(space *host.Space) []string {
	var out []string
	if slices.ContainsFunc(space.Ifaces, func(i host.Iface) bool { return i.Name == kubeInterface }) {
		out = append(out, "kube-proxy makes services here (interface "+kubeInterface+"): delete or change the Service (kubectl get svc -A)")
	}
	if strings.HasPrefix(space.Netns, "/run/docker/netns/") || strings.HasPrefix(space.Netns, "/var/run/docker/netns/") {
		out = append(out, "Docker Swarm makes services here: docker service ls, and docker service update --publish-rm or docker service rm")
	}
	here, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return out
	}
	programs, _ := filepath.Glob("/proc/[1-9]*/comm")
	for _, path := range programs {
		comm, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		i := slices.IndexFunc(makers(), func(m maker) bool { return m.name == strings.TrimSpace(string(comm)) })
		if i < 0 {
			continue
		}
		dir := filepath.Dir(path)
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if there, err := os.Readlink(dir + "/ns/net"); err == nil && there == here && !among(out, makers()[i].name) {
			out = append(out, fmt.Sprintf("%s runs here (pid %d): %s", makers()[i].name, pid, makers()[i].how))
		}
	}
	return out
}

// among says whether a maker is named already: several processes of one run.
func among(said []string, name string) bool {
	return slices.ContainsFunc(said, func(s string) bool { return strings.HasPrefix(s, name+" ") })
}
