"""What the driver needs of the machine that committed entries are applied to, and of what builds entries.

The machine keeps its own state on disk beside the log. The driver tells it when: ``save`` hands what was
applied since the last time to the store, cheaply and without a sync; ``flush`` makes all that was saved
durable, in a thread; only then may the log be cut up to there. A snapshot is read from the store in chunks,
and written into another node's store in the same chunks, beside the state that is in force there until
``install``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from .errors import SnapshotRefused
from .raft import SnapshotMeta

LoadProgress = Callable[[int, int], None]
"""(records loaded so far, records to load; 0 when not known)."""

CHUNK_BYTES_MAX = 1 << 20
"""The largest chunk of a snapshot."""


class SnapshotSource(Protocol):
    """A snapshot that is being read: one state, however much is applied and saved meanwhile."""

    @property
    def meta(self) -> SnapshotMeta:
        """Which state: the last entry in it, and who belonged to the group then."""

    def read(self, chunk: int) -> bytes | None:
        """Chunk number ``chunk``, from 0, of at most ``CHUNK_BYTES_MAX`` bytes; None after the last one.

        Called on the event loop, in order; the newest few are asked for again after a connection broke, which
        the driver answers out of what it keeps. Should take no more than a few milliseconds.
        """

    def close(self) -> None:
        """Nothing more is read. Harmless when called twice."""


class SnapshotSink(Protocol):
    """A snapshot that is being received. What was written so far is in nobody's sight."""

    def write(self, chunk: int, data: bytes) -> None:
        """The next chunk, in order from 0. Raises ``SnapshotRefused`` for one that is damaged."""

    async def finish(self) -> None:
        """All chunks are there: verify, and build in memory what ``install`` puts into force; in slices, so
        that the event loop is not held for more than about 10 ms. Raises ``SnapshotRefused``."""

    def abort(self) -> None:
        """Forget it and free what it took. Harmless after ``install`` and when called twice."""


class StateMachine(Protocol):
    """What committed entries are applied to. All of it runs on the event loop, but ``flush``."""

    def apply(self, index: int, data: bytes, local: Sequence[object] | None) -> Sequence[object]:
        """Apply one committed entry; called once for each that carries commands, in order of index, and never
        awaits. No-ops of new leaders and changes of membership are not shown, so indexes may skip.

        Args:
            index: of the entry.
            data: as the group's ``EntryBuilder`` made it on the leader.
            local: what was passed to ``propose`` beside each command, when the entry was proposed by this
                node in this process; else None.

        Returns:
            One reply a command, in order; ignored when ``local`` is None.
        """

    @property
    def fingerprint(self) -> bytes:
        """The same on all replicas after the same entries, at least eight bytes; empty: not compared. Read
        after each entry, so it must be at hand."""

    def saved(self) -> SnapshotMeta | None:
        """Which state the store holds; None for none. After ``flush`` it survives the loss of power."""

    async def load(self, progress: LoadProgress) -> None:
        """Once, before anything else is asked: read the store into memory, in slices of about 10 ms."""

    def save(self, meta: SnapshotMeta) -> None:
        """Hand what was applied since the last save to the store, with ``meta``, in one batch: after a crash
        the store holds the state of some save, whole. ``meta.index`` is the last entry applied, which need
        not have carried commands. Bounded work, no sync."""

    @property
    def unsaved(self) -> int:
        """How many facts wait for a save."""

    def flush(self) -> None:
        """Make all that was saved and received durable. Blocks, and is called in a thread, while ``apply``,
        ``save`` and the sink's ``write`` go on."""

    def begin_snapshot(self) -> SnapshotSource:
        """A source of the state as of ``saved()``. Cheap."""

    def begin_install(self, meta: SnapshotMeta) -> SnapshotSink:
        """A sink for a snapshot of another replica."""

    def install(self, sink: SnapshotSink) -> None:
        """Put what a finished sink holds into force, in memory and in the store, at once; ``saved()`` is the
        sink's state then. The driver flushes next."""

    def drop(self) -> None:
        """The replica leaves this node: its rows go. Harmless when called twice."""


class EntryBuilder(Protocol):
    """Makes an entry out of commands; runs on the leader only, so it may stamp the time."""

    def build(self, commands: Sequence[bytes]) -> bytes:
        """Never empty: empty data is the no-op of the core."""


class Applied(msgspec.Struct, frozen=True, gc=False):
    """What became of a command: the machine's reply, the entry's index and the command's place in it."""

    reply: object
    index: int
    position: int


Answer = Callable[[Sequence[asyncio.Future[Any]], Sequence[object], int], None]
"""Resolves the futures of the commands of an entry that are not done, given the machine's replies and the
entry's index: all at once, for it is done for every command."""


def answer_applied(futures: Sequence[asyncio.Future[Any]], replies: Sequence[object], index: int) -> None:
    """An ``Answer`` that tells everything there is to tell: each future gets an ``Applied``."""
    for position, (future, reply) in enumerate(zip(futures, replies, strict=True)):
        if not future.done():
            future.set_result(Applied(reply, index, position))


class Volatile:
    """The part of a machine without a store: it is rebuilt from its log, which is therefore never cut."""

    unsaved = 0

    @property
    def fingerprint(self) -> bytes:
        return b""

    def saved(self) -> SnapshotMeta | None:
        return None

    async def load(self, progress: LoadProgress) -> None:
        pass

    def save(self, meta: SnapshotMeta) -> None:
        pass

    def flush(self) -> None:
        pass

    def begin_snapshot(self) -> SnapshotSource:
        raise SnapshotRefused("this machine has no store to read a snapshot from")

    def begin_install(self, meta: SnapshotMeta) -> SnapshotSink:
        raise SnapshotRefused("this machine has no store to write a snapshot to")

    def install(self, sink: SnapshotSink) -> None:
        pass

    def drop(self) -> None:
        pass
