"""Where a write's microseconds go on a node, below what serves its calls.

Starts three real nodes as processes of this machine (mutual TLS, synced logs, machines, stores) and has the
process of the one that leads the shard call its own service, as a serving engine would: bytes in, a reply
out, so many calls under way, the next one from the callback of the one before. No call travels, so that what
is counted is the write path alone: parse, admission, log, network, machine, projection, store. Prints one
JSON object::

    python benchmarks/write_path.py --seconds 5 --callers 1 64 256 --load put batch

``leader_us``, ``follower_us`` are the processor's microseconds for one document, of all threads of a process,
as the kernel counts them: on a machine that does other work they say more than the rate. ``--spy DIRECTORY``
has py-spy record flame graphs of the leader and of one follower meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from memraft_proto.methods import METHODS
from memraft_proto.v1 import batch_pb2, kv_pb2
from memraft_server.admission.identity import Caller, Role
from memraft_server.cli.devcluster import DevCluster
from memraft_server.config import load
from memraft_server.loops import new_event_loop
from memraft_server.node import Node, tune_collector

NODES = 3
NAMESPACE = "acme/bench"
VALUE = b'{"text":"%b"}' % (b"x" * 89)
OPERATIONS_A_BATCH = 100
START_TIMEOUT_S = 30.0


class Load:
    """Calls of one kind, each with its client's number, as a client library makes them."""

    def __init__(self, node: Node, kind: str) -> None:
        self.documents = OPERATIONS_A_BATCH if kind == "batch" else 1
        self._call = node.service.call_bytes
        self._method = METHODS["Batch" if kind == "batch" else "Put"]
        self._caller = Caller(Role.AGENT, "bench", "acme")
        self._client = os.urandom(16)
        self._numbers = itertools.count(1)
        self._open: dict[int, None] = {}
        self._kind = kind
        self.durations_s: list[float] = []
        self._ends = 0.0
        self._running = 0
        self._done: asyncio.Future[None]

    def _request(self, number: int) -> bytes:
        first = next(iter(self._open))
        if self._kind == "batch":
            request: Any = batch_pb2.BatchRequest(namespace=NAMESPACE)
            for each in range(OPERATIONS_A_BATCH):
                put = request.operations.add().put
                put.key, put.value = f"b/{number:07d}/{each:03d}", VALUE
        else:
            request = kv_pb2.PutRequest(namespace=NAMESPACE, key=f"c/{number:09d}", value=VALUE)
        context = request.context
        context.client_id, context.request_number = self._client, number
        context.first_unanswered = first
        encoded: bytes = request.SerializeToString()
        return encoded

    async def run(self, callers: int, seconds: float) -> float:
        """Keeps so many calls under way; returns how many seconds it took."""
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        self.durations_s = []
        began = time.perf_counter()
        self._ends = began + seconds
        self._running = callers
        for _ in range(callers):
            self._begin(loop)
        await self._done
        return time.perf_counter() - began

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        began = time.perf_counter()
        number = next(self._numbers)
        self._open[number] = None
        outcome = self._call(self._caller, self._method, self._request(number))
        future = asyncio.ensure_future(outcome, loop=loop)  # type: ignore[arg-type]

        def answered(done: asyncio.Future[Any]) -> None:
            error = done.exception()
            if error is not None:
                if not self._done.done():
                    self._done.set_exception(error)
                return
            done.result().SerializeToString()
            del self._open[number]
            now = time.perf_counter()
            self.durations_s.append(now - began)
            if now < self._ends:
                self._begin(loop)
                return
            self._running -= 1
            if not self._running and not self._done.done():
                self._done.set_result(None)

        future.add_done_callback(answered)


async def serve(name: str, directory: Path, control: Connection, args: argparse.Namespace) -> None:
    """One node, which does what it is told until it is told to stop."""
    config = directory / "nodes" / name / "node.toml"
    if args.raft:
        with config.open("a") as file:
            file.write("\n".join(["", "[raft]", *args.raft, ""]))
    node = Node(load(config))
    await node.start()
    try:
        tune_collector()
        control.send(os.getpid())
        await obey(node, control)
    finally:
        await node.stop()


async def obey(node: Node, control: Connection) -> None:
    loop = asyncio.get_running_loop()
    loads: dict[str, Load] = {}
    while (told := await loop.run_in_executor(None, control.recv)) is not None:
        if told == "leads":
            shard = node.service._shard_of(NAMESPACE)
            control.send(node.driver.is_leader(shard) and not node.not_ready())
            continue
        kind, callers, seconds = told
        if kind not in loads:
            loads[kind] = Load(node, kind)
        current = loads[kind]
        counters = node.driver.counters
        syncs, turns, entries = counters.syncs_total, counters.turns_total, counters.entries_applied_total
        took_s = await current.run(callers, seconds)
        latencies = sorted(current.durations_s)
        syncs = counters.syncs_total - syncs
        control.send(
            {
                "calls": len(latencies),
                "documents_per_s": round(len(latencies) * current.documents / took_s),
                "p50_ms": round(latencies[len(latencies) // 2] * 1000, 3),
                "p99_ms": round(latencies[int(len(latencies) * 0.99)] * 1000, 3),
                "calls_per_sync": round(len(latencies) / max(1, syncs), 1),
                "calls_per_turn": round(len(latencies) / (counters.turns_total - turns), 1),
                "calls_per_entry": round(
                    len(latencies) / max(1, counters.entries_applied_total - entries), 1
                ),
            }
        )


def node_process(name: str, directory: Path, control: Connection, args: argparse.Namespace) -> None:
    with asyncio.Runner(loop_factory=lambda: new_event_loop(args.event_loop)) as runner:
        runner.run(serve(name, directory, control, args))


def cpu_s(process: int) -> float:
    """Processor seconds of all threads of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spied(directory: str, names: dict[str, int], seconds: float, title: str) -> list[subprocess.Popen[bytes]]:
    """Flame graphs of processes, by name, while they work."""
    spy = shutil.which("py-spy") or str(Path(os.sys.executable).parent / "py-spy")  # type: ignore[attr-defined]
    return [
        subprocess.Popen(
            [spy, "record", "--nonblocking", "--rate", "400", "--duration", str(int(seconds)),
             "--format", form, "--output", f"{directory}/{title}-{name}.{end}", "--pid", str(process)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for name, process in names.items()
        for form, end in (("raw", "txt"),)
    ]  # fmt: skip


def leader_of(ask: Callable[[int, object], Any]) -> int:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        for number in range(NODES):
            if ask(number, "leads"):
                return number
        time.sleep(0.1)
    raise TimeoutError(f"nobody came to lead within {START_TIMEOUT_S:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--load", nargs="+", default=["put"], choices=["put", "batch"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--raft", nargs="*", metavar="SETTING=VALUE", help="of every node's [raft]")
    parser.add_argument("--event-loop", choices=["auto", "asyncio", "uvloop"], default="auto")
    parser.add_argument("--spy", metavar="DIRECTORY")
    args = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        cluster = DevCluster.open(Path(name) / "cluster", nodes=NODES, shards=1)
        nodes = [each.name for each in cluster.plan.nodes]
        pipes = [context.Pipe() for _ in nodes]
        processes = [
            context.Process(target=node_process, args=(node, cluster.directory, pipe[1], args), daemon=True)
            for node, pipe in zip(nodes, pipes, strict=True)
        ]
        for process, pipe in zip(processes, pipes, strict=True):
            process.start()
            pipe[1].close()  # so that the end of a node is the end of its pipe

        def answer(number: int) -> Any:
            try:
                return pipes[number][0].recv()
            except EOFError:
                raise SystemExit(f"node {nodes[number]} ended; what it says is above") from None

        def ask(number: int, told: object) -> Any:
            pipes[number][0].send(told)
            return answer(number)

        ids = [answer(number) for number in range(NODES)]
        leader = leader_of(ask)
        time.sleep(4)  # leadership goes to the preferred node
        leader = leader_of(ask)
        results = []
        for kind in args.load:
            ask(leader, (kind, 64, 1.0))
            for _ in range(args.rounds):
                results += [measured(ask, ids, leader, kind, callers, args) for callers in args.callers]
        for pipe in pipes:
            pipe[0].send(None)
        for process in processes:
            process.join(10)
    for result in results:
        print(json.dumps(result))


def measured(
    ask: Callable[[int, object], Any],
    ids: list[int],
    leader: int,
    kind: str,
    callers: int,
    args: argparse.Namespace,
) -> dict[str, Any]:
    follower = (leader + 1) % NODES
    spies = []
    if args.spy:
        watched = {"leader": ids[leader], "follower": ids[follower]}
        spies = spied(args.spy, watched, args.seconds, f"{kind}-{callers}")
    before = [cpu_s(each) for each in ids]
    found = ask(leader, (kind, callers, args.seconds))
    spent = [cpu_s(each) - at for each, at in zip(ids, before, strict=True)]
    for spy in spies:
        spy.wait()
    documents = found["calls"] * (OPERATIONS_A_BATCH if kind == "batch" else 1)
    each_us = [round(seconds / documents * 1e6, 2) for seconds in spent]
    others = [us for number, us in enumerate(each_us) if number != leader]
    return {"load": kind, "callers": callers, **found, "leader_us": each_us[leader], "follower_us": others}


if __name__ == "__main__":
    main()
