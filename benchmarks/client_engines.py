"""What a call costs the client, over each of its engines: `python -m benchmarks.client_engines`.

An empty service on our own HTTP/2, in a process of its own, answers each call with the request, 100 bytes,
under mutual TLS. CPU time, so that a busy machine changes little; engines take turns, the best round of each
counts.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from memraft._async import io as for_tasks
from memraft._async.remote import CHANNEL_OPTIONS
from memraft._sync import io as for_threads
from memraft._target import read_target
from memraft_proto.http2.connection import Connection, Limits
from memraft_proto.http2.frames import reply_packer
from memraft_proto.http2.headers import encode
from memraft_server import certs

HOST = "127.0.0.1"
MESSAGE = b"x" * 100
HEAD = encode(((b":status", b"200"), (b"content-type", b"application/grpc")))
TRAILERS = encode(((b"grpc-status", b"0"),))
PACKER = reply_packer(HEAD, TRAILERS)
ENGINES = ("grpcio", "lean")


class Echo(Connection, asyncio.Protocol):
    """A connection whose calls are answered with what they ask."""

    def __init__(self) -> None:
        super().__init__(Limits(), False)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self.take())

    def data_received(self, data: bytes) -> None:
        self.receive(data)
        if answers := self.take():
            self._transport.write(answers)

    def on_call(self, stream_id: int, head: Any, message: bytes) -> None:
        self.send_reply(PACKER, HEAD, stream_id, message, TRAILERS)

    def on_message(self, stream_id: int, message: bytes) -> None:
        self.streams[stream_id].owner = message

    def on_end(self, stream_id: int) -> None:
        self.on_call(stream_id, None, self.streams[stream_id].owner)


def serve(directory: Path, told: Pipe) -> None:
    """Serves until it is ended; tells its port first."""

    async def main() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "node/cert.pem", directory / "node/key.pem")
        context.load_verify_locations(directory / "node/ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["h2"])
        server = await asyncio.get_running_loop().create_server(Echo, HOST, 0, ssl=context)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def callable_of(channel: Any) -> Callable[..., Any]:
    """The callable of the one method."""
    same: Callable[[bytes], bytes] = bytes
    return channel.unary_unary("/s/Echo", request_serializer=same, response_deserializer=same)  # type: ignore[no-any-return]


def tasks_us(target: Any, callers: int, count: int) -> float:
    """CPU microseconds of a call of one of so many tasks."""

    async def main() -> float:
        channel = for_tasks.channel_opener(target, CHANNEL_OPTIONS)(target.addresses[0])
        call = callable_of(channel)

        async def calls(number: int) -> None:
            for _ in range(number):
                await call(MESSAGE, timeout=2.5)

        await calls(100)
        began_s = time.process_time()
        await asyncio.gather(*(calls(count // callers) for _ in range(callers)))
        spent_s = time.process_time() - began_s
        await channel.close()
        return spent_s / (count // callers * callers) * 1e6

    return asyncio.run(main())


def threads_us(target: Any, callers: int, count: int) -> float:
    """CPU microseconds of a call of one of so many threads."""
    channel = for_threads.channel_opener(target, CHANNEL_OPTIONS)(target.addresses[0])
    call = callable_of(channel)

    def calls(number: int) -> None:
        for _ in range(number):
            call(MESSAGE, timeout=2.5)

    calls(100)
    threads = [threading.Thread(target=calls, args=(count // callers,)) for _ in range(callers)]
    began_s = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent_s = time.process_time() - began_s
    channel.close()
    return spent_s / (count // callers * callers) * 1e6


def measure(directory: Path, rounds: int, count: int) -> None:
    """Prints one line for each facade and number of callers."""
    certs.init_ca(directory / "ca", "memraft.local")
    certs.issue_node(directory / "ca", directory / "node", "n1", [HOST])
    certs.issue_agent(directory / "ca", directory / "agent", "acme", "support")
    spawn = get_context("spawn")
    hears, told = spawn.Pipe(duplex=False)
    process = spawn.Process(target=serve, args=(directory, told), daemon=True)
    process.start()
    try:
        address = f"{HOST}:{hears.recv()}"
        targets = {
            engine: read_target(address, None, directory / "agent", False, 10.0, engine) for engine in ENGINES
        }
        print("| callers | grpcio, CPU us a call | lean, CPU us a call | ratio |\n|---|---|---|---|")
        for name, run, callers in (
            ("1 task", tasks_us, 1),
            ("64 tasks", tasks_us, 64),
            ("256 tasks", tasks_us, 256),
            ("1 thread", threads_us, 1),
            ("16 threads", threads_us, 16),
        ):
            best = {engine: float("inf") for engine in ENGINES}
            for _ in range(rounds):
                for engine in ENGINES:
                    best[engine] = min(best[engine], run(targets[engine], callers, count))
            grpcio, lean = (best[engine] for engine in ENGINES)
            print(f"| {name} | {grpcio:.0f} | {lean:.1f} | {grpcio / lean:.1f} |", flush=True)
    finally:
        process.terminate()
        process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=5_000, help="in each round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        measure(Path(directory), arguments.rounds, arguments.calls)


if __name__ == "__main__":
    main()
