"""Slot map and placement. Pure.

A namespace hashes to one of ``SLOT_COUNT`` slots (``memraft_proto.sharding.slot_of``), a slot belongs to
one shard, and a shard is one Raft group. Each shard has a preferred leader, so that leaders, and with them
the work of writes, spread over the nodes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from memraft_proto.sharding import SLOT_COUNT, slot_of


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Slots [first, end) belong to ``shard``."""

    first: int
    end: int
    shard: int


@dataclass(frozen=True, slots=True)
class ShardMap:
    """Which shard holds which slots, and who should lead it.

    Args:
        version: grows with every change; a reader with a lower one is out of date.
        ranges: sorted, without gap or overlap, covering [0, SLOT_COUNT).
        preferred_leaders: node id per shard number.

    Raises:
        ValueError: the ranges do not cover every slot once, or name a shard without a preferred leader.
    """

    version: int
    ranges: tuple[SlotRange, ...]
    preferred_leaders: tuple[int, ...]

    def __post_init__(self) -> None:
        expected = 0
        for each in self.ranges:
            if each.first != expected or each.end <= each.first:
                raise ValueError(f"slot range [{each.first}, {each.end}) does not continue at {expected}")
            if not 0 <= each.shard < len(self.preferred_leaders):
                raise ValueError(f"shard {each.shard} is not one of {len(self.preferred_leaders)}")
            expected = each.end
        if expected != SLOT_COUNT:
            raise ValueError(f"slots {expected}..{SLOT_COUNT - 1} belong to no shard")

    @property
    def shard_count(self) -> int:
        return len(self.preferred_leaders)

    def shard_of_slot(self, slot: int) -> int:
        """Raises ValueError for a slot outside [0, SLOT_COUNT)."""
        if not 0 <= slot < SLOT_COUNT:
            raise ValueError(f"slot {slot} is not in [0, {SLOT_COUNT})")
        position = bisect_right(self.ranges, slot, key=_first) - 1
        return self.ranges[position].shard

    def shard_of(self, namespace: str) -> int:
        """The shard that holds a namespace."""
        return self.shard_of_slot(slot_of(namespace))

    def slots_of(self, shard: int) -> tuple[SlotRange, ...]:
        return tuple(each for each in self.ranges if each.shard == shard)


def _first(each: SlotRange) -> int:
    return each.first


def even_map(shard_count: int, node_ids: Sequence[int], version: int = 1) -> ShardMap:
    """Contiguous slot ranges of equal size (give or take one slot), leaders dealt to the nodes in turn.

    Args:
        shard_count: from 1 to SLOT_COUNT.
        node_ids: the nodes that hold every shard; order does not matter.

    Raises:
        ValueError: no nodes, nodes twice, or a count out of range.
    """
    if not 1 <= shard_count <= SLOT_COUNT:
        raise ValueError(f"shard_count = {shard_count} is not in [1, {SLOT_COUNT}]")
    bounds = [SLOT_COUNT * shard // shard_count for shard in range(shard_count + 1)]
    ranges = tuple(SlotRange(bounds[s], bounds[s + 1], s) for s in range(shard_count))
    return ShardMap(version, ranges, spread_leaders(shard_count, node_ids))


def spread_leaders(shard_count: int, node_ids: Sequence[int]) -> tuple[int, ...]:
    """Preferred leader per shard: every node leads as many shards as any other, give or take one.

    Raises:
        ValueError: no nodes, or nodes twice.
    """
    ordered = sorted(node_ids)
    if not ordered or len(set(ordered)) != len(ordered):
        raise ValueError(f"node ids must be given and unique: {list(node_ids)}")
    return tuple(ordered[shard % len(ordered)] for shard in range(shard_count))
