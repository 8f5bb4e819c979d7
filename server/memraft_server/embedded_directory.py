"""Which directory may hold an embedded memory: its own, or one that is new or empty, and no other.

A file named MEMRAFT marks it, written before the database is made. It is looked for before the database is
opened, because opening already writes: into a running node's log, into another program's RocksDB, or beside
somebody's files.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from memraft_cluster.slots import make_directory

__all__ = ["MARK", "DirectoryUnusable", "claim"]

MARK = "MEMRAFT"
"""The file that makes a directory an embedded memory's. Its name counts, not its text."""
_TEXT = b"An embedded memory of Memraft, opened with memraft.Memory(path=...). All files here are its own.\n"
_LOG_HEADS = ("HEAD", "CURRENT")
"""The log's own file, and that of a RocksDB, where the versions before kept it."""
_NODE_LOG = "log"
_NAMES_SHOWN_MAX = 5


class DirectoryUnusable(Exception):
    """The directory is locked, damaged, or holds something else."""


def claim(path: Path) -> None:
    """Makes and marks a directory for an embedded memory, unless it is one already.

    Raises:
        DirectoryUnusable: it is a file, holds something else, or cannot be read or written. What it holds
            is as it was.
    """
    try:
        if path.exists() and not path.is_dir():
            raise DirectoryUnusable(f"{path} is a file: a memory's path names a directory, new or its own")
        make_directory(path)
        if not (path / MARK).exists():
            _refuse_others(path)
        if not _has_log(path):
            _mark(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DirectoryUnusable(f"no memory can be opened in {path}: {reason}") from error


def _has_log(path: Path) -> bool:
    return any((path / head).exists() for head in _LOG_HEADS)


def _refuse_others(path: Path) -> None:
    if _has_log(path):
        raise DirectoryUnusable(
            f"{path} holds a log or a database that is no embedded memory, such as a node's log: "
            "refusing to touch it"
        )
    if _has_log(path / _NODE_LOG):
        raise DirectoryUnusable(
            f"{path} is the data directory of a node, with its log in {_NODE_LOG}/: refusing to touch it"
        )
    with os.scandir(path) as entries:
        names = [entry.name for entry in islice(entries, _NAMES_SHOWN_MAX + 1)]
    if names and MARK not in names:  # it is there where somebody else has just begun the same
        shown = ", ".join(sorted(map(repr, names[:_NAMES_SHOWN_MAX])))
        more = " and more" if len(names) > _NAMES_SHOWN_MAX else ""
        raise DirectoryUnusable(
            f"{path} holds other files: {shown}{more}; a memory wants a directory of its own, new or empty"
        )


def _mark(path: Path) -> None:
    """Durable before the first write is: a memory that lost its mark would be refused."""
    with (path / MARK).open("wb") as file:
        file.write(_TEXT)
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
