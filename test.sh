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
# NATWARDEN_FUZZTIME=20s   how long each fuzz target runs, two at a time; 0 for not at all
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
unformatted=$(gofmt -l .)
[ -z "$unformatted" ] || { printf 'not formatted (gofmt -w):\n%s\n' "$unformatted"; exit 1; }
step "go vet"
go vet ./...
step "staticcheck"
go tool staticcheck ./...
step "go mod tidy -diff"
go mod tidy -diff
step "go test $race ./..."
# What is built for the race detector would sleep a second when it ends, also each
# natwarden that a test starts; a race that is just being reported is waited for
# all the same. Much of the tests is waiting: one package more than there are
# processors. First the programs of internal/bpf, which hang in the machine's cgroups
# for a moment and which every natwarden sees there; then the longest. What go vet
# looks at was looked at above.
export GORACE=${GORACE:-atexit_sleep_ms=0}
go test $race -vet=off -p "$(($(nproc) + 1))" -timeout 20m ./internal/bpf/... ./cmd/natwarden ./internal/trial ./...

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

# fuzz FOLDER TARGET runs one target. A worker that the end of the time meets in the
# middle of an input can be reported as "context deadline exceeded" without any
# failing input: that run is made again, once.
fuzz() {
	local said status=0
	said=$(fuzz_once "$@") || status=$?
	if [ "$status" != 0 ] && [[ $said = *"context deadline exceeded"* ]] && [[ $said != *"Failing input"* ]]; then
		said+=$'\nthe time ended in the middle of an input: once more\n'
		status=0
		said+=$(fuzz_once "$@") || status=$?
	fi
	[[ $said != *"no fuzz tests to fuzz"* ]] || status=1
	printf '%s\n' "-- $1 $2"$'\n'"$said"
	return "$status"
}
fuzz_once() {
	go test -vet=off -run '^$' -fuzz "^$2\$" -fuzztime "$fuzztime" -fuzzminimizetime 2s -parallel 1 "$1" </dev/null 2>&1
}

fuzz_targets() {
	grep -rlE '^func Fuzz[A-Za-z0-9_]*\(' --include='*_test.go' . | sort | while read -r file; do
		sed -nE "s|^func (Fuzz[A-Za-z0-9_]*)\(.*|$(dirname "$file") \1|p" "$file"
	done
}

export fuzztime=${NATWARDEN_FUZZTIME:-20s}
if [ "$fuzztime" != 0 ]; then
	step "fuzz targets, $fuzztime each, two at a time"
	export -f fuzz fuzz_once
	# shellcheck disable=SC2016
	fuzz_targets | xargs -P 2 -n 2 bash -c 'fuzz "$@"' fuzz || { step "a fuzz target failed"; exit 1; }
fi
step "all passed"
