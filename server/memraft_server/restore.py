"""Makes a data directory out of a backup: offline, before the first start of what will run on it.

Every node of a new cluster is restored from the same folder with its own configuration. There may be more or
fewer nodes than before, but as many shards: which shard a namespace is in depends on their number. The groups
begin where the backup ends, with the members that the new configuration gives them, and with votes that are
known: so they elect leaders as if their nodes had been stopped just now.

All is made in a folder of the directory (`storage.RESTORING`) and moved when it is whole and durable. A
crash leaves that folder; a node refuses to start beside it, and the next restore begins anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from memraft_cluster.layout import Layout
from memraft_cluster.log import DurableLog
from memraft_cluster.meta import META_GROUP
from memraft_cluster.raft import HardState, Membership, SnapshotMeta
from memraft_proto.sharding import SLOT_COUNT
from memraft_server import embedded_storage
from memraft_server.backup import BackupUnusable, Manifest, Progress, ShardFile, read_manifest, read_shard
from memraft_server.bootstrap import FILE as BOOTSTRAP
from memraft_server.bootstrap import LOG, configured_record, pinned_record
from memraft_server.cluster_record import sync_directory
from memraft_server.config import Config
from memraft_server.embedded_directory import MARK, claim
from memraft_server.machine.facts import StateLabel
from memraft_server.snapshot_format import Header
from memraft_server.storage import RESTORING, STATE
from memraft_server.store import ROWS_A_BATCH, SavedState, StateStore

NOT_DATA = frozenset({"lost+found"})
"""What the root of a file system has, and may stay beside a node's data."""
_OWN_FILES = frozenset({BOOTSTRAP, MARK, "HEAD", "marks", "LOCK"})
_NAMES_SHOWN_MAX = 5

MetaOf = Callable[[SnapshotMeta, StateLabel], SnapshotMeta]
"""What a state is labelled with in its new place, by its header in the backup."""


class RestoreRefused(Exception):
    """The backup does not fit the configuration, or the directory is in use. The message says what to do."""


class Restored(msgspec.Struct, frozen=True):
    """What was restored: ``shards`` of the backup are in the directory now. ``others`` are the names of the
    nodes of the new cluster that are to be restored, too."""

    directory: str
    manifest: Manifest
    shards: tuple[ShardFile, ...]
    others: tuple[str, ...] = ()


# -- a node ------------------------------------------------------------------------------------------------


def restore_node(folder: Path, config: Config, progress: Progress | None = None) -> Restored:
    """Fills the data directory of the node that `config` describes. Blocks.

    Args:
        folder: the backup; only read.
        config: of the node, with all nodes of the new cluster.
        progress: called now and then.

    Raises:
        BackupUnusable: the backup is damaged. Nothing was restored.
        RestoreRefused: see there. Nothing was restored.
        memraft_cluster.errors.ClusterError, OSError: the directory cannot be written.
    """
    manifest = read_manifest(folder)
    _check_fit(folder, manifest, config)
    directory = Path(config.node.data_dir)
    # The pinned record comes last: beside a log without one, or one without a log, no node starts.
    with _making(directory, (STATE, LOG, BOOTSTRAP)) as making:
        own = msgspec.structs.replace(config.node, data_dir=str(making))
        pinned_record(msgspec.structs.replace(config, node=own))
        shards = _fill_node(folder, manifest, config, making, progress)
    others = tuple(each.name for each in config.cluster.nodes if each.id != config.node.id)
    return Restored(str(directory), manifest, shards, others)


def _check_fit(folder: Path, manifest: Manifest, config: Config) -> None:
    shards = len(manifest.shards)
    if shards != config.cluster.shards:
        raise RestoreRefused(
            f"the backup has {shards} shards, the configuration says cluster.shards = "
            f"{config.cluster.shards}: set it to {shards}, because namespaces are spread by it; only the "
            "number of nodes may be another"
        )
    if manifest.slot_count != SLOT_COUNT:
        raise RestoreRefused(f"the backup has {manifest.slot_count} slots, this version {SLOT_COUNT}")
    if config.cluster.join:
        raise RestoreRefused(
            "cluster.join is set: a node that joins a cluster gets its state from the others; restore those "
            "that the new cluster begins with"
        )
    for mine, theirs in zip(configured_record(config).shards, manifest.shards, strict=True):
        if (mine.first, mine.end) != (theirs.slot_first, theirs.slot_end):
            raise RestoreRefused(
                f"shard {mine.shard} has slots {theirs.slot_first} to {theirs.slot_end - 1} in the backup, "
                f"{mine.first} to {mine.end - 1} in the new cluster"
            )


def _fill_node(
    folder: Path, manifest: Manifest, config: Config, making: Path, progress: Progress | None
) -> tuple[ShardFile, ...]:
    cluster, node = config.cluster.name, config.node
    shards: list[ShardFile] = []
    metas: dict[int, SnapshotMeta] = {}
    store = StateStore(making / STATE, cluster=cluster, node=node.name)
    try:
        for mine, theirs in zip(configured_record(config).shards, manifest.shards, strict=True):
            if node.id not in mine.replicas:
                continue
            members = Membership.of(mine.replicas)

            def meta_of(meta: SnapshotMeta, _: StateLabel, members: Membership = members) -> SnapshotMeta:
                return SnapshotMeta(meta.index, meta.term, members)

            metas[mine.shard] = _fill_shard(folder, theirs, store, mine.shard, meta_of, progress)
            shards.append(theirs)
        store.flush()
    finally:
        store.close()
    layout = Layout(config.cluster.shards)
    log = DurableLog(making / LOG, cluster=cluster, node=node.name, node_id=node.id, layout=layout)
    try:
        for shard, meta in metas.items():
            log.append(shard, (), HardState(meta.term, 0, 0))
            log.reset(shard, meta)
            log.append(shard, (), HardState(meta.term, 0, meta.index))
        # The record's own group begins with nothing, but knows that it has given no vote: a majority of the
        # nodes can begin it, as they can the shards.
        log.append(META_GROUP, (), HardState(0, 0, 0))
    finally:
        log.close()
    return tuple(shards)


# -- an embedded memory ------------------------------------------------------------------------------------


def restore_embedded(folder: Path, directory: Path, progress: Progress | None = None) -> Restored:
    """Makes the directory of an embedded memory out of a backup of one shard. Blocks.

    Raises:
        BackupUnusable: the backup is damaged. Nothing was restored.
        RestoreRefused: the backup has more shards than one, or the directory is in use. Nothing was restored.
        memraft_cluster.errors.ClusterError, DirectoryUnusable, OSError: the directory cannot be written.
    """
    manifest = read_manifest(folder)
    if len(manifest.shards) != 1:
        raise RestoreRefused(
            f"the backup has {len(manifest.shards)} shards; an embedded memory is 1: restore into a cluster"
        )
    with _making(directory, (), MARK) as making:
        claim(making)
        _fill_embedded(folder, manifest.shards[0], making, progress)
    return Restored(str(directory), manifest, manifest.shards)


def _fill_embedded(folder: Path, shard: ShardFile, making: Path, progress: Progress | None) -> None:
    cluster, node = embedded_storage.CLUSTER, embedded_storage.NODE
    store = StateStore(making / embedded_storage.STATE, cluster=cluster, node=node)
    try:
        meta = _fill_shard(folder, shard, store, 0, _embedded_meta, progress)
        store.flush()
    finally:
        store.close()
    log = DurableLog(making, cluster=cluster, node=node)
    try:
        if meta.index:
            log.reset(0, meta)
    finally:
        log.close()


def _embedded_meta(_: SnapshotMeta, label: StateLabel) -> SnapshotMeta:
    return embedded_storage.meta_at(label.applied_index)


# -- what both share ---------------------------------------------------------------------------------------


def _fill_shard(
    folder: Path, shard: ShardFile, store: StateStore, group: int, meta_of: MetaOf, progress: Progress | None
) -> SnapshotMeta:
    """Puts the state of a shard into a store. Raises BackupUnusable, DiskError."""
    into = store.group(group)
    staging = into.stage()
    header: Header | None = None
    for first, rows in read_shard(folder, shard, progress):
        header = first
        for start in range(0, len(rows), ROWS_A_BATCH):
            staging.write(rows[start : start + ROWS_A_BATCH])
    if header is None:
        raise BackupUnusable(f"{folder / shard.file} is empty")
    meta = meta_of(header.meta, header.label)
    into.adopt(staging, SavedState(meta, header.label))
    return meta


@contextmanager
def _making(directory: Path, order: tuple[str, ...], last: str = "") -> Iterator[Path]:
    """A folder to make the content of a directory in; moved into the directory when nothing was raised,
    removed otherwise.

    Args:
        directory: one that is not there, or empty, or that of a restore which was broken off.
        order: what is moved first, in this order; then all else.
        last: what is moved at the very end.
    """
    was_there = directory.exists()
    _claim(directory)
    making = directory / RESTORING
    making.mkdir()
    try:
        yield making
        names = {each.name for each in making.iterdir()}
        others = sorted(names - {*order, last})
        for name in (*order, *others, *((last,) if last else ())):
            (making / name).rename(directory / name)
            sync_directory(directory)
        making.rmdir()
        sync_directory(directory)
        sync_directory(directory.resolve().parent)
    except BaseException:
        _clear(directory)
        if not was_there:
            directory.rmdir()
        raise


def _claim(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise RestoreRefused(f"{directory} is a file: restore into a directory that is new or empty")
    directory.mkdir(parents=True, exist_ok=True)
    if (directory / RESTORING).exists():
        _clear(directory)
    names = sorted(each.name for each in directory.iterdir() if each.name not in NOT_DATA)
    if names:
        shown = ", ".join(map(repr, names[:_NAMES_SHOWN_MAX]))
        more = " and more" if len(names) > _NAMES_SHOWN_MAX else ""
        raise RestoreRefused(
            f"{directory} is not empty, it holds {shown}{more}: restore into a directory that is new or empty"
        )


def _clear(directory: Path) -> None:
    """Removes what a restore has made. The folder in which it was made goes last: it says whose all is."""
    for each in directory.iterdir():
        if each.name in (STATE, LOG):
            shutil.rmtree(each)
        elif each.name in _OWN_FILES or each.suffix == ".log":
            each.unlink()
    shutil.rmtree(directory / RESTORING, ignore_errors=True)
