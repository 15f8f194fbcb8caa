# A host whose containers relay to the backend, in network, PID and mount
# namespaces of its own. host.sh ENGINE DIR NATWARDEN BACKEND: what happens goes to DIR.
set -eu
engine=$1 D=$2 natwarden=$3 backend=$4
mount -t tmpfs none /run
mkdir -p /run/netns /run/lock
listens() { for _ in $(seq 100); do ss -lnt | grep -q ":$1 " && return; sleep 0.1; done; echo "nobody listens on $1"; exit 1; }

case $engine in
docker)
	dockerd --data-root "$D/data" --exec-root /run/exec --pidfile /run/dockerd.pid -H unix:///var/run/docker.sock --storage-driver vfs >"$D/dockerd.log" 2>&1 &
	dockerd=$!
	end() { docker ps -aq | xargs -r docker rm -f >/dev/null || true; kill "$dockerd" && wait "$dockerd" || true; }
	trap end EXIT
	for _ in $(seq 200); do docker version >/dev/null 2>&1 && break; sleep 0.1; done
	;;
podman)
	# natwarden takes podman's own places: they are covered.
	mkdir -p /var/lib/cni /etc/cni/net.d /var/lib/containers /etc/containers
	for kept in /var/lib/cni /etc/cni/net.d /var/lib/containers /etc/containers; do mount -t tmpfs none $kept; done
	cat >/etc/containers/containers.conf <<-X
		[containers]
		default_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]
		[engine]
		runtime = "runc"
		cgroup_manager = "cgroupfs"
		events_logger = "file"
	X
	echo '{"default": [{"type": "insecureAcceptAnything"}]}' >/etc/containers/policy.json
	printf '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' >/etc/containers/storage.conf
	trap 'podman rm -af -t 0 >/dev/null || true' EXIT
	;;
esac

# shellcheck disable=SC2046
tar -ch -C / usr/bin/socat $(ldd /usr/bin/socat | grep -o '/[^ )]*' | cut -c2-) | $engine import -c 'ENTRYPOINT ["/usr/bin/socat"]' - relay >/dev/null 2>&1
image=relay
[ "$engine" = docker ] || image=localhost/relay:latest
$engine run -d --name web --network host "$image" TCP-LISTEN:8080,fork,reuseaddr "TCP:$backend" >/dev/null
listens 8080

try() { # try NAME ARGS...: the output and the exit code
	name=$1; shift
	set +e
	"$natwarden" "$@" >"$D/$name.out" 2>"$D/$name.err" </dev/null
	echo $? >"$D/$name.code"
	set -e
}
state() { $engine inspect -f '{{.State.Status}}' web >"$D/$1"; }
remedy="remediate --policy builtin --state-dir $D/state --netns current"
# shellcheck disable=SC2086
{
	try found audit --policy builtin --netns current -o json
	try spared $remedy --include processes --yes --no-confirm
	try plan $remedy --include containers --dry-run
	state planned
	try stop $remedy --include containers --yes --no-confirm
	state stopped
	try clean audit --policy builtin --netns current
	try start rollback --yes --state-dir "$D/state"
	state started
	listens 8080
	touch "$D/again"
	until [ -e "$D/asked" ]; do sleep 0.05; done # somebody outside uses the relay
	try again audit --policy builtin --netns current
	$engine stop -t 0 web >/dev/null 2>&1
	$engine run -d --rm --name passing --network host "$image" TCP-LISTEN:8081,fork,reuseaddr "TCP:$backend" >/dev/null
	listens 8081
	try passing $remedy --include containers --yes --no-confirm
	listens 8081
	touch "$D/done"
}
