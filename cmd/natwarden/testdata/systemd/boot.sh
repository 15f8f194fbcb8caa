# boot.sh TREE NAME: boots a tree with systemd as process 1, in the network
# namespace of the caller, a cgroup and a /run of its own. In a mount namespace of its own only.
set -eu
awk '$3 == "cgroup2" || $3 == "cgroup" && $4 ~ /name=systemd/ { print $2 }' /proc/self/mounts | while read -r top; do
	mkdir "$top/$2"
	echo $$ >"$top/$2/cgroup.procs"
done
mount -t tmpfs -o mode=755 none /run
exec systemd-nspawn --quiet -D "$1" --boot --register=no --keep-unit --machine="$2" \
	--network-namespace-path=/proc/self/ns/net --capability=all --system-call-filter=bpf --console=pipe
