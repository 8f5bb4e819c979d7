#!/usr/bin/env bash
# Installs what `make bench` compares with, on Debian: Redis and etcd, to be started by the benchmark alone. What
# cannot be had is left out: its rows in the report say so.
set -euo pipefail

declare -A packages=([redis-server]=redis-server [etcd]=etcd-server)
missing=()
for program in "${!packages[@]}"; do
    command -v "$program" > /dev/null || missing+=("${packages[$program]}")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "the benchmark misses ${missing[*]}: install these Debian packages as root" >&2
    exit 0
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Packages of services start them; this machine has no use for them beyond the benchmark.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > /dev/null; then
    echo "not all of ${missing[*]} could be installed: their rows in the report say so" >&2
fi
