"""Receipts of recalls of a memory in process: gathered as on a node (`receipts`), written under the lock.

A memory in a directory has them written by a thread, which lives while there are some to write. It is no
daemon: a process that ends waits until it has written them. Without a directory nobody needs them before
somebody asks.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Protocol

from memraft_cluster.errors import DiskError
from memraft_proto.methods import KIND_RECORD_RECALLS
from memraft_proto.v1 import memory_pb2
from memraft_server.clock import steady_time_us
from memraft_server.machine import Command, Refused
from memraft_server.machine.handlers_receipts import receipts_over
from memraft_server.receipts import GATHER_MS, GATHERED_MAX, OVER_MAX, SWEEP_INTERVAL_S, Gathering, Make
from memraft_server.shard import Shard

GATHERED_IN_MEMORY_MAX = 16
"""Receipts that are written at once where no disk is: the recall that completes them takes as long as writing
all of them, and one in 64 would be among the slowest hundredth."""


class LocalShard(Shard, Protocol):
    """What is needed of the engine's shard."""

    ended: str
    disk_failure: str


class LocalOutbox:
    """The receipts of an embedded engine; see `recalls.Receipts`. Called with the lock held.

    Args:
        shard: the only one.
        lock: of the engine.
        is_durable: whether receipts are to be written though nobody asks for them.
    """

    def __init__(self, shard: LocalShard, lock: threading.RLock, is_durable: bool) -> None:
        self._shard = shard
        self._lock = lock
        self._is_durable = is_durable
        self._gathering = Gathering(GATHERED_MAX if is_durable else GATHERED_IN_MEMORY_MAX)
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._sweep_at_us = 0

    def answered(
        self,
        shard: Shard,
        agent: str,
        request: memory_pb2.RecallRequest,
        response: memory_pb2.RecallResponse,
    ) -> None:
        """Makes the receipt of a recall. With RECEIPT_MODE_NOW raises what a write raises."""
        gathering, is_now = self._gathering, request.receipt == memory_pb2.RECEIPT_MODE_NOW
        if self._shard.disk_failure and not is_now:
            return  # nothing is written any more
        if not gathering.add(self._shard.machine, agent, request, response):
            return
        if is_now:
            self._write()
        else:
            self._added()

    def noted(self, namespace: str, make: Make, size: int) -> str:
        """Has the receipt of a recall made once it is written; returns its id, empty where there is none.

        Args:
            namespace: where it was recalled.
            make: makes it.
            size: its bytes, about.
        """
        if self._shard.disk_failure:
            return ""
        id = self._gathering.add_unmade(self._shard.machine, namespace, make, size)
        if id:
            self._added()
        return id

    def _added(self) -> None:
        """One more waits."""
        if self._gathering.is_full:
            self.flush()
        elif self._is_durable and self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, name="memraft-receipts")
            self._thread.start()

    def settle(self, shard: Shard) -> None:
        """Has all receipts written."""
        self.flush()

    def flush(self) -> None:
        """Writes what waits, and ends what is over; where the disk fails that, later writes say so."""
        if not self._shard.disk_failure and not self._shard.ended:
            with suppress(DiskError):
                self._write()

    def stop(self) -> None:
        """Ends the thread. Called without the lock."""
        with self._lock:
            self._stopping.set()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _write(self) -> None:
        for request in self._gathering.take():
            self._propose(Command(KIND_RECORD_RECALLS, "", request))
        now_us = steady_time_us()
        if now_us >= self._sweep_at_us and self._shard.machine.spaces.receipts_limited:
            self._sweep_at_us = now_us + int(SWEEP_INTERVAL_S * 1e6)
            for command in receipts_over(self._shard.machine, now_us, OVER_MAX):
                self._propose(command)

    def _propose(self, command: Command) -> None:
        with suppress(Refused):  # the fork was dropped in which it was recalled
            self._shard.propose(command, None)

    def _run(self) -> None:
        while True:
            self._stopping.wait(GATHER_MS / 1000)
            with self._lock:
                is_over = self._stopping.is_set() or self._shard.disk_failure
                if is_over or not self._gathering.waiting:
                    self._thread = None
                    return
                self.flush()
