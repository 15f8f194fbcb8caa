# shellcheck shell=bash
# Shell functions of test.sh and .ci/run; sourced, not run.

# settle_environment makes a run independent of whoever starts it: locale, go
# flags, a missing HOME.
settle_environment() {
	export LC_ALL=C GOFLAGS='' GOWORK=off
	export HOME="${HOME:-/root}"
	{ [ -d "$HOME" ] && [ -w "$HOME" ]; } || export HOME="${TMPDIR:-/tmp}"
	export PATH="$PATH:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin"
	command -v go >/dev/null || { echo "go is not on the PATH: install Go (https://go.dev/dl)" >&2; exit 1; }
	exec </dev/null
}

# scratch_folder makes a folder, $scratch, that goes with the script, together with
# all that runs beside it, whatever ends the script.
scratch_folder() {
	scratch=$(mktemp -d)
	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	trap 'exit 129' HUP
}

# beside NAME COMMAND... runs a command in the background, and keeps what it prints
# until await NAME. It has a process group of its own, by which all of it is ended,
# and a temporary folder of its own in $scratch.
declare -A beside=()
beside() {
	local name=$1
	shift
	mkdir "$scratch/$name"
	set -m
	TMPDIR=$scratch/$name "$@" >"$scratch/$name.log" 2>&1 &
	set +m
	beside[$name]=$!
}

# await NAME prints what the command beside said, and gives its exit code.
await() {
	local status=0
	wait "${beside[$1]}" || status=$?
	unset "beside[$1]"
	cat "$scratch/$1.log"
	return "$status"
}

# clean_up ends what still runs beside: by TERM, and what is deaf to that (unshare,
# the first process of a PID namespace) by KILL.
clean_up() {
	local signal pid
	if [ ${#beside[@]} != 0 ]; then
		for signal in TERM KILL; do
			for pid in "${beside[@]}"; do kill "-$signal" -- "-$pid" || true; done
			[ "$signal" = KILL ] || sleep 2
		done
		wait
	fi 2>/dev/null
	rm -rf "$scratch"
}

# install_missing installs those of the named Debian packages that are not
# there. A policy-rc.d keeps their services from being started, and is taken
# away again (or put back as it was) whatever happens.
install_missing() {
	[ "${NATWARDEN_NO_INSTALL:-}" != 1 ] || return 0
	command -v apt-get >/dev/null || { echo "no apt-get here: not installed, but needed: $*"; return 0; }
	local missing=() package
	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || { echo "all there"; return 0; }
	echo "installing: ${missing[*]}"
	(
		rc=/usr/sbin/policy-rc.d
		restore() { rm -f "$rc"; [ ! -e "$rc.before-natwarden" ] || mv "$rc.before-natwarden" "$rc"; }
		[ ! -e "$rc" ] || mv "$rc" "$rc.before-natwarden"
		trap restore EXIT
		trap 'exit 1' INT TERM HUP
		printf '#!/bin/sh\nexit 101\n' >"$rc"
		chmod 755 "$rc"
		export DEBIAN_FRONTEND=noninteractive
		log=$(mktemp)
		if ! { apt-get -q update && apt-get -yq --no-install-recommends install "${missing[@]}"; } >"$log" 2>&1; then
			tail -n 30 "$log" >&2
			rm -f "$log"
			exit 1
		fi
		rm -f "$log"
	)
}

# fetch_kernels DIR unpacks Debian's cloud kernels, the one of this release and
# the one of its backports, below DIR, and prints their folders with a colon
# between. Nothing is installed, and no hook of a package runs.
fetch_kernels() {
	[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || { echo "this is no Debian on amd64" >&2; return 0; }
	mkdir -p "$1"
	local backports=() uri name out=""
	[ -n "$(apt-cache show linux-image-cloud-amd64 2>/dev/null)" ] || apt-get -q update >&2 || true
	name=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	uri=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $name" "Created-By: Packages" 2>/dev/null | head -n 1)
	if [ -n "$uri" ]; then
		mkdir -p "$1/apt/lists/partial" "$1/apt/archives/partial"
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $name-backports main" >"$1/apt/sources.list"
		backports=(-o "Dir::Etc::sourcelist=$1/apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$1/apt/lists" -o "Dir::Cache=$1/apt")
		apt-get -q "${backports[@]}" update >&2 || echo "the backports of $name cannot be had: their kernel is left out" >&2
	fi
	fetch_kernel "$1" && out=$REPLY
	[ ${#backports[@]} = 0 ] || { fetch_kernel "$1" "${backports[@]}" && out=$out${out:+:}$REPLY; }
	echo "$out"
}

# fetch_kernel DIR [OPTION...] unpacks the newest cloud kernel that apt knows,
# unless it is there; its folder is REPLY.
fetch_kernel() {
	local dir=$1 package temp
	shift
	package=$(apt-cache "$@" depends linux-image-cloud-amd64 2>/dev/null | sed -nE 's/^ *Depends: (linux-image-[0-9].*)/\1/p' | head -n 1)
	[ -n "$package" ] || return 1
	REPLY=$dir/$package
	[ ! -d "$REPLY/boot" ] || return 0
	temp=$(mktemp -d)
	if (cd "$temp" && apt-get -q "$@" download "$package" && dpkg-deb -x ./*.deb new) >&2; then
		rm -rf "$REPLY" && mv "$temp/new" "$REPLY"
	else
		echo "the package $package cannot be had" >&2
		rm -rf "$temp"
		return 1
	fi
	rm -rf "$temp"
}
