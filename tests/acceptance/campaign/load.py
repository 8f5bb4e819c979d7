"""The load: real clients over mutual TLS, whose every call is written down with its times, outcome and
version.

Four kinds of things are written, each checked in its own way (see `verdict`):

registers   a few hot keys that all clients read, overwrite, delete and compare-and-swap, as documents
            (`kv:…`) and as state records (`state:…`); their histories must be linearizable
ledger      keys that are written once each: acknowledged ones must be there at the end, refused ones not
streams     events that are appended once each, by all clients to the same streams
batches     a ledger key and an event in one batch: both or none
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from memraft import AsyncMemory, Memory
from memraft.errors import ConflictError, MemraftError, OutcomeUnknown, ServerError, Unavailable
from memraft_proto.sharding import slot_of
from memraft_server.cli.clusterview import ClusterView
from tests.linearizability.history import Recorder

CALL_TIMEOUT_S = 4.0
NEWCOMER_TIMEOUT_S = 1.0
READ_INTERVAL_S = 0.03
READS_MAX = 60
CALLS_A_REGISTER = 150
"""Then a fresh key takes its place: the search is exponential in what is open at once, not in the length, but
a violation in a short history is read more easily."""
REGISTERS = 3
STREAMS = 2


def namespaces(view: ClusterView) -> list[str]:
    """One namespace for each shard."""
    found = []
    for shard in view.shards:
        names = (f"acme/shard-{shard.shard}-{number}" for number in range(100_000))
        found.append(next(n for n in names if shard.slot_first <= slot_of(n) <= shard.slot_last))
    return found


class Load:
    """All clients together. Made and run on one event loop; the synchronous client has a thread.

    Args:
        endpoints, certs: how to reach the cluster.
        places: a namespace of each shard.
        clients: how many asynchronous ones; one synchronous one is added.
        pace_s: what a client waits between two calls, on average.
        seed: of what they do.

    Attributes:
        recorder: the history. Keys are `namespace|kind:key`.
        acknowledged: for each namespace the times (monotonic seconds) at which a write was acknowledged.
        errors: `error class: reason` -> how often a call ended in it.
        violations: what a client saw that it must not see.
        commit_times: for each namespace the commit time, in microseconds since the epoch, of log indexes.
    """

    def __init__(
        self, endpoints: str, certs: Path, places: Sequence[str], clients: int, pace_s: float, seed: int
    ) -> None:
        self.endpoints, self.certs, self.places = endpoints, certs, list(places)
        self.recorder = Recorder(time.monotonic)
        self.acknowledged: dict[str, list[float]] = {place: [] for place in places}
        self.errors: Counter[str] = Counter()
        self.violations: list[str] = []
        self.commit_times: dict[str, dict[int, int]] = {place: {} for place in places}
        self.began_at = time.monotonic()
        self.ended_at = 0.0
        self._clients, self._pace_s, self._seed = clients, pace_s, seed
        self._stop = threading.Event()
        self._uses: Counter[str] = Counter()
        self._tasks: list[asyncio.Task[None]] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts all clients."""
        self.began_at = time.monotonic()
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(self._clients)]
        self._tasks += [asyncio.create_task(self._readers()), asyncio.create_task(self._newcomers())]
        self._thread = threading.Thread(target=self._synchronous_client, daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Lets every client finish its call, and raises what a client failed of by itself."""
        self._stop.set()
        await asyncio.gather(*self._tasks)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self.ended_at = time.monotonic()

    # -- one client ------------------------------------------------------------------------------------

    async def _client(self, number: int) -> None:
        dice = random.Random(self._seed * 1_000 + number)
        async with self._memory(self.endpoints, CALL_TIMEOUT_S) as memory:
            client = Client(self, f"c{number}", memory, dice)
            while not self._stop.is_set():
                await client.step()
                await asyncio.sleep(dice.uniform(0, 2 * self._pace_s))

    async def _readers(self) -> None:
        """Reads that wait for nobody: they are asked while a leader hangs, and answered when it wakes up."""
        dice = random.Random(self._seed * 1_000 + 998)
        reading = set[asyncio.Task[None]]()
        async with self._memory(self.endpoints, CALL_TIMEOUT_S) as memory:
            number = 0
            while not self._stop.is_set():
                if len(reading) < READS_MAX:
                    number += 1
                    client = Client(self, f"reader-{number}", memory, dice)
                    task = asyncio.create_task(client.read())
                    reading.add(task)
                    task.add_done_callback(reading.discard)
                await asyncio.sleep(READ_INTERVAL_S)
            await asyncio.gather(*reading)

    async def _newcomers(self) -> None:
        """One client after the other, each knowing one node only: where the cluster is cut, they find the new
        leader while others still talk to the old one. Their writes do not count as service."""
        dice = random.Random(self._seed * 1_000 + 999)
        number = 0
        while not self._stop.is_set():
            for address in self.endpoints.split(","):
                number += 1
                async with self._memory(address, NEWCOMER_TIMEOUT_S) as memory:
                    client = Client(self, f"newcomer-{number}", memory, dice, is_service=False)
                    await client.overwrite()
                await asyncio.sleep(READ_INTERVAL_S)

    def _memory(self, endpoints: str, timeout_s: float) -> AsyncMemory:
        return AsyncMemory(
            endpoints,
            certs=self.certs,
            namespace=self.places[0],
            timeout_s=timeout_s,
            consistency="linearizable",
        )

    def _synchronous_client(self) -> None:
        """Writes the ledger of the first shard through the synchronous facade."""
        place, number = self.places[0], 0
        with Memory(self.endpoints, certs=self.certs, namespace=place, timeout_s=CALL_TIMEOUT_S) as memory:
            while not self._stop.is_set():
                number += 1
                value = f"sync-{number}"
                call = self.recorder.invoke("sync", "put", f"{place}|ledger:{value}", value)
                try:
                    written = memory.put(f"ledger:{value}", value)
                except MemraftError as error:
                    self.close(call, error)
                else:
                    self.recorder.ok(call, version=written.version)
                    self._note_commit(place, written)
                self._stop.wait(2 * self._pace_s)

    # -- what clients share ----------------------------------------------------------------------------

    def register(self, place: str, dice: random.Random) -> str:
        """A hot key; after so many uses the next one."""
        slot = f"{place}|{dice.choice(('kv', 'state'))}:r{dice.randrange(REGISTERS)}"
        self._uses[slot] += 1
        return f"{slot}-{self._uses[slot] // CALLS_A_REGISTER}"

    def close(self, call: int, error: MemraftError) -> None:
        """Notes how a call failed: unavailable means that nothing was written."""
        self.errors[f"{type(error).__name__}{f': {error.reason}' if error.reason else ''}"] += 1
        if isinstance(error, Unavailable):
            self.recorder.fail(call)
            return
        self.recorder.info(call)
        if not isinstance(error, OutcomeUnknown):
            kind = "an internal error" if isinstance(error, ServerError) else "an unexpected error"
            self.violations.append(f"{kind}: {type(error).__name__}: {error}")

    async def call(
        self,
        process: str,
        place: str,
        kind: str,
        key: str,
        value: Any,
        call: Callable[[], Awaitable[Any]],
        is_service: bool = True,
    ) -> Any:
        """Makes one call of a client and writes it down; returns the answer, or the error."""
        number = self.recorder.invoke(process, kind, key, value)
        try:
            answer = await call()
        except ConflictError as error:
            self.recorder.ok(number, False)
            return error
        except MemraftError as error:
            self.close(number, error)
            return error
        self._book(number, kind, answer)
        if kind != "get" and getattr(answer, "swapped", True):
            self._note_commit(place, answer, is_service)
        return answer

    def _note_commit(self, place: str, answer: Any, is_service: bool = True) -> None:
        """A write was acknowledged."""
        if is_service:
            self.acknowledged[place].append(time.monotonic())
        if answer is not None:
            self.commit_times[place][answer.log_index] = answer.time_us

    def _book(self, number: int, kind: str, answer: Any) -> None:
        if kind == "get":
            self.recorder.ok(
                number, None if answer is None else answer.value, answer.version if answer else 0
            )
        elif kind == "cas_version":
            swapped = getattr(answer, "swapped", True)
            self.recorder.ok(number, swapped, answer.version if swapped else None)
        elif kind == "delete":
            self.recorder.ok(number, answer.found, answer.version)
        elif kind == "append":
            self.recorder.ok(number, answer.sequence, answer.version)
        elif kind == "batch":
            self.recorder.ok(number)
        else:
            self.recorder.ok(number, version=answer.version)


class Client:
    """What one asynchronous client does, step by step."""

    def __init__(
        self, load: Load, name: str, memory: AsyncMemory, dice: random.Random, is_service: bool = True
    ) -> None:
        self._load, self._name, self._dice, self._is_service = load, name, dice, is_service
        self._views = {place: memory.scoped(place) for place in load.places}
        self._numbers = 0
        self._seen: dict[str, tuple[int, Any]] = {}
        """What it saw last of a register: version and value."""

    async def step(self) -> None:
        """One call, or two that belong together."""
        place = self._dice.choice(self._load.places)
        actions = (self._read, self._swap, self._overwrite, self._write_ledger, self._append, self._batch)
        (action,) = self._dice.choices(actions, (25, 25, 12, 16, 16, 6))
        await action(place, self._views[place])

    async def read(self) -> None:
        """Reads a register."""
        place = self._dice.choice(self._load.places)
        await self._read(place, self._views[place])

    async def overwrite(self) -> None:
        """Overwrites a register of each shard, or deletes it."""
        for place, view in self._views.items():
            await self._overwrite(place, view)

    def _value(self) -> str:
        """A value that nobody else writes."""
        self._numbers += 1
        return f"{self._name}-{self._numbers}"

    async def _call(
        self, place: str, kind: str, key: str, value: Any, call: Callable[[], Awaitable[Any]]
    ) -> Any:
        return await self._load.call(self._name, place, kind, key, value, call, self._is_service)

    async def _read(self, place: str, view: AsyncMemory) -> None:
        await self._read_register(view, place, self._load.register(place, self._dice))

    async def _read_register(self, view: AsyncMemory, place: str, key: str) -> None:
        name = key.partition("|")[2]
        read = view.state if name.startswith("state:") else view.record
        answer = await self._call(place, "get", key, None, lambda: read(name))
        if not isinstance(answer, MemraftError):
            self._seen[key] = (answer.version, answer.value) if answer else (0, None)

    async def _swap(self, place: str, view: AsyncMemory) -> None:
        key = self._load.register(place, self._dice)
        name, value = key.partition("|")[2], self._value()
        if key not in self._seen:
            await self._read_register(view, place, key)
        version = self._seen.pop(key, (0, None))[0]
        if name.startswith("state:"):
            answer = await self._call(
                place, "cas_version", key, [version, value],
                lambda: view.cas(name, value, expected_version=version),
            )  # fmt: skip
        else:
            answer = await self._call(
                place, "cas_version", key, [version, value], lambda: view.put(name, value, if_version=version)
            )
        if not isinstance(answer, MemraftError) and getattr(answer, "swapped", True):
            self._seen[key] = answer.version, value

    async def _overwrite(self, place: str, view: AsyncMemory) -> None:
        key = self._load.register(place, self._dice).replace("|state:", "|kv:")
        name, value = key.partition("|")[2], self._value()
        if self._dice.random() < 0.2:
            await self._call(place, "delete", key, None, lambda: view.delete(name))
        else:
            await self._call(place, "put", key, value, lambda: view.put(name, value))

    async def _write_ledger(self, place: str, view: AsyncMemory) -> None:
        value = self._value()
        name = f"ledger:{value}"
        answer = await self._call(place, "put", f"{place}|{name}", value, lambda: view.put(name, value))
        if isinstance(answer, MemraftError) or self._dice.random() < 0.7:
            return
        # What a session has written it reads, on whatever replica: the default consistency.
        try:
            found = await view.get(name, consistency="session")
        except MemraftError as error:
            self._load.errors[f"{type(error).__name__} (session read)"] += 1
            return
        if found != value:
            self._load.violations.append(
                f"{self._name} read {found!r} of {name} in the session that was acknowledged {value!r}"
            )

    async def _append(self, place: str, view: AsyncMemory) -> None:
        stream, value = f"s{self._dice.randrange(STREAMS)}", self._value()
        await self._call(place, "append", f"{place}|{stream}", value, lambda: view.append(stream, value))

    async def _batch(self, place: str, view: AsyncMemory) -> None:
        value = self._value()

        async def send() -> None:
            async with view.batch() as batch:
                batch.put(f"ledger:{value}", value)
                batch.append("s0", value)

        await self._call(place, "batch", f"{place}|{value}", value, send)
