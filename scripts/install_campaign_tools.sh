#!/usr/bin/env bash
# Installs what the fault campaign (`make campaign`) uses beyond Python, on Debian: packet filters, a library that
# makes system calls fail, one that makes clocks jump. What cannot be had is left out: the campaign skips the faults
# that need it, and says so in its table.
set -euo pipefail

declare -A packages=(
    [ip]=iproute2 [iptables]=iptables [nsenter]=util-linux [mount]=mount
    [fiu-ctrl]=fiu-utils [faketime]=faketime
)
missing=()
for program in "${!packages[@]}"; do
    command -v "$program" > /dev/null || missing+=("${packages[$program]}")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "the campaign misses ${missing[*]}: install these Debian packages as root" >&2
    exit 0
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > /dev/null; then
    echo "not all of ${missing[*]} could be installed: faults that need them are skipped" >&2
fi
