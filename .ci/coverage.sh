#!/usr/bin/env bash
# Writes docs/coverage.md: for every active case of the shared matrix, which of
# ss, iptables-save, `nft list ruleset` and natwarden shows it. Real rules, real
# sockets, in network namespaces of the scenarios' own.
#
#	.ci/coverage.sh [REGEX]      root; the shared folder beside the checkout
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
shared=$(cd ../shared && pwd)
only=${1:-.}
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
export HS_RUN=$temp/run
mkdir -p "$HS_RUN"

go build -o "$temp/natwarden" ./cmd/natwarden
python3 "$shared/matrix/accept.py" --bin "$temp/natwarden" --level detect --only "$only" --out "$temp/rows.jsonl" >"$temp/log" || true

for script in "$shared"/matrix/scenarios/*.sh; do
	name=$(basename "$script" .sh)
	[[ $name =~ $only ]] || continue
	bash "$script" meta | grep -qP '^verdict\tactive' || continue
	bash "$script" up "cv${name%%-*}" >/dev/null 2>&1 || { echo "$name skip" >>"$temp/measured"; continue; }
	bash "$script" prove "cv${name%%-*}" >/dev/null 2>&1 || true
	echo "$name $(bash "$script" measure "cv${name%%-*}" 2>/dev/null)" >>"$temp/measured"
	bash "$script" down "cv${name%%-*}" >/dev/null 2>&1
done

python3 - "$temp/rows.jsonl" "$temp/measured" "$shared/matrix/scenarios" >docs/coverage.md <<'PY'
import json, os, re, sys
rows = {r["id"]: r for r in map(json.loads, open(sys.argv[1]))}
title = lambda n: re.search(r"^# title: (.*)", open(os.path.join(sys.argv[3], n + ".sh")).read(), re.M)[1]
tools = ["ss", "iptables-save", "nft"]
out, count = [], dict.fromkeys(tools + ["none", "natwarden"], 0)
for line in open(sys.argv[2]):
    name, *words = line.split()
    if words == ["skip"] or "skip" in rows.get(name, {}):
        continue
    said = dict(w.split("=") for w in words)
    named = rows.get(name, {}).get("detect") == "named"
    for t in tools:
        count[t] += said.get(t) == "shows"
    count["none"] += all(said.get(t) != "shows" for t in tools)
    count["natwarden"] += named
    out.append(f"| {title(name)} | " + " | ".join(said.get(t, "?") for t in tools) + f" | {'names it' if named else rows.get(name, {}).get('detect', '?')} |")
print("""# What shows which redirect

Made by `.ci/coverage.sh` on real rules, sockets and programs in network
namespaces. *shows*: the tool's output holds the evidence; *hint*: it changed, but
without the evidence; *misses*: it did not change. natwarden *names it* when mechanism,
port and destination are right.
""")
print(f"{len(out)} active cases: ss shows {count['ss']}, iptables-save {count['iptables-save']}, nft list ruleset {count['nft']}, "
      f"none of the three {count['none']}; natwarden names {count['natwarden']}.\n")
print("| case | ss -tulnp | iptables-save | nft list ruleset | natwarden audit |\n| --- | --- | --- | --- | --- |")
print("\n".join(out))
PY
tail -n +9 docs/coverage.md | head -2
