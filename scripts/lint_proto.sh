#!/usr/bin/env bash
# buf lint on the contract. buf comes as an npm package; where node or the package cannot be had, the step
# is skipped and says so: the .proto files are still compiled and compared by generate_proto.py.
set -euo pipefail
package="$1"
if ! command -v npx >/dev/null; then
    echo "buf lint: skipped, npx (node) is not installed"
    exit 0
fi
if ! npx --yes --loglevel=error "$package" --version >/dev/null 2>&1; then
    echo "buf lint: skipped, the npm package $package could not be had"
    exit 0
fi
npx --yes --loglevel=error "$package" lint
echo "buf lint: the contract follows STANDARD"
