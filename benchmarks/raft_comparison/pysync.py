"""PySyncObj as the comparison sees it, with the settings that served it best.

It neither encrypts nor authenticates here, and it never syncs: a power failure would lose more than the
SIGKILL of the campaign, which leaves the page cache alone. For throughput it keeps nothing on disk; for the
campaign it has a journal and a dump, as its documentation advises.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf, replicated

from benchmarks.raft_comparison.replicas import HEADER_BYTES, figures

_COMMON: dict[str, Any] = {"commandsQueueSize": 1_000_000}
AT_ONCE: dict[str, Any] = {**_COMMON, "appendEntriesUseBatch": False}
"""Every entry is sent at once, in a message of its own: best for one caller."""
BATCHED: dict[str, Any] = {
    **_COMMON,
    "appendEntriesUseBatch": True,
    "appendEntriesPeriod": 0.002,
    "autoTickPeriod": 0.001,
    "sendBufferSize": 4 << 20,
    "recvBufferSize": 4 << 20,
}
"""Entries gather for 2 ms, where the default is 100: best for many callers, of ten combinations tried."""
ONE_TIMEOUT_S = 5.0
TELL_INTERVAL_S = 0.002


class Numbers(SyncObj):  # type: ignore[misc]
    """A replicated set of the numbers that were added."""

    def __init__(self, own: str, others: list[str], conf: SyncObjConf) -> None:
        super().__init__(own, others, conf)
        self.numbers: set[int] = set()

    @replicated  # type: ignore[untyped-decorator]
    def add(self, number: int, padding: bytes) -> None:
        """Adds one number."""
        self.numbers.add(number)


class Cuts(logging.Handler):
    """Counts PySyncObj's messages that it truncates what it has applied, and shows no others."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Counts one record."""
        self.count += "truncating already-applied" in record.getMessage()


def replica(
    settings: dict[str, Any],
    node: int,
    ports: Sequence[int],
    folder: str,
    command_bytes: int,
    on_disk: bool,
    pipe: Connection,
) -> None:
    """One process: answers over its pipe until it is killed."""
    cuts = Cuts()
    logging.getLogger().addHandler(cuts)
    conf = SyncObjConf(**settings)
    if on_disk:
        conf.journalFile = f"{folder}/journal{node}"
        conf.fullDumpFile = f"{folder}/dump{node}"
    addresses = [f"127.0.0.1:{port}" for port in ports]
    own = addresses.pop(node - 1)
    numbers = Numbers(own, addresses, conf)
    padding = bytes(command_bytes - HEADER_BYTES)
    while True:
        request, *arguments = pipe.recv()
        if request == "ready":
            pipe.send(numbers.isReady())
        elif request == "leads":
            pipe.send(str(numbers._getLeader()) == own)
        elif request == "missing":
            pipe.send(len(arguments[0] - numbers.numbers))
        elif request == "cut_applied":
            pipe.send(cuts.count)
        elif request == "one":
            pipe.send(_is_acknowledged(numbers, arguments[0], padding))
        elif request == "load":
            _load(numbers, pipe, padding, *arguments)


def _is_acknowledged(numbers: Numbers, number: int, padding: bytes) -> bool:
    answered = threading.Event()
    errors: list[Any] = []

    def done(result: Any, error: Any) -> None:
        errors.append(error)
        answered.set()

    numbers.add(number, padding, callback=done)
    return answered.wait(ONE_TIMEOUT_S) and errors[0] == FAIL_REASON.SUCCESS


def _load(
    numbers: Numbers, pipe: Connection, padding: bytes, seconds: float, inflight: int, first: int, tell: bool
) -> None:
    slots = threading.Semaphore(inflight)
    latencies_s: list[float] = []
    acknowledged: list[int] = []
    failed = 0

    def add(number: int) -> None:
        asked = time.perf_counter()

        def done(result: Any, error: Any) -> None:
            nonlocal failed
            if error == FAIL_REASON.SUCCESS:
                latencies_s.append(time.perf_counter() - asked)
                acknowledged.append(number)
            else:
                failed += 1
            slots.release()

        numbers.add(number, padding, callback=done)

    began = told = time.perf_counter()
    number = first
    while (now := time.perf_counter()) - began < seconds:
        if tell and now - told > TELL_INTERVAL_S and acknowledged:
            # Only this thread takes from the list, only PySyncObj's appends to it.
            count = len(acknowledged)
            pipe.send(acknowledged[:count])
            del acknowledged[:count]
            told = now
        if slots.acquire(timeout=TELL_INTERVAL_S):
            add(number)
            number += 1
    for _ in range(inflight):
        slots.acquire(timeout=ONE_TIMEOUT_S)
    pipe.send(figures(latencies_s, time.perf_counter() - began, failed))
