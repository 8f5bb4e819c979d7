"""Makes a node's data directory out of a backup, for a new cluster: offline, before the node's first start.

Every node of the new cluster is restored from the same folder with its own configuration. There may be more
or fewer nodes than before, but as many shards: which shard a namespace is in depends on their number. The
groups begin where the backup ends, with the members that the new configuration gives them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from memraft_cluster.layout import Layout
from memraft_cluster.log import DurableLog
from memraft_cluster.raft import HardState, Membership, SnapshotMeta
from memraft_proto.sharding import SLOT_COUNT
from memraft_server.backup import BackupUnusable, Manifest, Progress, ShardFile, read_manifest, read_shard
from memraft_server.bootstrap import configured_record, pinned_record
from memraft_server.cluster_record import sync_directory
from memraft_server.config import Config
from memraft_server.snapshot_format import Header
from memraft_server.store import ROWS_A_BATCH, SavedState, StateStore

_LOG, _STATE, _MAKING = "log", "state", "restoring"


class RestoreRefused(Exception):
    """The backup does not fit the configuration, or the directory is in use. The message says what to do."""


def restore(folder: Path, config: Config, progress: Progress | None = None) -> Manifest:
    """Fills the data directory of the node that `config` describes. Blocks.

    Args:
        folder: the backup; only read.
        config: of the node, with all nodes of the new cluster.
        progress: called now and then.

    Returns:
        What was restored: of it, this node has the shards that the configuration places on it.

    Raises:
        BackupUnusable: the backup is damaged. Nothing was restored.
        RestoreRefused: see there. Nothing was restored.
        memraft_cluster.errors.ClusterError: the directory cannot be written.
    """
    manifest = read_manifest(folder)
    _check_fit(manifest, config)
    directory = Path(config.node.data_dir)
    for name in (_LOG, _STATE, "record"):
        if (directory / name).exists():
            raise RestoreRefused(f"{directory} holds a node's data already ({name}): restore into a new one")
    making = directory / _MAKING
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        _fill(folder, manifest, config, making, progress)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    pinned_record(config)
    for name in (_STATE, _LOG):  # A state without a log is refused at start; a log without one would not be.
        (making / name).rename(directory / name)
        sync_directory(directory)
    making.rmdir()
    return manifest


def _check_fit(manifest: Manifest, config: Config) -> None:
    shards = len(manifest.shards)
    if shards != config.cluster.shards:
        raise RestoreRefused(
            f"the backup has {shards} shards, the config says cluster.shards = {config.cluster.shards}: "
            f"set it to {shards}, because namespaces are spread by it; the number of nodes may be another"
        )
    if manifest.slot_count != SLOT_COUNT:
        raise RestoreRefused(f"the backup has {manifest.slot_count} slots, this version {SLOT_COUNT}")
    if config.cluster.join:
        raise RestoreRefused("cluster.join is set: a node that joins gets its state from the others")
    for mine, theirs in zip(configured_record(config).shards, manifest.shards, strict=True):
        if (mine.first, mine.end) != (theirs.slot_first, theirs.slot_end):
            raise RestoreRefused(
                f"shard {mine.shard} has slots {theirs.slot_first} to {theirs.slot_end - 1} in the backup, "
                f"{mine.first} to {mine.end - 1} in the new cluster"
            )


def _fill(folder: Path, manifest: Manifest, config: Config, making: Path, progress: Progress | None) -> None:
    cluster, node = config.cluster.name, config.node
    store = StateStore(making / _STATE, cluster=cluster, node=node.name)
    try:
        metas: dict[int, SnapshotMeta] = {}
        for mine, theirs in zip(configured_record(config).shards, manifest.shards, strict=True):
            if node.id in mine.replicas:
                members = Membership.of(mine.replicas)
                metas[mine.shard] = _fill_shard(folder, theirs, store, members, progress)
        store.flush()
    finally:
        store.close()
    log = DurableLog(
        making / _LOG,
        cluster=cluster,
        node=node.name,
        node_id=node.id,
        layout=Layout(config.cluster.shards),
    )
    try:
        for shard, meta in metas.items():
            log.append(shard, (), HardState(meta.term, 0, 0))
            log.reset(shard, meta)
            log.append(shard, (), HardState(meta.term, 0, meta.index))
    finally:
        log.close()


def _fill_shard(
    folder: Path, shard: ShardFile, store: StateStore, members: Membership, progress: Progress | None
) -> SnapshotMeta:
    group = store.group(shard.shard)
    staging = group.stage()
    found: Header | None = None
    for header, rows in read_shard(folder, shard, progress):
        found = header
        for start in range(0, len(rows), ROWS_A_BATCH):
            staging.write(rows[start : start + ROWS_A_BATCH])
    if found is None:
        raise BackupUnusable(f"{folder / shard.file} is empty")
    meta = SnapshotMeta(found.meta.index, found.meta.term, members)
    group.adopt(staging, SavedState(meta, found.label))
    return meta
