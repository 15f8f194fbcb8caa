# An ordinary host, in network, PID and mount namespaces of its own: docker with
# two containers on a network of their own, podman, nginx, sshd, lldpd, dhclient,
# chrony.
# host.sh DIR NATWARDEN: what is found goes to DIR.
set -eu
D=$1 natwarden=$2
mount -t tmpfs none /run
mkdir -p /run/netns /run/sshd /run/lock "$D/www"
chmod 755 "$D/www"

ip link set lo up
dockerd --data-root "$D/data" --exec-root /run/exec --pidfile /run/dockerd.pid -H unix:///run/dockerd.sock --storage-driver vfs >"$D/dockerd.log" 2>&1 &
dockerd=$!
export DOCKER_HOST=unix:///run/dockerd.sock
for _ in $(seq 200); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
end() {
	[ -z "${podman:-}" ] || $podman rm -af -t 0 >/dev/null || true
	docker ps -aq | xargs -r docker rm -f >/dev/null || true
	kill "$dockerd" && wait "$dockerd" || true
}
trap end EXIT
tar -C "$D" -c web | docker import -c 'ENTRYPOINT ["/web"]' - web >/dev/null
docker network create shop >/dev/null
docker run -d --name db --network shop web >/dev/null
docker run -d --name front --network shop -p 8080:80 web >/dev/null

# Podman is a guest where it is installed; all that it keeps is put away.
front2=
if command -v podman >/dev/null && command -v runc >/dev/null; then
	mkdir -p /run/podman /var/lib/cni /etc/cni/net.d /var/lib/containers
	for kept in /var/lib/cni /etc/cni/net.d /var/lib/containers; do mount -t tmpfs none $kept; done
	cat >"$D/containers.conf" <<X
[containers]
default_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
X
	export CONTAINERS_CONF="$D/containers.conf"
	podman="podman --root $D/podman --runroot /run/podman --storage-driver vfs"
	tar -C "$D" -c web | $podman import -c 'ENTRYPOINT ["/web"]' - web >/dev/null 2>&1
	$podman network create pods >/dev/null
	$podman run -d --name front2 --network pods -p 8081:80 localhost/web:latest >/dev/null
	front2=$($podman inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' front2)
fi

cat >"$D/nginx.conf" <<X
user www-data; pid /run/nginx.pid; error_log /dev/null;
events {}
http { access_log off; server { listen 80; listen [::]:80; root $D/www; } }
X
nginx -c "$D/nginx.conf"
ssh-keygen -q -t ed25519 -N '' -f /run/hostkey
"$(command -v sshd)" -f /dev/null -h /run/hostkey -p 22
lldpd -d >"$D/lldpd.log" 2>&1 &
chronyd -x -d -f /dev/null >"$D/chrony.log" 2>&1 &
dhclient -d -sf /bin/true -lf /run/leases -pf /run/dhclient.pid eth0 >"$D/dhclient.log" 2>&1 &

# The containers ask docker's resolver, so that there are flows.
pid=$(docker inspect -f '{{.State.Pid}}' front)
nsenter -t "$pid" -n python3 - <<'X'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5)
s.sendto(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x02db\x00\x00\x01\x00\x01", ("127.0.0.11", 53))
assert len(s.recv(512)) > 12
X
for port in 22 80 8080 323; do
	for _ in $(seq 50); do ss -lntu | grep -q ":$port " && break; sleep 0.1; done
done
for _ in $(seq 50); do test "$(ss -0 -p | grep -cE 'lldpd|dhclient')" -gt 2 && break; sleep 0.1; done
touch "$D/up"
while [ ! -e "$D/asked" ]; do sleep 0.05; done # somebody outside uses the published port

try() { # try NAME ARGS...: the output and the exit code
	name=$1; shift
	set +e
	"$natwarden" "$@" >"$D/$name.out" 2>"$D/$name.err" </dev/null
	echo $? >"$D/$name.code"
	set -e
}
ip=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' front)
cat >"$D/policy.yaml" <<X
version: 1
allow:
  redirects:
    - {id: front, reason: the shop's front, owner: shop@example.org, permanent: true, match: {proto: tcp, ports: "8080", to: "$ip:80"}}
X
[ -z "$front2" ] || cat >>"$D/policy.yaml" <<X
    - {id: front2, reason: the second front, owner: shop@example.org, permanent: true, match: {proto: tcp, ports: "8081", to: "$front2:80"}}
X
echo "$front2" >"$D/front2"
iptables-save >"$D/before.rules"
try builtin audit --policy builtin -o json
try allowed audit --policy "$D/policy.yaml" -o json
try nopolicy remediate --yes --no-confirm --policy "$D/none.yaml" --state-dir "$D/state"
try noflag remediate --yes --no-confirm --state-dir "$D/state"
try remediate remediate --yes --no-confirm --policy "$D/policy.yaml" --state-dir "$D/state" -o json
iptables-save >"$D/after.rules"
