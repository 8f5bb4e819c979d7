"""What groups are called: shards by their number, the one that has the cluster's record by what it has."""

from __future__ import annotations

META_GROUP = 65_535
"""Id of the group of the cluster's record; shards have theirs from 0."""
RECORD_LABEL = "record"
"""Where a shard would have its number, in tables, logs and metrics."""


def group_label(group: int) -> str:
    """For a column of numbers: ``3``, ``record``."""
    return RECORD_LABEL if group == META_GROUP else str(group)


def group_name(group: int, kind: str = "group") -> str:
    """For a sentence: ``group 3``, ``the cluster's record``.

    Args:
        group: its id.
        kind: what one is called that is a shard's.
    """
    return "the cluster's record" if group == META_GROUP else f"{kind} {group}"
