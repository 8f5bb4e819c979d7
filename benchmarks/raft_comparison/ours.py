"""This project's driver as the comparison sees it: synced, with mutual TLS, whatever is measured."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.raft_comparison.replicas import HEADER_BYTES, NODES, figures
from benchmarks.raft_loop import Joiner, write_certificates
from memraft_cluster.driver import DriverConfig, GroupSpec, MultiRaft
from memraft_cluster.errors import ClusterError
from memraft_cluster.log import DurableLog
from memraft_cluster.state_machine import Volatile
from memraft_cluster.tls import TlsFiles
from memraft_cluster.transport import Peer, Transport, TransportConfig

GROUP = 0
TELL_INTERVAL_S = 0.002
RETRY_S = 0.01


class Numbers(Volatile):
    """A set of the numbers that were proposed."""

    def __init__(self, command_bytes: int) -> None:
        self.numbers: set[int] = set()
        self._command_bytes = command_bytes

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        """Takes in the commands of one entry."""
        for at in range(0, len(data), self._command_bytes):
            self.numbers.add(int.from_bytes(data[at : at + HEADER_BYTES], "big"))
        return () if local is None else range(len(local))


class Node:
    """One replica and the requests it answers."""

    def __init__(self, driver: MultiRaft, machine: Numbers, command_bytes: int, pipe: Connection) -> None:
        self._driver, self._machine, self._pipe = driver, machine, pipe
        self._padding = bytes(command_bytes - HEADER_BYTES)

    async def serve(self) -> None:
        """Answers until it is killed."""
        loop = asyncio.get_running_loop()
        while True:
            request, *arguments = await loop.run_in_executor(None, self._pipe.recv)
            if request == "ready":
                self._pipe.send(self._driver.has_caught_up(GROUP))
            elif request == "leads":
                self._pipe.send(self._driver.is_leader(GROUP))
            elif request == "missing":
                self._pipe.send(len(arguments[0] - self._machine.numbers))
            elif request == "cut_applied":
                self._pipe.send(0)  # its log refuses to: that would end the process
            elif request == "one":
                self._pipe.send(await self._is_acknowledged(*arguments))
            elif request == "load":
                await self._load(*arguments)

    async def _is_acknowledged(self, number: int) -> bool:
        try:
            await self._driver.propose(GROUP, number.to_bytes(HEADER_BYTES, "big") + self._padding, None)
        except ClusterError:
            return False
        return True

    async def _load(self, seconds: float, inflight: int, first: int, tell: bool) -> None:
        latencies_s: list[float] = []
        acknowledged: list[int] = []
        numbers = iter(range(first, 1 << 62))
        failed = 0
        began = time.perf_counter()
        until = began + seconds

        async def caller() -> None:
            nonlocal failed
            while (asked := time.perf_counter()) < until:
                number = next(numbers)
                if await self._is_acknowledged(number):
                    latencies_s.append(time.perf_counter() - asked)
                    if tell:
                        acknowledged.append(number)
                else:
                    failed += 1
                    await asyncio.sleep(RETRY_S)

        async def teller() -> None:
            while True:
                await asyncio.sleep(TELL_INTERVAL_S)
                if acknowledged:
                    self._pipe.send(acknowledged)
                    acknowledged.clear()

        telling = asyncio.create_task(teller())
        await asyncio.gather(*(caller() for _ in range(inflight)))
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
        self._pipe.send(figures(latencies_s, time.perf_counter() - began, failed))


async def _run(node: int, ports: Sequence[int], folder: Path, command_bytes: int, pipe: Connection) -> None:
    certificates = folder / "certificates"
    own = str(certificates / f"n{node}")
    tls = TlsFiles(str(certificates / "ca.pem"), f"{own}.pem", f"{own}.key", "bench")
    peers = tuple(Peer(each, f"n{each}", "127.0.0.1", ports[each - 1]) for each in NODES)
    machine = Numbers(command_bytes)
    driver = MultiRaft(
        DriverConfig(node),
        DurableLog(folder / f"data{node}", cluster="bench", node=f"n{node}"),
        Transport(TransportConfig("bench", node, peers, tls)),
        {GROUP: GroupSpec(machine, Joiner(), voters=NODES)},
    )
    await driver.start()
    await Node(driver, machine, command_bytes, pipe).serve()


def replica(
    node: int, ports: Sequence[int], folder: str, command_bytes: int, on_disk: bool, pipe: Connection
) -> None:
    """One process. It is on disk in any case: there is no other mode."""
    logging.disable(logging.WARNING)
    _make_certificates(Path(folder) / "certificates")
    asyncio.run(_run(node, ports, Path(folder), command_bytes, pipe))


def _make_certificates(folder: Path) -> None:
    """The first process makes them for all, the others wait until they are there."""
    try:
        folder.with_name("making").mkdir()
    except FileExistsError:
        while not folder.exists():
            time.sleep(RETRY_S)
        return
    staged = folder.with_name("staged")
    staged.mkdir()
    write_certificates(staged)
    staged.rename(folder)
