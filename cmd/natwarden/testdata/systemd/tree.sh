# tree.sh DIR PACKAGES: makes DIR a small Debian in which systemd is process 1.
# It is made beside its place and then named: half a tree is never taken for one.
set -eu
dir=$1
mkdir -p "$(dirname "$dir")"
exec 9>"$dir.lock"
flock 9
[ ! -d "$dir" ] || exit 0
half=$dir.half
rm -rf --one-file-system "$half"
debootstrap --variant=minbase --include="$2" bookworm "$half"
cd "$half"
rm -rf usr/share/doc usr/share/man usr/share/info usr/share/locale var/cache/apt var/lib/apt/lists
ln -sf /dev/null etc/systemd/system/apt-daily.timer
ln -sf /dev/null etc/systemd/system/apt-daily-upgrade.timer
rm -f etc/systemd/system/multi-user.target.wants/ssh.service
echo web1 >etc/hostname
printf '127.0.0.1 localhost web1\n' >etc/hosts
rm -f etc/resolv.conf etc/ssh/ssh_host_*
mv "$half" "$dir"
