package owner

import "github.com/natwarden/natwarden/internal/host"

// Advice says the right way to end a redirect, at its source: with the tool
// that made it, else the rule comes back.
func Advice(r *host.Redirect) string {
	if r.Owner != nil {
		if text := byManager(r.Owner.Kind); text != "" {
			return text
		}
	}
	return Command(r)
}

func byManager(kind string) string {
	switch kind {
	case "docker":
		return "end it in Docker: stop the container or publish the port no longer (docker ps; docker run without -p); a rule deleted by hand comes back, and docker-proxy goes on serving the port"
	case "podman":
		return "end it in Podman: remove the container or its published port (podman ps; podman rm)"
	case "kube-proxy", "calico", "cilium", "flannel":
		return "end it in Kubernetes: delete or change the Service or its endpoints (kubectl get svc -A); a rule deleted by hand comes back"
	case "istio":
		return "end it in Istio: take the pod out of the mesh or change its interception settings; a rule deleted by hand comes back with the pod"
	case "firewalld":
		return "end it in firewalld: firewall-cmd --list-all-zones, --remove-forward-port=…, and again with --permanent; a rule deleted by hand comes back at the next reload"
	case "ufw":
		return "end it in ufw: take it out of the *nat section of /etc/ufw/before.rules, then ufw reload"
	case "libvirt", "lxd":
		return "end it in the hypervisor's network configuration; a rule deleted by hand comes back when the network restarts"
	case "miniupnpd":
		return "end it in miniupnpd: a client of the network asked for this port by UPnP or NAT-PMP"
	}
	return ""
}
