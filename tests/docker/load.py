"""Clients that write and read all the time, and note what they were told."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from memraft import Memory
from memraft.errors import MemraftError, OutcomeUnknown, Unavailable
from memraft.types import Event
from tests.linearizability import Recorder

KEYS = [f"key {number}" for number in range(6)]
STREAMS = ["stream 0", "stream 1"]
CLIENTS = 4
TIMEOUT_S = 3.0
PAUSE_S = 0.003
"""Between calls, so that the history stays short enough to be read."""


class Load:
    """Threads with a client each, from `with` to the end of its block.

    Args:
        endpoints: addresses of the nodes.
        certs: an agent's certificate.
        recorder: where calls and answers are noted.
    """

    def __init__(self, endpoints: Sequence[str], certs: Path, recorder: Recorder) -> None:
        self._endpoints, self._certs, self._recorder = list(endpoints), certs, recorder
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"client {number}")
            for number in range(CLIENTS)
        ]
        self.acknowledged_writes = 0
        self.failures: list[BaseException] = []

    def open(self) -> Memory:
        """A client of its own."""
        return Memory(
            self._endpoints, certs=self._certs, namespace="acme/support", timeout_s=TIMEOUT_S,
            consistency="linearizable",
        )  # fmt: skip

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        chance = random.Random(number)
        try:
            with self.open() as memory:
                count = 0
                while not self._ending.is_set():
                    count += 1
                    self._one_call(memory, number, f"{number}.{count}", chance)
                    time.sleep(PAUSE_S)
        except BaseException as error:  # shown by the test: a thread has nobody to raise it to
            self.failures.append(error)

    def _one_call(self, memory: Memory, client: int, unique: str, chance: random.Random) -> None:
        kind = chance.choice(["put", "put", "append", "get", "get"])
        key = chance.choice(STREAMS if kind == "append" else KEYS)
        call = self._recorder.invoke(client, kind, key, None if kind == "get" else unique)
        try:
            if kind == "put":
                self._recorder.ok(call, version=memory.put(key, unique).version)
            elif kind == "append":
                self._recorder.ok(call, version=memory.append(key, unique).version)
            else:
                record = memory.record(key)
                if record is None:
                    self._recorder.ok(call)
                else:
                    self._recorder.ok(call, record.value, record.version)
                return
        except OutcomeUnknown:
            self._recorder.info(call)
        except Unavailable:
            self._recorder.fail(call)
        except MemraftError:
            self._recorder.info(call)
            raise
        else:
            self.acknowledged_writes += 1

    def read_all(self) -> None:
        """Reads every key and every stream to the end, and notes it, so that what is lost is missed."""
        with self.open() as memory:
            for key in KEYS:
                call = self._recorder.invoke("last", "get", key)
                record = memory.record(key)
                assert record is not None
                self._recorder.ok(call, record.value, record.version)
            for stream in STREAMS:
                assert memory.verify(stream).intact
                call = self._recorder.invoke("last", "read", stream)
                self._recorder.ok(call, [event.payload for event in _events(memory, stream)])


def _events(memory: Memory, stream: str) -> list[Event]:
    found: list[Event] = []
    while page := memory.events(stream, from_sequence=len(found) + 1, limit=10_000):
        found += page
    return found
