"""What is done about a state store outside its daily work: looked over, or set aside when it is damaged."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from memraft_cluster.errors import ClusterError, DataDirectoryError, StateCorrupted
from memraft_cluster.raft import SnapshotMeta
from memraft_cluster.slots import sync_directory
from memraft_server.machine import Limits
from memraft_server.saver import StateReader
from memraft_server.store import StateStore

logger = logging.getLogger("memraft.store")

SET_ASIDE_MAX = 2
"""Damaged stores that are kept for people to look at."""


class GroupFinding(msgspec.Struct, frozen=True):
    """What a look at a group's state found. `group` is None for what is not one group's; `meta` where the
    label could be read; `problem` is empty where all is sound."""

    group: int | None
    meta: SnapshotMeta | None
    rows: int
    problem: str


def set_aside(path: Path, reason: str) -> Path:
    """Moves a damaged store, closed, out of the way, durably; keeps the newest few. Returns where it is now.

    Raises:
        DataDirectoryError: it cannot be moved.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    kept = sorted(path.parent.glob(f"{path.name}.damaged-*"))
    for old in kept[: max(0, len(kept) - SET_ASIDE_MAX + 1)]:
        shutil.rmtree(old, ignore_errors=True)
    try:
        path.rename(aside)
        sync_directory(path.parent)
    except OSError as failure:
        raise DataDirectoryError(
            f"{path} is damaged ({reason}) and cannot be set aside: {failure.strerror or failure}"
        ) from failure
    fields = {"damage": reason, "kept_in": str(aside)}
    logger.error("the state is damaged and was set aside; it is made anew", extra={"fields": fields})
    return aside


def look_over(path: Path, copy: Path) -> Iterator[GroupFinding]:
    """Reads everything in a store that no process has open, and changes nothing in it.

    Opening a RocksDB writes, so the look is at a copy made of hard links, where files are only ever added.

    Args:
        path: the store.
        copy: a directory that is not there, on the same file system; removed at the end.
    """
    copy.mkdir(parents=True)
    try:
        for each in path.iterdir():
            target = copy / each.name
            if each.suffix in (".sst", ".blob"):
                target.hardlink_to(each)
            elif each.is_file() and each.name != "LOCK":
                shutil.copy2(each, target)
        try:
            store = StateStore(copy, cluster=None)
        except ClusterError as error:
            yield GroupFinding(_group_of(error), None, 0, _told(error, copy, path))
            return
        try:
            yield from _groups(store, copy, path)
        finally:
            store.close()
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _groups(store: StateStore, copy: Path, path: Path) -> Iterator[GroupFinding]:
    for number in store.groups():
        group = store.group(number)
        if group.saved is None:
            continue
        meta, label = group.saved.meta, group.saved.label
        problem = ""
        try:
            for _ in StateReader(number, Limits(), label, group.read(), store.path).portions():
                pass
        except StateCorrupted as damage:
            problem = _told(damage, copy, path)
        yield GroupFinding(number, meta, label.rows, problem)


def _group_of(error: ClusterError) -> int | None:
    return error.group if isinstance(error, StateCorrupted) else None


def _told(error: ClusterError, copy: Path, path: Path) -> str:
    """The error as it is about the store, not its copy."""
    return str(error).replace(str(copy), str(path))
