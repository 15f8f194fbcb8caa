# Shell functions of test.sh and .ci/run; sourced, not run.

# settle_environment makes a run independent of whoever starts it: locale, go
# flags, a missing HOME.
settle_environment() {
	export LC_ALL=C GOFLAGS= GOWORK=off
	export HOME="${HOME:-/root}"
	[ -d "$HOME" ] && [ -w "$HOME" ] || export HOME="${TMPDIR:-/tmp}"
	export PATH="$PATH:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin"
	command -v go >/dev/null || { echo "go is not on the PATH: install Go (https://go.dev/dl)" >&2; exit 1; }
	exec </dev/null
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
