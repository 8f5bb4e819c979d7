"""What a durable embedded memory keeps in its directory: the log, and behind it the state of its machine.

::

    MEMRAFT           marks the directory (`embedded_directory`)
    HEAD marks *.log  what was written since the state below: synced before a write is acknowledged
    state/            what became of it all (`store`)

What was applied goes to the state every thousand facts, and the log is cut once it has grown, in a thread of
its own: opening reads the state and replays what the log has beyond it. There is nobody to heal from. So a
damaged state is set aside only where the log still holds everything, and damage to the log is passed over
only where the state covers it; else opening fails and says what is damaged.
"""

from __future__ import annotations

import threading
from pathlib import Path

from memraft_cluster.errors import DataDirectoryError, DiskError, LogCorrupted, StateCorrupted
from memraft_cluster.log import Durability, DurableLog
from memraft_cluster.raft import Entry, Membership, SnapshotMeta
from memraft_server.embedded_directory import DirectoryUnusable, claim
from memraft_server.embedded_legacy import (
    begin_move,
    commit_move,
    finish_move,
    has_old_log,
    read_old_log,
)
from memraft_server.entries import EntryMalformed, decode_entry
from memraft_server.machine import Limits, Machine
from memraft_server.machine.journal import Journal
from memraft_server.saver import Saver, StateReader, delete_beyond, stored_journal
from memraft_server.store import StateStore, is_lost_in_fork
from memraft_server.store_group import GroupStore
from memraft_server.store_repair import set_aside

CLUSTER = "embedded memory"
"""In the stamp where a node has its cluster's name; no cluster can be called so, for the blank in it."""
NODE = "local"
STATE = "state"
UNCOMPARED = b""
"""What the hash of applied entries covers beside stamp and reply: there is no replica to compare with."""
SAVE_FACTS = 1_000
"""As many facts are taken to the state at a time: some 2 ms, once every thousand writes."""
SAVE_BYTES = 1 << 20
"""And what so much of the log has brought: facts may be of many events. What is saved while it is still in
the processor's cache takes a tenth less."""
LOG_KEEP_BYTES = 16 << 20
"""A log that holds more is cut: what of it has to be replayed when a process ends without closing."""
_GROUP = 0
_TERM = 1
_MEMBERS = Membership((1,))


class EmbeddedStorage:
    """Log and state of one machine, open. Everything but its own thread runs under the engine's lock.

    Args:
        path: the directory; made when missing.
        lock: the engine's.
        is_relaxed: whether the log is synced every 100 ms instead of before a write is acknowledged.

    Raises:
        DirectoryUnusable: it is locked, damaged, or holds something else.
    """

    def __init__(self, path: str | Path, lock: threading.RLock, is_relaxed: bool = False) -> None:
        self._durability = Durability.RELAXED if is_relaxed else Durability.COMMIT
        self.machine = Machine(0, Limits(), Journal())
        self._path = Path(path)
        self._lock = lock
        self._cutter: threading.Thread | None = None
        if is_lost_in_fork():
            raise DirectoryUnusable(
                f"no memory can be opened in {path}: this process was forked from one that had opened a "
                "memory in a directory, and RocksDB does not survive that; start it with 'spawn' or "
                "'forkserver'"
            )
        claim(self._path)
        try:
            if has_old_log(self._path):
                self._move_old_log()
            self.log, self._store = self._open()
        except (DataDirectoryError, EntryMalformed) as error:
            raise DirectoryUnusable(str(error)) from error
        except DiskError as error:
            raise DirectoryUnusable(f"the memory in {path} cannot be opened: {error}") from error
        self._saver = Saver(self.machine, self._store.group(_GROUP))
        self._state_failure = ""
        self._unsaved_bytes = 0

    def append(self, index: int, data: bytes) -> None:
        """Makes an entry durable, now or soon. Raises DiskError."""
        self.log.append(_GROUP, (Entry(_TERM, index, data),))
        self._unsaved_bytes += len(data)

    def note_applied(self) -> None:
        """Takes what was applied to the state, where enough has gathered."""
        is_due = self._saver.unsaved >= SAVE_FACTS or self._unsaved_bytes >= SAVE_BYTES
        if is_due and not self._state_failure:
            self._unsaved_bytes = 0
            try:
                self._saver.save(_meta(self.machine))
            except DiskError as error:
                # Nothing is lost: the log has it all, and keeps it.
                self._state_failure = str(error)
                return
            if self.log.group(_GROUP).size_bytes > LOG_KEEP_BYTES and self._cutter is None:
                self._cutter = threading.Thread(target=self._flush_and_cut, name="memraft-cut")
                self._cutter.start()

    def close(self, has_failed: bool) -> None:
        """Leaves a state that needs no replay, unless the disk has failed a write, and closes everything."""
        cutter = self._cutter
        if cutter is not None:
            cutter.join()
        if not has_failed and not self._state_failure:
            try:
                self._saver.finish()
                self._saver.save(_meta(self.machine))
                self._saver.finish()
                self._store.flush()
                self._cut()
            except DiskError:
                pass  # The log has what was acknowledged.
        self._store.close()
        self.log.close()

    def leave_behind(self) -> None:
        """In a child of a fork: lets go of the directory's lock; see `DurableLog.leave_behind`."""
        self.log.leave_behind()

    def _flush_and_cut(self) -> None:
        try:
            saved = self._store.group(_GROUP).saved
            self._store.flush()
            with self._lock:
                if saved is not None:
                    self.log.cut(_GROUP, saved.meta)
        except DiskError as error:
            self._state_failure = str(error)  # The next write to the log says so, if it is the same disk.
        finally:
            self._cutter = None

    def _cut(self) -> None:
        saved = self._store.group(_GROUP).saved
        if saved is not None and saved.meta.index:
            self.log.cut(_GROUP, saved.meta)

    # -- opening ---------------------------------------------------------------------------------------

    def _open(self) -> tuple[DurableLog, StateStore]:
        log = self._open_log()
        try:
            store = self._open_state(log)
            try:
                saved = store.group(_GROUP).saved
                for entry in log.replay(_GROUP, (saved.meta.index if saved is not None else 0) + 1):
                    self.machine.apply(entry.index, *decode_entry(entry.data), UNCOMPARED)
            except BaseException:
                store.close()
                raise
        except BaseException:
            log.close()
            raise
        return log, store

    def _open_log(self) -> DurableLog:
        """Opens the log; of a damaged one what it has behind the state is enough. Raises as DurableLog."""
        try:
            return DurableLog(self._path, cluster=CLUSTER, node=NODE, durability=self._durability)
        except LogCorrupted as damage:
            try:
                store = StateStore(self._path / STATE, cluster=CLUSTER, node=NODE)
            except StateCorrupted:
                raise damage from None
            bases = store.bases()
            store.close()
            return DurableLog(
                self._path, cluster=CLUSTER, node=NODE, durability=self._durability, state_bases=bases
            )

    def _open_state(self, log: DurableLog) -> StateStore:
        """Opens the store and loads the machine from it. Raises DataDirectoryError, DiskError."""
        base = log.group(_GROUP).base()
        path = self._path / STATE
        try:
            store = StateStore(path, cluster=CLUSTER, node=NODE)
            try:
                self._load(store.group(_GROUP))
            except BaseException:
                store.close()
                raise
        except StateCorrupted as damage:
            if base is not None and base.index:
                raise
            reason = str(damage)
        else:
            saved = store.group(_GROUP).saved
            reached = saved.meta.index if saved is not None else 0
            if base is not None and reached < base.index:
                store.close()
                raise StateCorrupted(
                    str(path), f"it ends at write {reached}, and the log begins behind {base.index}"
                )
            if saved is not None and reached > log.group(_GROUP).last_index():
                if self._durability is Durability.RELAXED:  # the power failed between the state and its sync
                    log.reset(_GROUP, saved.meta)
                    return store
                store.close()
                raise StateCorrupted(
                    str(path),
                    f"it ends at write {reached}, the log at {log.group(_GROUP).last_index()}; where power "
                    "failed on a memory with durability='relaxed', open it so",
                )
            return store
        # The log holds every write there ever was, and so all that is needed.
        set_aside(path, reason)
        store = StateStore(path, cluster=CLUSTER, node=NODE)
        self.machine.become(Machine(0, Limits(), stored_journal(store.group(_GROUP))))
        return store

    def _load(self, group: GroupStore) -> None:
        journal = stored_journal(group)
        if group.saved is None:
            self.machine.become(Machine(0, Limits(), journal))
            return
        reader = StateReader(0, Limits(), group.saved.label, group.read(), group.path, journal)
        for _ in reader.portions():
            pass
        delete_beyond(group, reader.beyond)
        self.machine.become(reader.machine)

    def _move_old_log(self) -> None:
        """Makes a log and a state of what a version before this one kept. A crash leaves the old one."""
        new_log = begin_move(self._path, self._path / STATE)
        machine = Machine(0, Limits(), Journal())
        for index, data in read_old_log(self._path):
            machine.apply(index, *decode_entry(data), UNCOMPARED)
        store = StateStore(self._path / STATE, cluster=CLUSTER, node=NODE)
        try:
            saver = Saver(machine, store.group(_GROUP))
            saver.save(_meta(machine))
            saver.finish()
            store.flush()
        finally:
            store.close()
        log = DurableLog(new_log, cluster=CLUSTER, node=NODE)
        try:
            if machine.applied_index:
                log.reset(_GROUP, _meta(machine))
        finally:
            log.close()
        commit_move(self._path)
        finish_move(self._path)


def _meta(machine: Machine) -> SnapshotMeta:
    return meta_at(machine.applied_index)


def meta_at(index: int) -> SnapshotMeta:
    """What labels the state after a write, and the log that begins behind it."""
    return SnapshotMeta(index, _TERM, _MEMBERS)
