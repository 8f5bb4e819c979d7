"""Slots to shards, and which node should lead which."""

from __future__ import annotations

from collections import Counter

import pytest

from memraft_cluster.shards import ShardMap, SlotRange, even_map, spread_leaders
from memraft_proto.sharding import SLOT_COUNT, slot_of


@pytest.mark.parametrize("count", [1, 3, 7, 16, SLOT_COUNT])
def test_every_slot_belongs_to_one_shard_and_shards_are_even(count: int) -> None:
    shard_map = even_map(count, [1, 2, 3])
    sizes = Counter(shard_map.shard_of_slot(slot) for slot in range(SLOT_COUNT))
    assert sorted(sizes) == list(range(count))
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_a_namespace_goes_where_its_slot_goes() -> None:
    shard_map = even_map(5, [1, 2, 3])
    for namespace in ("acme/support", "acme/support/agents/alice", "globex"):
        shard = shard_map.shard_of(namespace)
        assert any(each.first <= slot_of(namespace) < each.end for each in shard_map.slots_of(shard))


def test_leaders_are_dealt_to_the_nodes_in_turn() -> None:
    assert spread_leaders(7, [3, 1, 2]) == (1, 2, 3, 1, 2, 3, 1)


@pytest.mark.parametrize("nodes", [[], [1, 1]])
def test_nodes_must_be_given_and_unique(nodes: list[int]) -> None:
    with pytest.raises(ValueError, match="unique"):
        spread_leaders(3, nodes)


@pytest.mark.parametrize("count", [0, SLOT_COUNT + 1])
def test_the_count_of_shards_is_bounded(count: int) -> None:
    with pytest.raises(ValueError, match=f"shard_count = {count}"):
        even_map(count, [1])


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ([SlotRange(0, 10, 0)], "slots 10"),
        ([SlotRange(0, 10, 0), SlotRange(11, SLOT_COUNT, 0)], "does not continue at 10"),
        ([SlotRange(0, 10, 0), SlotRange(9, SLOT_COUNT, 0)], "does not continue at 10"),
        ([SlotRange(0, SLOT_COUNT, 1)], "shard 1 is not one of 1"),
    ],
)
def test_a_map_with_a_hole_or_a_stranger_is_refused(ranges: list[SlotRange], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShardMap(1, tuple(ranges), (1,))


def test_a_slot_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="slot 4096"):
        even_map(3, [1]).shard_of_slot(SLOT_COUNT)
