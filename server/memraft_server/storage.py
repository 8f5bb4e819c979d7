"""What a node keeps on its disk, opened in the right order, and what happens where part of it is damaged.

::

    data_dir/bootstrap.json   how the cluster began (``bootstrap``)
    data_dir/record           the cluster's own record (``cluster_record``)
    data_dir/log/             entries and votes of all groups (``memraft_cluster.log``)
    data_dir/state/           what the machines became (``store``)
    data_dir/ballast          room to start with on a full disk (``memraft_cluster.diskspace``)

Damage is named, what is damaged is set aside for people to look at, and the replicas get back from other
nodes what they lack before they vote again. Where there is no other node it is only named: nothing is
guessed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from memraft_cluster.diskspace import DiskSpace
from memraft_cluster.errors import DataDirectoryError, StateCorrupted
from memraft_cluster.layout import Layout
from memraft_cluster.log import Durability, DurableLog
from memraft_cluster.meta import META_GROUP, Record
from memraft_cluster.raft import SnapshotMeta
from memraft_cluster.salvage import open_or_salvage
from memraft_cluster.slots import make_directory, sync_directory
from memraft_server.bootstrap import LOG, pinned_record
from memraft_server.cluster_record import read_record_file
from memraft_server.config import Config
from memraft_server.store import StateStore
from memraft_server.store_repair import SET_ASIDE_MAX, set_aside

logger = logging.getLogger("memraft.node")

RECORD = "record"
STATE = "state"
RESTORING = ".memraft-restoring"
"""Where a backup is unpacked (``restore``); gone when that is done."""

Checked = Callable[[int], None]
"""(entries of the log checked so far)."""


@dataclass(frozen=True, slots=True)
class Storage:
    """All of it, open. ``pinned`` is the record that the cluster began with, None on a node that joined."""

    space: DiskSpace
    log: DurableLog
    store: StateStore
    record_path: Path
    pinned: Record | None


def open_storage(config: Config, layout: Layout, checked: Checked | None = None) -> Storage:
    """Opens the data directory of a node, and makes it where there is none.

    Raises:
        DataDirectoryError: it belongs to somebody else, is in use, or is damaged beyond what other nodes can
            bring back.
        DiskError: it cannot be read or written.
    """
    directory = Path(config.node.data_dir)
    try:
        make_directory(directory)
        _tell_where_empty(directory)
        if (directory / RESTORING).exists():
            raise DataDirectoryError(
                f"{directory}: a restore was begun and not finished: run `memraft restore` again"
            )
        space = DiskSpace(directory, config.disk.reserve_bytes or None)
        space.prepare_start()
    except OSError as error:
        raise DataDirectoryError(f"{directory} cannot be used: {error.strerror or error}") from error
    pinned = pinned_record(config)
    saved = _saved_record(directory / RECORD)
    known = saved[1] if saved is not None and saved[1] is not None else pinned
    can_heal = has_others(known, config.node.id)
    store = _open_state(config, directory / STATE, can_heal)
    try:
        bases = store.bases()
        if saved is not None:
            bases[META_GROUP] = saved[0]
        log, report = open_or_salvage(
            directory / LOG,
            cluster=config.cluster.name,
            node=config.node.name,
            node_id=config.node.id,
            layout=layout,
            durability=Durability(config.durability.mode),
            progress=checked,
            state_bases=bases,
            can_heal=can_heal,
        )
    except BaseException:
        store.close()
        raise
    try:
        keep_log_of_lost_states(directory, log, bases)
    except BaseException:
        log.close()
        store.close()
        raise
    if report is not None:
        fields = {"damage": report.damage, "kept_in": report.set_aside, "groups": len(report.groups)}
        logger.error(
            "the log is damaged; no vote until sound nodes have brought back what it lacks",
            extra={"fields": fields},
        )
    return Storage(space, log, store, directory / RECORD, pinned)


def _tell_where_empty(directory: Path) -> None:
    """A disk that was replaced, or is not mounted, looks like a new node's. Raises OSError."""
    if not (directory / LOG).exists():
        logger.warning(
            "no data here: this node begins with nothing, and votes in no shard that others have before it "
            "has what they have; if it had data, look whether its disk is mounted",
            extra={"fields": {"data_dir": str(directory)}},
        )


def keep_log_of_lost_states(directory: Path, log: DurableLog, bases: Mapping[int, SnapshotMeta]) -> None:
    """Copies the log where it begins behind a state that is not there, before it begins anew for that.

    The other nodes bring such a replica back. But where the states of a majority are lost, entries that were
    acknowledged stand in these logs alone.

    Args:
        directory: of the node; the log is in ``log``, the copy goes beside it.
        log: open, not written to yet.
        bases: what the states on this disk reach to, by group.

    Raises:
        DataDirectoryError: it cannot be copied.
    """
    lost = [group for group in log.groups() if _is_state_lost(log.group(group).base(), bases.get(group))]
    if not lost:
        return
    kept = directory / f"{LOG}.kept-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    try:
        older = sorted(directory.glob(f"{LOG}.kept-*"))
        for each in older[: max(0, len(older) + 1 - SET_ASIDE_MAX)]:
            shutil.rmtree(each, ignore_errors=True)
        shutil.copytree(directory / LOG, kept)
        sync_directory(directory)
    except OSError as failure:
        shutil.rmtree(kept, ignore_errors=True)
        raise DataDirectoryError(
            f"{directory / LOG} goes with a state that is lost, and cannot be copied to {kept} before it "
            f"begins anew: {failure.strerror or failure}"
        ) from failure
    fields = {"groups": lost, "kept_in": str(kept)}
    logger.error("states are lost; other nodes bring them back", extra={"fields": fields})


def _is_state_lost(base: SnapshotMeta | None, saved: SnapshotMeta | None) -> bool:
    return base is not None and (saved.index if saved is not None else 0) < base.index


def has_others(record: Record | None, node: int) -> bool:
    """Whether all that a node holds is on other nodes, too, by a record; True where none is known."""
    if record is None:
        return True
    placed = [record.meta, *(shard.actual for shard in record.shards)]
    return all(len(each.voters) > 1 for each in placed if node in each.voters)


def _saved_record(path: Path) -> tuple[SnapshotMeta, Record | None] | None:
    """A damaged file counts as none: its machine says so when it is loaded."""
    try:
        return read_record_file(path)
    except (ValueError, OSError):
        return None


def _open_state(config: Config, path: Path, can_heal: bool) -> StateStore:
    def opened() -> StateStore:
        return StateStore(path, cluster=config.cluster.name, node=config.node.name)

    try:
        return opened()
    except StateCorrupted as error:
        if not can_heal:
            raise
        set_aside(path, str(error))
        return opened()
