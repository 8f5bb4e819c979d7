#!/usr/bin/env bash
# Installs the gRPC of Node.js into build/interop, for tests/interop/test_grpc_js.py. Where node, npm or the package
# cannot be had, it says so and succeeds: the tests are skipped then and give the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
package="$1"
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    echo "grpc-js: skipped, node or npm is not installed"
    exit 0
fi
mkdir -p build/interop
if ! npm install --prefix build/interop --no-audit --no-fund --loglevel=error "$package"; then
    echo "grpc-js: skipped, the npm package $package could not be had"
fi
