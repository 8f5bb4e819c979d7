"""The lean client calls a server of another make: the gRPC of Node.js. `make interop` installs it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from memraft._lean.calls import LeanRpcError
from tests.interop.test_grpc_js import HERE, MODULES
from tests.unit.client_lean.servers import FACADES, HOST, Channel, Files


@pytest.fixture(scope="module", params=("plain text", "TLS"))
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path | None]]:
    """Its address, and the certificates that a client needs."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (MODULES / "@grpc" / "grpc-js").is_dir():
        pytest.skip("@grpc/grpc-js is not installed: make interop does it")
    files = Files(tmp_path_factory.mktemp("files")) if request.param == "TLS" else None
    arguments = [node, str(HERE / "grpc_js_server.js"), *([str(files.node)] if files is not None else [])]
    with subprocess.Popen(
        arguments, env=os.environ | {"NODE_PATH": str(MODULES)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        yield f"{HOST}:{int(process.stdout.readline())}", files.agent if files is not None else None
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.parametrize("facade", FACADES)
def test_calls_of_every_kind(facade: str, server: tuple[str, Path | None]) -> None:
    async def main() -> None:
        channel = Channel(facade, *server)
        for size in (0, 1, 20_000, 3 << 20):
            assert await channel.call(bytes(size)) == bytes(size)
        requests = [b"%d" % number for number in range(300)]
        assert await asyncio.gather(*map(channel.call, requests)) == requests
        with pytest.raises(LeanRpcError, match="käse 50 %") as raised:
            await channel.call("käse 50 %".encode(), "/s/Fail")
        assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert ("grpc-status-details-bin", b"\x00\xff\x01") in raised.value.trailing_metadata()
        with pytest.raises(LeanRpcError) as raised:
            await channel.call(b"", "/s/Wait", 0.2)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        with pytest.raises(LeanRpcError) as raised:
            await channel.call(b"", "/s/Nothing")
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await channel.follow(b"1000").rest() == [b"%d" % number for number in range(1_000)]
        endless = channel.follow(bytes(30_000), "/s/Endless")
        for _ in range(300):
            assert await endless.next() == bytes(30_000)
        endless.cancel()
        assert await channel.call(b"last") == b"last"
        await channel.close()

    asyncio.run(main())
