#!/usr/bin/env bash
# The one command that tests natwarden: ./test.sh
#
# It does its own set-up: as root on Debian or Ubuntu it installs the packages
# that the tests drive and that are missing, without starting any service. Then
# gofmt, go vet, staticcheck, go mod tidy, every test under the race detector,
# some of them once more on other kernels in a virtual machine, and a while of
# each fuzz target. Everything that touches netfilter happens in
# network namespaces of the tests' own.
#
# NATWARDEN_FUZZTIME=10s   how long each fuzz target runs; 0 for not at all
# NATWARDEN_NO_INSTALL=1   install nothing
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. .ci/setup.sh
settle_environment

step() { printf '\n== %s\n' "$*"; }

if [ "$(id -u)" = 0 ]; then
	step "packages"
	# shellcheck disable=SC2046
	install_missing $(cat testdata/PACKAGES)
	export NATWARDEN_REQUIRE_LAB=1
else
	step "not root: every test that needs a network namespace is skipped"
fi

race=-race
if ! command -v "$(go env CC)" >/dev/null; then
	step "there is no C compiler: the tests run without the race detector"
	race=
fi

step "gofmt"
unformatted=$(gofmt -l $(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go'))
[ -z "$unformatted" ] || { printf 'not formatted (gofmt -w):\n%s\n' "$unformatted"; exit 1; }
step "go vet"
go vet ./...
step "staticcheck"
go tool staticcheck ./...
step "go mod tidy -diff"
go mod tidy -diff
step "go test $race ./..."
go test $race -timeout 15m ./...

# What this machine's kernel may lack, on kernels of Debian's: see internal/lab/qemu.
step "tests on Debian's kernels, in a virtual machine"
leave_out() {
	echo "SKIPPED: $1"
	[ "${NATWARDEN_REQUIRE_PARTNERS:-}" != 1 ] # .ci/run leaves nothing out
}
kernels=
if [ "$(id -u)" != 0 ]; then
	leave_out "not root"
elif ! (install_missing qemu-system-x86 ipvsadm xz-utils); then
	leave_out "qemu-system-x86, ipvsadm and xz-utils cannot be had"
elif ! kernels=$(fetch_kernels "${XDG_CACHE_HOME:-$HOME/.cache}/natwarden-kernels") || [ -z "$kernels" ]; then
	leave_out "no package of a kernel can be had"
else
	NATWARDEN_KERNELS=$kernels go test -count=1 -v -timeout 15m -run '^TestOnDebiansKernels$' ./internal/lab/qemu | sed '/^=== RUN/d'
fi

# fuzz runs one target. A worker that the end of the time meets in the middle of
# an input can be reported as "context deadline exceeded" without any failing
# input: that run is made again, once.
fuzz() {
	local log status=0
	log=$(mktemp)
	go test -run '^$' -fuzz "^$1\$" -fuzztime "$fuzztime" -fuzzminimizetime 2s -parallel 2 "$2" </dev/null >"$log" 2>&1 || status=$?
	cat "$log"
	if [ "$status" != 0 ] && grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; then
		echo "the time ended in the middle of an input: once more"
		status=0
		go test -run '^$' -fuzz "^$1\$" -fuzztime "$fuzztime" -fuzzminimizetime 2s -parallel 2 "$2" </dev/null || status=$?
	fi
	rm -f "$log"
	return "$status"
}

fuzztime=${NATWARDEN_FUZZTIME:-10s}
if [ "$fuzztime" != 0 ]; then
	step "fuzz targets, $fuzztime each"
	grep -rlE '^func Fuzz[A-Za-z0-9_]*\(' --include='*_test.go' . | sort | while read -r file; do
		for target in $(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$file"); do
			echo "-- $(dirname "$file") $target"
			fuzz "$target" "$(dirname "$file")"
		done
	done
fi
step "all passed"
