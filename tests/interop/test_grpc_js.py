"""The gRPC of Node.js, another than grpcio's, calls either engine. `make interop` installs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.interop.serving import Serving

HERE = Path(__file__).resolve().parent
MODULES = HERE.parent.parent / "build" / "interop" / "node_modules"


def run_script(serving: Serving) -> None:
    """Runs grpc_js.js against a server."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (MODULES / "@grpc" / "grpc-js").is_dir():
        pytest.skip("@grpc/grpc-js is not installed: make interop does it")
    arguments = [node, str(HERE / "grpc_js.js"), serving.address]
    if serving.certificates is not None:
        arguments.append(str(serving.certificates.directory / "agent"))
    environment = os.environ | {"NODE_PATH": str(MODULES)}
    ended = subprocess.run(
        arguments, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count(": right") == 10


def test_grpc_js_calls_with_a_certificate(serving: Serving) -> None:
    run_script(serving)


def test_grpc_js_calls_in_plain_text(plain: Serving) -> None:
    run_script(plain)
