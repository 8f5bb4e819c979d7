"""Carries a machine's state to a follower whose next entry its leader no longer has.

The state goes in chunks over the stream that the two nodes share anyway, a few at a time, each acknowledged
once it is written; heartbeats and entries of all groups go on meanwhile. ``context`` tells one transfer from
another::

    leader    SNAPSHOT_CHUNK   snapshot: which state, index: number of the chunk, data; no data: that was all
    follower  SNAPSHOT_REPLY   index: how many parts it has, in order (the end counts as one)
                               commit: index of the state, once it is verified and durable beside the old one
                               hint_index: index of the state, once it is in force
                               reject: it cannot go on with this transfer
    leader    SNAPSHOT         the core's message: put it into force

Nothing is in force before that message is through the follower's core, so that who sends chunks needs no
check but that the peer is a node of the cluster. A connection that breaks costs what was on its way: the
leader goes on with the chunk that is asked for. Memory is bounded by the window on both sides.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol

from . import raft
from .driver_config import Counters, DriverConfig
from .errors import DiskError, SnapshotRefused
from .group import Group
from .raft import Message, MessageType, SnapshotMeta
from .state_machine import SnapshotSink, SnapshotSource

logger = logging.getLogger("memraft.driver")

TRANSFER_ID_BITS = 48
KEEP_ALIVE_S = 1.0
"""How often a receiver that verifies a state says that it is still there."""


class Host(Protocol):
    """What transfers need of the driver."""

    config: DriverConfig
    counters: Counters

    @property
    def groups(self) -> Mapping[int, Group]: ...
    def send_now(self, group: int, message: Message) -> None: ...
    def connected(self) -> frozenset[int]: ...
    def mark(self, group: Group) -> None: ...
    def save(self, group: Group) -> None: ...
    async def flush(self, group: Group) -> None: ...
    def end(self, error: BaseException) -> None: ...


class _Outgoing:
    """One state on its way to one peer."""

    def __init__(self, group: Group, peer: int, source: SnapshotSource, now: float) -> None:
        self.group = group
        self.peer = peer
        self.term = group.core.term
        self.context = secrets.randbits(TRANSFER_ID_BITS) + 1
        self.source = source
        self.meta = source.meta
        self.began_at = self.heard_at = self.progress_at = now
        self.window: deque[bytes] = deque()
        """Chunks from ``acknowledged`` on, as they may have to go again; empty bytes stand for the end."""
        self.acknowledged = 0
        self.sent = 0
        self.is_read = False
        self.is_staged = False
        self.is_pumping = False
        self.bytes_total = 0


def _is_led_here(out: _Outgoing) -> bool:
    """Whether this node still leads in the term in which it began to send."""
    core = out.group.core
    return core.role is raft.Role.LEADER and core.term == out.term


class Senders:
    """All states that this node sends; at most ``snapshots_max`` at a time, the others wait."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._wanted: dict[tuple[int, int], None] = {}
        self._active: dict[tuple[int, int], _Outgoing] = {}

    def want(self, group: Group, peer: int) -> None:
        """The core of a group that is led here says that a peer needs a state; what is on its way will do."""
        if (group.id, peer) in self._active:
            return
        self._wanted[group.id, peer] = None
        self._begin_waiting()

    def held_index(self, group: int) -> int | None:
        """The log must keep what follows this index, for a state that is on its way."""
        return min((out.meta.index for (of, _), out in self._active.items() if of == group), default=None)

    def on_reply(self, group: Group, message: Message) -> None:
        """A receiver says how far it is."""
        out = self._active.get((group.id, message.sender))
        if out is None or out.context != message.context:
            return
        if not _is_led_here(out):
            self._close(out)  # What a deposed leader would announce its successor has to.
            return
        now = self._loop.time()
        out.heard_at = now
        if message.reject:
            self._fail(out, "the receiver cannot go on with it")
            return
        if message.hint_index >= out.meta.index:
            self._complete(out)
            return
        while out.acknowledged < message.index and out.window:
            out.window.popleft()
            out.acknowledged += 1
            out.progress_at = now
        out.sent = max(out.sent, out.acknowledged)
        if message.commit and not out.is_staged:
            out.is_staged = True
            self._announce(out)
        else:
            self._pump(out)

    def on_disconnected(self, peer: int) -> None:
        """What was on its way is lost; it goes again from what was acknowledged."""
        for out in self._active.values():
            if out.peer == peer:
                out.sent = out.acknowledged

    def tick(self) -> None:
        """Resend, give up, begin what waited. Call once a tick."""
        if not (self._active or self._wanted):
            return
        now, config = self._loop.time(), self._host.config
        for out in list(self._active.values()):
            if not _is_led_here(out):
                self._close(out)
            elif now - out.heard_at > config.snapshot_idle_ms / 1000:
                self._fail(out, f"nothing was heard for {config.snapshot_idle_ms} ms")
            elif now - out.progress_at > config.snapshot_resend_ms / 1000:
                out.progress_at = now
                out.sent = out.acknowledged
                if out.is_staged:
                    self._announce(out)
                else:
                    self._pump(out)
            elif out.sent == out.acknowledged and not out.is_staged:
                self._pump(out)  # after a broken connection
        self._begin_waiting()

    def close(self, group: int | None = None) -> None:
        """Give up what is sent of one group, or of all; nobody is told."""
        for out in list(self._active.values()):
            if group is None or out.group.id == group:
                self._close(out)
        self._wanted = {key: None for key in self._wanted if group is not None and key[0] != group}

    def _begin_waiting(self) -> None:
        for key in list(self._wanted):
            if len(self._active) >= self._host.config.snapshots_max:
                return
            group = self._host.groups.get(key[0])
            if group is None or group.core.role is not raft.Role.LEADER:
                del self._wanted[key]
            elif key[1] in self._host.connected():
                del self._wanted[key]
                self._begin(group, key[1])

    def _begin(self, group: Group, peer: int) -> None:
        try:
            self._host.save(group)
            source = group.machine.begin_snapshot()
        except Exception as error:
            self._report_failure(group, peer, str(error))
            return
        out = self._active[group.id, peer] = _Outgoing(group, peer, source, self._loop.time())
        fields = {"group": group.id, "peer": peer, "index": out.meta.index}
        logger.info("sending a snapshot", extra={"fields": fields})
        self._pump(out)

    def _pump(self, out: _Outgoing) -> None:
        """Send one chunk, if the window has room, and come back for the next when others have had the
        loop."""
        if out.is_pumping or self._active.get((out.group.id, out.peer)) is not out:
            return
        if not self._send_next(out):
            return
        out.is_pumping = True
        self._loop.call_soon(self._pump_again, out)

    def _pump_again(self, out: _Outgoing) -> None:
        out.is_pumping = False
        self._pump(out)

    def _send_next(self, out: _Outgoing) -> bool:
        """Whether something was sent."""
        if out.peer not in self._host.connected():
            return False
        place = out.sent - out.acknowledged
        if place >= self._host.config.snapshot_window_chunks:
            return False
        if place == len(out.window):
            if out.is_read:
                return False
            try:
                data = out.source.read(out.sent)
            except Exception as error:
                # The store on this node is damaged; it must not spread, and it is said where it is.
                logger.error("reading a snapshot failed", exc_info=error)
                self._fail(out, str(error))
                return False
            out.is_read = data is None
            out.bytes_total += len(data or b"")
            out.window.append(data or b"")
        self._host.send_now(
            out.group.id,
            Message(
                MessageType.SNAPSHOT_CHUNK,
                out.group.core.id,
                out.peer,
                out.term,
                index=out.sent,
                context=out.context,
                snapshot=out.meta,
                data=out.window[place],
            ),
        )
        out.sent += 1
        return True

    def _announce(self, out: _Outgoing) -> None:
        """The state is durable over there: have it put into force."""
        message = out.group.core.snapshot_message(out.peer, out.meta)
        message.context = out.context
        self._host.send_now(out.group.id, message)

    def _complete(self, out: _Outgoing) -> None:
        self._close(out)
        self._host.counters.snapshots_sent_total += 1
        took_s = round(self._loop.time() - out.began_at, 3)
        fields = {"group": out.group.id, "peer": out.peer, "index": out.meta.index}
        fields |= {"chunks": out.acknowledged, "bytes": out.bytes_total, "took_s": took_s}  # type: ignore[dict-item]
        logger.info("snapshot is in force at the receiver", extra={"fields": fields})
        if _is_led_here(out):
            out.group.core.report_snapshot(out.peer, out.meta.index)
            self._host.mark(out.group)

    def _fail(self, out: _Outgoing, detail: str) -> None:
        self._close(out)
        self._report_failure(out.group, out.peer, detail)

    def _report_failure(self, group: Group, peer: int, detail: str) -> None:
        self._host.counters.snapshots_failed_total += 1
        fields = {"group": group.id, "peer": peer, "error": detail}
        logger.warning("sending a snapshot failed; it is tried again", extra={"fields": fields})
        if group.core.role is raft.Role.LEADER:
            group.core.report_snapshot(peer, None)
            self._host.mark(group)

    def _close(self, out: _Outgoing) -> None:
        self._active.pop((out.group.id, out.peer), None)
        out.source.close()
        out.window.clear()


class _Incoming:
    """One state that is being received, beside the one in force."""

    def __init__(self, group: Group, message: Message, meta: SnapshotMeta, now: float) -> None:
        self.group = group
        self.sender = message.sender
        self.context = message.context
        self.meta = meta
        self.heard_at = self.said_at = now
        self.sink: SnapshotSink = group.machine.begin_install(meta)
        self.parts: deque[bytes] = deque()
        """Received and not written yet."""
        self.received = 0
        self.written = 0
        self.is_writing = False
        self.finishing: asyncio.Task[None] | None = None
        self.is_staged = False


class Receivers:
    """All states that this node receives: one a group, at most ``snapshots_max`` in all."""

    def __init__(self, host: Host, loop: asyncio.AbstractEventLoop) -> None:
        self._host = host
        self._loop = loop
        self._active: dict[int, _Incoming] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- messages --------------------------------------------------------------------------------------

    def on_chunk(self, group: Group, message: Message) -> None:
        """Take the next part of a state."""
        meta = message.snapshot
        if meta is None or message.term < group.core.term or group.is_installing:
            return
        if meta.index <= group.applied:
            self._reply(group, message, hint_index=group.applied)
            return
        found = self._active.get(group.id)
        if found is not None and (found.sender, found.context) != (message.sender, message.context):
            if message.index:
                return
            self._abort(found)  # Another leader, or the same one anew: whoever sends last is in charge.
            found = None
        if found is None:
            found = self._begin(group, message, meta)
            if found is None:
                return
        found.heard_at = self._loop.time()
        window = self._host.config.snapshot_window_chunks
        if message.index == found.received and len(found.parts) < window:
            found.received += 1
            found.parts.append(message.data)
            self._write_soon(found)
        elif message.index < found.received:
            self._tell(found)

    def _begin(self, group: Group, message: Message, meta: SnapshotMeta) -> _Incoming | None:
        if message.index:
            self._reply(group, message, reject=True)  # What came before is gone: this process began anew.
            return None
        if len(self._active) >= self._host.config.snapshots_max:
            self._reply(group, message)  # It will come again.
            return None
        found = self._active[group.id] = _Incoming(group, message, meta, self._loop.time())
        fields = {"group": group.id, "from": message.sender, "index": meta.index}
        logger.info("receiving a snapshot", extra={"fields": fields})
        return found

    def may_step(self, group: Group, message: Message) -> bool:
        """Whether a SNAPSHOT message may go to the core: its state is staged here, or old news."""
        meta, found = message.snapshot, self._active.get(group.id)
        if meta is None or group.is_installing:
            return False
        if found is not None and found.is_staged and found.meta == meta:
            found.heard_at = self._loop.time()
            return True
        if meta.index <= group.applied:
            self._reply(group, message, hint_index=group.applied)
            return True
        if found is None or (found.sender, found.context) != (message.sender, message.context):
            self._reply(group, message, reject=True)
        return False

    def tick(self) -> None:
        """Give up what nobody sends any more, and what came otherwise. Call once a tick."""
        now, config = self._loop.time(), self._host.config
        for found in list(self._active.values()):
            if found.group.is_installing:
                continue
            if found.group.applied >= found.meta.index:
                self._abort(found)
            elif found.finishing is not None and not found.is_staged:
                if now - found.said_at > KEEP_ALIVE_S:
                    self._tell(found)
            elif now - found.heard_at > config.snapshot_idle_ms / 1000:
                fields = {"group": found.group.id, "from": found.sender, "chunks": found.written}
                logger.warning("a snapshot is received no further", extra={"fields": fields})
                self._host.counters.snapshots_failed_total += 1
                self._abort(found)

    # -- writing ---------------------------------------------------------------------------------------

    def _write_soon(self, found: _Incoming) -> None:
        if not found.is_writing:
            found.is_writing = True
            self._loop.call_soon(self._write_next, found)

    def _write_next(self, found: _Incoming) -> None:
        """Write one part, then let others have the loop."""
        found.is_writing = False
        if self._active.get(found.group.id) is not found or not found.parts:
            return
        data = found.parts.popleft()
        if not data:
            found.written += 1
            found.finishing = self._spawn(self._finish(found))
            self._tell(found)
            return
        try:
            found.sink.write(found.written, data)
        except Exception as error:
            self._refuse(found, error)
            return
        found.written += 1
        self._tell(found)
        if found.parts:
            self._write_soon(found)

    async def _finish(self, found: _Incoming) -> None:
        try:
            await found.sink.finish()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._refuse(found, error)
            return
        try:
            await self._host.flush(found.group)
        except Exception as error:
            self._host.end(error)
            return
        if self._active.get(found.group.id) is found:
            found.is_staged = True
            self._tell(found)

    def _refuse(self, found: _Incoming, error: Exception) -> None:
        if self._active.get(found.group.id) is not found:
            return
        if isinstance(error, DiskError):
            self._host.end(error)  # Nothing can be written to the store any more, nor be deleted from it.
            return
        fields = {"group": found.group.id, "from": found.sender, "error": str(error)}
        unexpected = None if isinstance(error, SnapshotRefused) else error
        logger.error("a snapshot cannot be taken", exc_info=unexpected, extra={"fields": fields})
        self._host.counters.snapshots_failed_total += 1
        self._send(found.group, found.sender, found.context, found.meta, reject=True)
        self._abort(found)

    # -- putting into force ----------------------------------------------------------------------------

    def install(self, group: Group, ready: raft.Ready, done: Callable[[Group, raft.Ready], None]) -> None:
        """Make the staged state the machine's, durably; ``done`` is called when the log may follow. The
        group's Ready stays outstanding meanwhile, so that the turns of other groups go on."""
        meta, found = ready.snapshot, self._active.get(group.id)
        if found is None or not found.is_staged or found.meta != meta:
            raise raft.BrokenInvariant(f"group {group.id}: a state is to be put into force that is not here")
        group.is_installing = True
        self._spawn(self._install(found, ready, done))

    async def _install(
        self, found: _Incoming, ready: raft.Ready, done: Callable[[Group, raft.Ready], None]
    ) -> None:
        try:
            found.group.machine.install(found.sink)
            await self._host.flush(found.group)
        except Exception as error:
            self._host.end(error)
            return
        done(found.group, ready)

    def installed(self, group: Group) -> None:
        """The log is emptied, too, and the core knows it: tell the sender."""
        group.is_installing = False
        found = self._active.pop(group.id, None)
        self._host.counters.snapshots_received_total += 1
        if found is not None:
            fields = {"group": group.id, "from": found.sender, "index": found.meta.index}
            logger.info("snapshot is in force", extra={"fields": fields})
            self._send(group, found.sender, found.context, found.meta, hint_index=found.meta.index)

    # -- ending ----------------------------------------------------------------------------------------

    def forget(self, group: int) -> None:
        """The group leaves this node."""
        found = self._active.get(group)
        if found is not None:
            self._abort(found)

    async def settle(self) -> None:
        """Wait for what runs in the thread."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Give up everything that is not in force."""
        for found in list(self._active.values()):
            if not found.group.is_installing:
                self._abort(found)
        await self.settle()

    def _abort(self, found: _Incoming) -> None:
        self._active.pop(found.group.id, None)
        if found.finishing is not None:
            found.finishing.cancel()
        found.parts.clear()
        try:
            found.sink.abort()
        except DiskError as error:
            self._host.end(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work, name="memraft-snapshot")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # -- saying ----------------------------------------------------------------------------------------

    def _tell(self, found: _Incoming) -> None:
        found.said_at = self._loop.time()
        staged = found.meta.index if found.is_staged else 0
        self._send(found.group, found.sender, found.context, found.meta, index=found.written, commit=staged)

    def _reply(self, group: Group, message: Message, *, hint_index: int = 0, reject: bool = False) -> None:
        meta = message.snapshot
        assert meta is not None
        self._send(group, message.sender, message.context, meta, hint_index=hint_index, reject=reject)

    def _send(
        self,
        group: Group,
        to: int,
        context: int,
        meta: SnapshotMeta,
        *,
        index: int = 0,
        commit: int = 0,
        hint_index: int = 0,
        reject: bool = False,
    ) -> None:
        reply = Message(
            MessageType.SNAPSHOT_REPLY,
            group.core.id,
            to,
            group.term,
            index=index,
            commit=commit,
            hint_index=hint_index,
            reject=reject,
            context=context,
            snapshot=meta,
        )
        self._host.send_now(group.id, reply)
