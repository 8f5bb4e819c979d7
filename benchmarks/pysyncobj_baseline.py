"""PySyncObj under the load of `raft_loop.py`, and what it has left after all its processes are killed.

It was measured as the consensus engine and set aside; here is how to see why. Three processes on this machine
replicate a list; the leader's process appends with a fixed number of commands in flight. Then, with a journal
and a dump on disk, all three are killed with SIGKILL while the leader appends, started again, and what they
then hold is compared with what had been acknowledged. Prints one JSON object::

    python benchmarks/pysyncobj_baseline.py --seconds 3 --inflight 1 64 256 --bytes 200 --kills 3

PySyncObj neither encrypts nor authenticates here, and it never syncs: a power failure would lose more than
the SIGKILL shown here does, which leaves the page cache alone. Entries are sent at once, not with the next
heartbeat: its default holds every command back for up to 100 ms. `applied_truncated` counts its own warnings
that it truncates entries which it has applied already.
"""

import argparse
import json
import logging
import multiprocessing
import socket
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pysyncobj import SyncObj, SyncObjConf, replicated

READY_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.05
COMPACT_AFTER_ENTRIES = 1_000
KILL_INFLIGHT = 64


class Numbers(SyncObj):  # type: ignore[misc]
    """A replicated set of the numbers that were appended."""

    def __init__(self, own: str, others: list[str], conf: SyncObjConf) -> None:
        super().__init__(own, others, conf)
        self.numbers: set[int] = set()

    @replicated  # type: ignore[untyped-decorator]
    def add(self, number: int, padding: bytes) -> None:
        """Adds one number."""
        self.numbers.add(number)


class Truncations(logging.Handler):
    """Counts PySyncObj's warnings that it truncates what it has applied, and shows no others."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Counts one record."""
        self.count += "truncating already-applied" in record.getMessage()


def replica(own: str, others: list[str], directory: str | None, pipe: Connection) -> None:
    """One process: answers `leader?`, `count` and `load` over its pipe until it is killed."""
    conf = SyncObjConf(autoTick=True, commandsQueueSize=1_000_000, appendEntriesUseBatch=False)
    if directory is not None:
        conf.journalFile = f"{directory}/journal"
        conf.fullDumpFile = f"{directory}/dump"
        conf.logCompactionMinEntries = COMPACT_AFTER_ENTRIES
    truncations = Truncations()
    logging.getLogger().addHandler(truncations)
    numbers = Numbers(own, others, conf)
    while True:
        request, *arguments = pipe.recv()
        if request == "leads":
            pipe.send(numbers.isReady() and str(numbers._getLeader()) == own)
        elif request == "ready":
            pipe.send(numbers.isReady())
        elif request == "missing":
            pipe.send(len(arguments[0] - numbers.numbers))
        elif request == "truncations":
            pipe.send(truncations.count)
        elif request == "load":
            load(numbers, pipe, *arguments)


def load(
    numbers: Numbers, pipe: Connection, seconds: float, inflight: int, padding: bytes, tell: bool
) -> None:
    """Keeps `inflight` commands under way; sends each number acknowledged if `tell`, and a summary."""
    slots = threading.Semaphore(inflight)
    latencies_s: list[float] = []
    failed = 0

    def add(number: int) -> None:
        began = time.perf_counter()

        def done(result: Any, error: Any) -> None:
            nonlocal failed
            if error:
                failed += 1
            else:
                latencies_s.append(time.perf_counter() - began)
                if tell:
                    pipe.send(number)
            slots.release()

        numbers.add(number, padding, callback=done)

    began = time.perf_counter()
    number = 0
    while time.perf_counter() - began < seconds:
        slots.acquire()
        add(number)
        number += 1
    for _ in range(inflight):
        slots.acquire()
    elapsed = time.perf_counter() - began
    ordered = sorted(latencies_s)
    pipe.send(
        {
            "commands_per_s": round(len(ordered) / elapsed),
            "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 3) if ordered else None,
            "failed": failed,
        }
    )


class Cluster:
    """Three processes and a pipe to each."""

    def __init__(self, addresses: list[str], directory: Path | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes: list[Connection] = []
        self.processes = []
        for number, own in enumerate(addresses):
            others = [address for address in addresses if address != own]
            home = None if directory is None else directory / str(number)
            if home is not None:
                home.mkdir(exist_ok=True)
            here, there = context.Pipe()
            process = context.Process(
                target=replica, args=(own, others, home and str(home), there), daemon=True
            )
            process.start()
            self.pipes.append(here)
            self.processes.append(process)

    def ask(self, number: int, *request: Any) -> Any:
        """Sends a request to one process and returns its answer."""
        self.pipes[number].send(request)
        return self.pipes[number].recv()

    def leader(self) -> int | None:
        """The number of the process that leads, once all are ready; None where they never are."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while time.monotonic() < deadline:
            if all(self.ask(number, "ready") for number in range(3)):
                for number in range(3):
                    if self.ask(number, "leads"):
                        return number
            time.sleep(POLL_INTERVAL_S)
        return None

    def kill(self) -> None:
        """Ends all processes with SIGKILL."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.join()


def free_addresses() -> list[str]:
    """Three addresses on this machine whose ports are free."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def throughput(seconds: float, inflight: int, padding: bytes, journal: bool) -> dict[str, Any]:
    """Acknowledged commands a second, on processes of their own."""
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(free_addresses(), Path(directory) if journal else None)
        try:
            leader = cluster.leader()
            if leader is None:
                return {"inflight": inflight, "journal": journal, "never_ready": True}
            answer = cluster.ask(leader, "load", seconds, inflight, padding, False)
            truncated = sum(cluster.ask(number, "truncations") for number in range(3))
            return {"inflight": inflight, "journal": journal, **answer, "applied_truncated": truncated}
        finally:
            cluster.kill()


def kill_all(seconds: float, padding: bytes) -> dict[str, Any]:
    """Kills all three under load, starts them again, and counts acknowledged numbers that are gone."""
    with tempfile.TemporaryDirectory() as directory:
        addresses = free_addresses()
        cluster = Cluster(addresses, Path(directory))
        leader = cluster.leader()
        if leader is None:
            cluster.kill()
            return {"never_ready": "at the first start"}
        pipe = cluster.pipes[leader]
        pipe.send(("load", 3600.0, KILL_INFLIGHT, padding, True))
        deadline = time.monotonic() + seconds
        acknowledged: set[int] = set()
        while time.monotonic() < deadline:
            acknowledged.add(pipe.recv())
        cluster.kill()
        again = Cluster(addresses, Path(directory))
        try:
            leader = again.leader()
            if leader is None:
                return {"acknowledged": len(acknowledged), "never_ready": "after the restart"}
            return {"acknowledged": len(acknowledged), "lost": again.ask(leader, "missing", acknowledged)}
        finally:
            again.kill()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--inflight", type=int, nargs="+", default=[1, 64, 256])
    parser.add_argument("--bytes", type=int, default=200)
    parser.add_argument("--kills", type=int, default=3)
    arguments = parser.parse_args()
    padding = b"x" * arguments.bytes
    rates = [
        throughput(arguments.seconds, inflight, padding, journal)
        for journal in (False, True)
        for inflight in arguments.inflight
    ]
    kills = [kill_all(arguments.seconds, padding) for _ in range(arguments.kills)]
    print(json.dumps({"bytes": arguments.bytes, "throughput": rates, "kill_all": kills}, indent=2))


if __name__ == "__main__":
    main()
