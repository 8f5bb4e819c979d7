"""How a node's cluster began, pinned in the data directory at the node's first start.

The first nodes of a cluster know each other from their configuration: who they are, and which shard begins
where. That must never change afterwards, whatever the configuration says later: a group whose log holds no
change of its members yet still has the members that it began with. So it is written down once, and the
configuration is not looked at again. A node that joins later begins with nothing and is told.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from memraft_cluster.errors import DataDirectoryError
from memraft_cluster.meta import NodeEntry, Record, bootstrap_record
from memraft_server.cluster_record import replace_file
from memraft_server.config import Config

FILE = "bootstrap.json"
LOG = "log"


class _Pinned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. ``record`` None: the node joins a cluster that there is already."""

    record: Record | None


def configured_record(config: Config) -> Record:
    """The record of a new cluster of the configured nodes, epoch 0."""
    cluster = config.cluster
    nodes = [NodeEntry(each.id, each.name, each.peer, each.client) for each in cluster.nodes]
    return bootstrap_record(cluster.name, nodes, cluster.shards, cluster.replicas)


def pinned_record(config: Config) -> Record | None:
    """The record that this node's cluster began with; None where the node joins, or has joined, another's.
    Pinned here when there is nothing pinned yet.

    Raises:
        DataDirectoryError: the file is damaged, missing beside a log, or cannot be read or written.
    """
    path = Path(config.node.data_dir) / FILE
    try:
        pinned = _read(path)
        if pinned is None:
            pinned = _Pinned(None if config.cluster.join else configured_record(config))
            replace_file(path, msgspec.json.format(msgspec.json.encode(pinned), indent=2) + b"\n")
    except OSError as error:
        raise DataDirectoryError(f"{path} cannot be used: {error.strerror or error}") from error
    return pinned.record


def check_pinned(directory: Path) -> str:
    """What is wrong with what is pinned in a data directory; empty: nothing, or it is not there."""
    try:
        msgspec.json.decode((directory / FILE).read_bytes(), type=_Pinned)
    except FileNotFoundError:
        return ""
    except msgspec.MsgspecError as error:
        return str(error)
    return ""


def _read(path: Path) -> _Pinned | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Pinned)
    except FileNotFoundError:
        log = path.parent / LOG
        if not (log.exists() and any(log.iterdir())):
            return None
        what = "missing beside a log"
    except msgspec.MsgspecError as error:
        what = f"damaged ({error})"
    raise DataDirectoryError(
        f"{path} is {what}: without it this node does not know how its cluster began; copy the file from "
        "another node that began with the cluster, or remove this node and add it anew"
    )
