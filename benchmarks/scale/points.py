"""What is measured: four axes, the places on each, and the loads at a place. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

SHARDS = (1, 2, 4, 8, 16)
NODES = (1, 3, 5)
VALUE_BYTES = (100, 1_000, 10_000, 100_000, 1_000_000)
RECORDS = (1_000, 10_000, 100_000, 1_000_000)

SMALL_BYTES = 100
"""Of a value, wherever its size is not what is looked at."""
NAMESPACES = 64
"""Of the axis of shards: enough that every shard has some."""
KEYS_EACH = 32
"""Of each of them."""
VALUES_BYTES = 16_000_000
"""Of all values of one size, about: no more keys than that."""
SCAN = 100
"""Records that a scan lists."""
REPLICAS_EACH = 6
"""On each node of the clusters whose nodes are counted: what a node shares over its groups (a turn, a sync)
is shared by as many everywhere, as on nodes that are added with shards of their own. The same shards on more
nodes share less, which says nothing of nodes."""
CALLERS_EACH, NAMESPACES_EACH = 32, 8
"""Of each shard there."""


class Load(msgspec.Struct, frozen=True):
    """What callers do. `level`: of reads; `keys`: of each namespace, written before and drawn from."""

    work: str
    level: str
    callers: int
    value_bytes: int
    keys: int
    namespaces: int

    @property
    def title(self) -> str:
        """The work and its level."""
        return f"{self.work} {self.level}".rstrip()


class Place(msgspec.Struct, frozen=True):
    """A place on an axis: a cluster, and what it is loaded with."""

    axis: str
    at: int
    nodes: int
    shards: int
    loads: tuple[Load, ...]


def _loads(callers: int, value_bytes: int, keys: int, namespaces: int, *works: str) -> tuple[Load, ...]:
    named = [each.partition(" ") for each in works]
    return tuple(Load(work, level, callers, value_bytes, keys, namespaces) for work, _, level in named)


def shard_places(most: int = SHARDS[-1]) -> Iterator[Place]:
    """Three nodes, more and more shards, the same 256 callers."""
    loads = _loads(256, SMALL_BYTES, KEYS_EACH, NAMESPACES, "put", "get linearizable")
    yield from (Place("shards", each, 3, each, loads) for each in SHARDS if each <= most)


def node_places(most: int = NODES[-1]) -> Iterator[Place]:
    """One, three and five nodes with as many replicas each; shards and callers grow with them."""
    for each in NODES:
        if each <= most:
            shards = REPLICAS_EACH * each // min(each, 3)
            works = ("put", "get linearizable", "get session")
            callers, namespaces = CALLERS_EACH * shards, NAMESPACES_EACH * shards
            loads = _loads(callers, SMALL_BYTES, KEYS_EACH, namespaces, *works)
            yield Place("nodes", each, each, shards, loads)


def value_places(most: int = VALUE_BYTES[-1]) -> Iterator[Place]:
    """Three nodes, one shard, sixteen callers: their values are on the way all at once."""
    for each in VALUE_BYTES:
        if each <= most:
            keys = max(16, min(1_000, VALUES_BYTES // each))
            yield Place("value", each, 3, 1, _loads(16, each, keys, 1, "put", "get linearizable"))


def record_places(most: int = RECORDS[-1]) -> Iterator[Place]:
    """One node, one shard, more and more records of 100 bytes; writes are to records that are there."""
    for each in RECORDS:
        if each <= most:
            works = ("put", "get linearizable", "scan linearizable")
            yield Place("records", each, 1, 1, _loads(64, SMALL_BYTES, each, 1, *works))
