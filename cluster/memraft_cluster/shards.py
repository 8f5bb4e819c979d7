"""Slot map and placement. Pure.

A namespace hashes to one of ``SLOT_COUNT`` slots (``memraft_proto.sharding.slot_of``), a slot belongs to
one shard, and a shard is one Raft group on some of the nodes. Each shard has a preferred leader, so that
leaders, and with them the work of writes, spread over the nodes.

A *placement* here is, per shard number, the ids of the nodes that hold it. What evens one out moves as few
replicas as it can and always says the same of the same, because every replica of the cluster's record works
it out for itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from memraft_proto.sharding import SLOT_COUNT, slot_of

Placement = tuple[tuple[int, ...], ...]
"""Per shard number: the nodes that hold it, ascending."""


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


def spread_replicas(shard_count: int, node_ids: Sequence[int], replicas: int) -> Placement:
    """The placement of a new cluster: each shard on its preferred leader and the nodes that follow that in
    turn, so that every node holds as many replicas as any other, give or take one.

    Args:
        replicas: of each shard; no more than there are nodes.

    Raises:
        ValueError: no nodes, nodes twice, or replicas that are not between 1 and the number of nodes.
    """
    ordered = sorted(node_ids)
    leaders = spread_leaders(shard_count, node_ids)
    if not 1 <= replicas <= len(ordered):
        raise ValueError(f"{replicas} replicas are not between 1 and the {len(ordered)} nodes")
    return tuple(
        tuple(sorted(ordered[(ordered.index(leader) + k) % len(ordered)] for k in range(replicas)))
        for leader in leaders
    )


# -- evening out ---------------------------------------------------------------------------------------


def _loads(placement: Iterable[Iterable[int]], node_ids: Iterable[int]) -> dict[int, int]:
    """How many replicas each node has, nodes in order."""
    loads = dict.fromkeys(sorted(node_ids), 0)
    for holders in placement:
        for node in holders:
            if node in loads:
                loads[node] += 1
    return loads


def fill(placement: Placement, node_ids: Sequence[int], replicas: int) -> Placement:
    """Every shard with as many replicas as are wanted, as far as there are nodes, and on these nodes only.

    What is on another node is replaced, what is missing is put on the nodes with the fewest, what is too
    much goes from those with the most.
    """
    wanted = min(replicas, len(node_ids))
    found = [[node for node in holders if node in node_ids] for holders in placement]
    loads = _loads(found, node_ids)
    for holders in found:
        while len(holders) < wanted:
            node = min((each for each in loads if each not in holders), key=lambda each: (loads[each], each))
            holders.append(node)
            loads[node] += 1
        while len(holders) > wanted:
            node = max(holders, key=lambda each: (loads[each], each))
            holders.remove(node)
            loads[node] -= 1
    return tuple(tuple(sorted(holders)) for holders in found)


def even_replicas(placement: Placement, node_ids: Sequence[int]) -> Placement:
    """The placement with replicas moved from the fullest node to the emptiest until they differ by one at
    most; no more are moved than that takes."""
    found = [list(holders) for holders in placement]
    loads = _loads(found, node_ids)
    while True:
        full = max(loads, key=lambda each: (loads[each], -each))
        bare = min(loads, key=lambda each: (loads[each], each))
        if loads[full] - loads[bare] <= 1:
            return tuple(tuple(sorted(holders)) for holders in found)
        # There is one: the fullest node holds more shards than the emptiest.
        holders = next(each for each in found if full in each and bare not in each)
        holders[holders.index(full)] = bare
        loads[full] -= 1
        loads[bare] += 1


def even_leaders(placement: Placement, leaders: Sequence[int], node_ids: Sequence[int]) -> tuple[int, ...]:
    """Preferred leaders among the holders of each shard, spread as evenly as the placement allows.

    Args:
        placement: who holds each shard.
        leaders: as they are now; changed only where it helps. One that may not lead is replaced, where
            another holder may.
        node_ids: nodes that may lead.

    The method is that of augmenting paths: as long as leadership can be passed along a chain of shards from a
    node to one that leads at least two fewer, it is.
    """
    found = list(leaders)
    eligible = [[node for node in holders if node in node_ids] for holders in placement]
    counts = dict.fromkeys(sorted(node_ids), 0)
    for leader, holders in zip(found, eligible, strict=True):
        if leader in holders:
            counts[leader] += 1
    for shard, holders in enumerate(eligible):
        if holders and found[shard] not in holders:
            found[shard] = min(holders, key=lambda each: (counts[each], each))
            counts[found[shard]] += 1
    while (chain := _chain(eligible, found, counts)) is not None:
        for shard, node in chain:
            counts[found[shard]] -= 1
            counts[node] += 1
            found[shard] = node
    return tuple(found)


def _chain(
    eligible: Sequence[Sequence[int]], leaders: Sequence[int], counts: Mapping[int, int]
) -> list[tuple[int, int]] | None:
    """Shards to pass on, each with its new leader, that take one from a node and give it to one with at least
    two fewer; None where there is none. Breadth first: the shortest chain from the fullest node."""
    for start in sorted(counts, key=lambda each: (-counts[each], each)):
        came: dict[int, tuple[int, int]] = {}
        waiting = deque([start])
        while waiting:
            node = waiting.popleft()
            if counts[node] <= counts[start] - 2:
                chain = []
                while node != start:
                    shard, before = came[node]
                    chain.append((shard, node))
                    node = before
                return chain
            for shard, leader in enumerate(leaders):
                if leader != node:
                    continue
                for heir in eligible[shard]:
                    if heir != start and heir not in came:
                        came[heir] = shard, node
                        waiting.append(heir)
    return None
