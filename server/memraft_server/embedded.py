"""The machine in process, for `Memory()`: the same handlers, checks and queries as a node, and no network.

With a directory it is durable: every command is appended to a log and synced before it is applied and
acknowledged. What became of it goes to a state store beside the log now and then, and opening the directory
reads that and replays what came after (`embedded_storage`). Documents whose time is over are removed by a
logged command before the next call that comes after it, so that a replay removes them at the same place.

Once the disk has failed a write the engine is read-only: nobody knows what of that write a replay will find,
so nothing may be logged after it, but what was acknowledged is here and can be read. Documents whose time
is over then stay visible until the directory is opened again.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from google.protobuf.message import Message

from memraft_cluster.errors import DiskError, StateCorrupted
from memraft_proto.methods import Method
from memraft_proto.sharding import SLOT_COUNT
from memraft_proto.v1 import cluster_pb2, memory_pb2
from memraft_server.admission.identity import Caller, Role
from memraft_server.clock import steady_time_us
from memraft_server.embedded_directory import DirectoryUnusable
from memraft_server.embedded_recalls import LocalRecalls, Recollection
from memraft_server.embedded_receipts import LocalOutbox
from memraft_server.embedded_storage import UNCOMPARED, EmbeddedStorage
from memraft_server.entries import EntryBuilder, decode_header, encode_command
from memraft_server.extensions import ProjectionUnusable, load_projections
from memraft_server.following import FOLLOWERS_MAX
from memraft_server.machine import Adjacent, Command, Contents, Limits, Machine, Nearest, Refused
from memraft_server.machine.feeds import Feed
from memraft_server.machine.retention import TRIMMED_MAX, Trimmer
from memraft_server.service import Service
from memraft_server.writes import cost_of

__all__ = [
    "Closed",
    "DirectoryUnusable",
    "DiskFailed",
    "EmbeddedEngine",
    "NotWritten",
    "ProjectionUnusable",
    "Refused",
]

logger = logging.getLogger("memraft.embedded")

AGENT = "local"
"""Who writes where the caller named no agent: there is no certificate to say."""
EXPIRE_KEYS_MAX = 1_000
"""Documents that one logged command removes; what is left is removed by further ones."""
TRIM_ITEMS = 64
"""After so many items written some of what namespaces need not keep is looked for, and forgotten."""
TURN_S = 0.0005
"""Between two portions of work: a lock that is taken again at once is hardly ever given to one who waits."""
INDEX_QUIET_S = 0.05
"""A few new vectors join an index once this long no more of them came."""
_CALLER = Caller(Role.LOCAL, AGENT)

DiskFailed = DiskError


class Closed(Exception):
    """The engine was used after it was closed, or after a write broke off in the middle."""


class NotWritten(Exception):
    """The write was not made, because the disk failed an earlier one. Reads go on."""


def _log_fault(message: str) -> None:
    logger.error(message)


class EmbeddedEngine:
    """One shard without replicas. Any thread may call it: one lock serves all.

    Args:
        path: the directory of the log, made when missing; None: nothing outlives the process.
        projections: classes, or `package.module:Class`, to derive views with; see `projections.protocol`.
        is_relaxed: whether writes are acknowledged up to 100 ms before they are synced.

    Raises:
        DirectoryUnusable: see there.
        ProjectionUnusable: what was given is no projection.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        projections: Sequence[str | type[Any]] = (),
        is_relaxed: bool = False,
    ) -> None:
        classes = load_projections(projections)
        self.is_durable = path is not None
        self._lock = threading.RLock()
        self._storage = EmbeddedStorage(path, self._lock, is_relaxed) if path is not None else None
        self._machine = self._storage.machine if self._storage is not None else Machine(0)
        if classes:
            self._machine.host(classes, _log_fault)
        self._shard = LocalShard(self._machine, self._storage)
        self._outbox = LocalOutbox(self._shard, self._lock, self.is_durable)
        service = Service(
            {0: self._shard}, lambda _namespace: 0, _Directory(), limits=Limits(), receipts=self._outbox
        )
        self._service = service
        self._serve = service.call
        self._recalls = LocalRecalls(self._machine, service.limits, self._outbox, _CALLER)
        self._followers = 0
        self._indexer = _Indexer(self._machine, self._lock)
        self._is_closed = False
        self._is_left_behind = False
        with self._lock:
            self._indexer.note_write()  # what the log brought may want an index too

    def call(self, method: Method, request: Any) -> Message:
        """Answers a call of the contract.

        Args:
            method: which.
            request: its message; kept where it is a write, so the caller must not change it.

        Raises:
            Refused: the request is malformed, or the state does not allow it.
            DiskFailed: the log could not be written: whether it has the write is unknown until it is opened
                again. The engine is read-only from then on.
            NotWritten: a write, after one met DiskFailed.
            Closed: the engine was closed, or an exception other than these, such as KeyboardInterrupt, has
                broken off a write: what of it was done is unknown until it is opened again.
        """
        while True:
            with self._lock:
                self._shard.begin_call()
                try:
                    response = self._serve(_CALLER, method, request)
                except Refused as refused:
                    if refused.reason != "PROJECTION_BUILDING":
                        raise
                    continue  # each asking makes some more of it, and others have the lock in between
                except StateCorrupted as damage:  # of the past, which was to be read from the disk
                    raise Refused("INTERNAL", str(damage)) from damage
                if method.kind:
                    self._indexer.note_write()
                    if self._machine.spaces.retained:
                        self._shard.trim(cost_of(method.kind, request, 0).operations)
                    if self._machine.hosted is not None:
                        self._machine.hosted.step()
            return response if isinstance(response, Message) else self._finished(response)

    def _finished(self, rest: Awaitable[Message]) -> Message:
        """Does the rest of a long read, and lets others have the lock between its portions.

        All that it awaits is its next turn.
        """
        steps = rest.__await__()
        while True:
            with self._lock:
                if self._shard.ended:
                    raise Closed(self._shard.ended)
                try:
                    next(steps)
                except StopIteration as done:
                    return cast(Message, done.value)
                except StateCorrupted as damage:  # of the past, which was to be read from the disk
                    raise Refused("INTERNAL", str(damage)) from damage

    def head(self, namespace: str, key: str) -> bytes | None:
        """Returns the document that stands at a key now; None where `call` must say that there is none, or
        what is amiss."""
        machine = self._machine
        with self._lock:
            if self._shard.ended:
                return None
            if machine.next_due_us() is not None:
                self._shard.begin_call()
            record = machine.kv_head(namespace, key)
        return record.value if record is not None else None

    def nearest(self, namespace: str, collection: str, vector: Any, k: int) -> Nearest | None:
        """Searches a collection as it is now; None where anything is amiss, so that `call` says what.

        Args:
            namespace: of the collection.
            collection: its name.
            vector: shape (dimension,), numbers.
            k: how many at most.

        Raises:
            Closed: the engine was closed.
        """
        with self._lock:
            self._shard.begin_call()
            return self._machine.nearest(namespace, collection, vector, k)

    def recalled(self, request: memory_pb2.RecallRequest) -> Recollection:
        """Answers a recall of now whose receipt need not be written before: the short way, without a message
        of the answer.

        Args:
            request: kept and changed.

        Raises:
            Refused: the request is malformed, or the state does not allow it.
            Closed: the engine was closed.
        """
        with self._lock:
            self._shard.begin_call()
            try:
                return self._recalls.recall(request)
            except StateCorrupted as damage:  # of the past, which was to be read from the disk
                raise Refused("INTERNAL", str(damage)) from damage

    def follow(self, method: Method, request: Any, wake: Callable[[], object]) -> EmbeddedFeed:
        """Begins a call that has many responses.

        Args:
            method: which.
            request: its message; kept and changed.
            wake: called when there may be more, with the lock held, in whatever thread made it so.

        Raises:
            Refused: the request is malformed, or too many follow already.
            Closed: the engine was closed.
        """
        with self._lock:
            self._shard.begin_call()
            if self._followers >= FOLLOWERS_MAX:
                raise Refused("OVERLOADED", f"{FOLLOWERS_MAX} follow this memory already")
            first, feed = self._service.feed(_CALLER, method, request, wake)
            self._followers += 1
        return EmbeddedFeed(self, first, feed)

    def _next(self, feed: Feed) -> Message | None:
        with self._lock:
            self._shard.begin_call()
            return feed.next()

    def _due_s(self) -> float | None:
        """Seconds until something here is over without a call; None: nothing will be."""
        with self._lock:
            due_us = None if self._shard.disk_failure else self._machine.next_due_us()
        return None if due_us is None else max(0, due_us - steady_time_us()) / 1e6

    def _leave(self, feed: Feed) -> None:
        if self._is_left_behind:
            return
        with self._lock:
            feed.close()
            self._followers -= 1

    def adjacent(self, namespace: str, id: str, direction: str, limit: int) -> Adjacent | None:
        """Returns the first edges of a node now; None where `call` must answer, or say what is amiss.

        Args:
            namespace: of the graph.
            id: of the node.
            direction: `out`, `in` or `both`.
            limit: how many at most.

        Raises:
            Closed: the engine was closed.
        """
        with self._lock:
            self._shard.begin_call()
            return self._machine.adjacent(namespace, id, direction, limit)

    def contents(self, namespace: str, tokens: int) -> Contents | None:
        """Returns the index of a namespace if it is kept and nothing has changed since. Raises Closed."""
        with self._lock:
            self._shard.begin_call()
            return self._machine.contents(namespace, tokens)

    def leave_behind(self, reason: str) -> None:
        """In a child of a fork: every call raises Closed from now on, and closing does nothing. The directory
        is the parent's: when that closes it, others may open it though the child goes on.

        Args:
            reason: what callers are told.
        """
        self._lock = threading.RLock()  # a thread of the parent may have held the other
        self._shard.ended = reason
        self._is_closed = self._is_left_behind = True
        if self._storage is not None:
            self._storage.leave_behind()

    def close(self) -> None:
        """Waits for an index that is being built, then closes the log. Harmless when called twice."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self._outbox.stop()
        with self._lock:
            self._outbox.flush()
            self._shard.ended = "this memory is closed"
            self._machine.changes.wake_all()
        self._indexer.stop()
        if self._storage is not None:
            self._storage.close(self._shard.is_in_doubt)


class EmbeddedFeed:
    """The responses of a call that has many; they are taken by one thread at a time.

    Args:
        engine: which has them.
        first: the first of them.
        feed: has the others.
    """

    def __init__(self, engine: EmbeddedEngine, first: Message, feed: Feed) -> None:
        self._engine = engine
        self._first: Message | None = first
        self._feed: Feed | None = feed

    @property
    def is_behind(self) -> bool:
        """Whether `next` had nothing to say but has more to do: call it again."""
        return self._feed is not None and self._feed.is_behind

    def next(self) -> Message | None:
        """Returns the next response, or None where there is nothing to say by now. Raises Refused, Closed."""
        first, self._first = self._first, None
        if first is not None:
            return first
        if self._feed is None:
            raise Closed("this has ended")
        return self._engine._next(self._feed)

    def due_s(self) -> float | None:
        """Seconds after which to ask again even if nobody called `wake`; None: no need to."""
        return self._engine._due_s()

    def close(self) -> None:
        """Ends it. Harmless when called twice."""
        feed, self._feed = self._feed, None
        if feed is not None:
            self._engine._leave(feed)


class LocalShard:
    """A shard that is its own majority: what is proposed is logged, applied and answered at once."""

    number = 0
    leads = True

    def __init__(self, machine: Machine, storage: EmbeddedStorage | None) -> None:
        self.machine = machine
        self._storage = storage
        # Ids only have to differ: a generator that the system seeds once does that, without a call a write.
        generator = random.Random(random.SystemRandom().getrandbits(256))
        self._random_bits = generator.getrandbits
        self._builder = EntryBuilder(seed=lambda: generator.getrandbits(64))
        self._trimmer = Trimmer(machine)
        self._items_until_trim = 0
        self.ended = ""
        """Why nothing can be done here any more, for the caller; empty while it can."""
        self.disk_failure = ""
        """What the disk answered to the write that it failed; nothing is written any more from then on."""
        self.is_in_doubt = False
        """A write broke off or failed: only what the log has counts, and the machine is not to be kept."""

    def propose(self, command: Command, request: bytes | None) -> Message:
        """Applies a command, after the log has it. Raises Refused, DiskError, NotWritten, Closed."""
        if self.ended:
            raise Closed(self.ended)
        if self.disk_failure:
            raise NotWritten(
                f"this write was not made; an earlier one failed: {self.disk_failure}; where the disk is "
                "full make room, then close this memory and open it again"
            )
        index = self.machine.applied_index + 1
        if self._storage is None:
            data, time_us, seed = b"", self._builder.stamp_us(), self._random_bits(64)
        else:
            raw = command.request.SerializeToString() if request is None else request
            data = self._builder.build((encode_command(command.kind, command.agent, raw),))
            time_us, seed = decode_header(data)
        try:
            if self._storage is not None:
                self._storage.append(index, data)
            reply = self.machine.apply(index, time_us, seed, (command,), UNCOMPARED)[0]
            if self._storage is not None:
                self._storage.note_applied()
        except DiskError as failure:
            self.disk_failure = str(failure)
            self.is_in_doubt = True
            raise
        except BaseException as failure:  # KeyboardInterrupt too: log and machine may disagree from here on
            self.is_in_doubt = True
            self.ended = f"a write broke off in the middle ({failure!r}): close this memory and reopen it"
            raise
        if isinstance(reply, Refused):
            raise reply
        return reply

    def begin_call(self) -> None:
        """Removes the documents whose time is over; where the disk fails that, later writes say so. Raises
        Closed."""
        if self.ended:
            raise Closed(self.ended)
        while (due_us := self.machine.next_due_us()) is not None and due_us <= (now_us := steady_time_us()):
            if self.disk_failure:
                return
            with suppress(DiskError):
                for command in self.machine.due(now_us, EXPIRE_KEYS_MAX):
                    self.propose(command, None)

    def trim(self, items: int) -> None:
        """Now and then forgets some of what namespaces need not keep, after many items more of it; where the
        disk fails that, later writes say so."""
        self._items_until_trim -= items
        if self._items_until_trim > 0:
            return
        steps = 1 - 2 * self._items_until_trim // TRIMMED_MAX  # twice what came, so that nothing adds up
        self._items_until_trim = TRIM_ITEMS
        for _ in range(steps):
            command = self._trimmer.step(steady_time_us()) if not self.disk_failure else None
            if command is not None:
                with suppress(DiskError):
                    self.propose(command, None)

    def read_barrier(self) -> None:
        """Every read is linearizable here."""
        return None

    def wait_applied(self, index: int) -> None:
        """Whatever was acknowledged has been applied."""
        return None

    def settle(self, time_us: int) -> None:
        """Nothing is on its way; what comes is stamped above."""
        self._builder.keep_above(time_us)

    def age_us(self) -> int:
        """Never behind."""
        return 0


class _Indexer:
    """Builds indexes of vectors beside the calls, in a thread that lives while there is one to build.

    The thread is no daemon: the process waits for it rather than end in the middle of native code.
    """

    def __init__(self, machine: Machine, lock: threading.RLock) -> None:
        self._machine = machine
        self._lock = lock
        self._jobs: list[Any] = []
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def note_write(self) -> None:
        """Starts building what has become due. Called with the lock held."""
        if self._machine.index_pending and self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, name="memraft-index")
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                self._jobs += self._machine.index_jobs()
                if self._stopping.is_set() or not (self._jobs or self._machine.index_pending):
                    self._thread = None
                    return
                # First what takes milliseconds: it would wait for minutes.
                job = next((job for job in self._jobs if job.is_light), self._jobs[0] if self._jobs else None)
                if job is not None:
                    self._jobs.remove(job)
            if job is None:
                self._stopping.wait(INDEX_QUIET_S)
            else:
                self._build(job)

    def _build(self, job: Any) -> None:
        is_built = False
        try:
            job.run()
            is_built = True
        finally:
            # Where it failed, the thread ends with its traceback and is not started again: searches stay
            # right without the index, only slower.
            with self._lock:
                following = self._machine.install(job) if is_built else job.abandon()
                if following is not None:
                    self._jobs.append(following)
            self._stopping.wait(TURN_S)

    def stop(self) -> None:
        """Waits until the index that is being built is done, and builds no more."""
        with self._lock:
            self._stopping.set()
            thread = self._thread
        if thread is not None:
            thread.join()


class _Directory:
    """Answers the cluster calls of a machine without a cluster."""

    def shard_map(self) -> Message:
        route = cluster_pb2.ShardRoute(slot_last=SLOT_COUNT - 1)
        return cluster_pb2.GetShardMapResponse(slot_count=SLOT_COUNT, shards=[route])

    def node_status(self) -> Message:
        return cluster_pb2.GetNodeStatusResponse(name=AGENT)

    def leader(self, shard: int) -> int:
        return 0

    def cluster_record(self, request: Any) -> Message:
        return cluster_pb2.GetClusterRecordResponse()

    def change_cluster(self, request: Any) -> Message:
        raise Refused("CHANGE_REFUSED", "a memory in process is no cluster: nothing of it can be changed")

    report_replicas = change_cluster
