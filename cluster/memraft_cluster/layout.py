"""What all nodes of a cluster must agree on for a log to mean the same everywhere. Pure.

A namespace hashes to a slot, a slot belongs to a shard, a shard is a group of these nodes. With other numbers
the same namespace is looked for in another group's log: nothing is lost, but nothing is found. So the layout
stands in the stamp of every data directory and in every hello between nodes, and another one is refused.
Changing it takes moving data, and is not a matter of configuration.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from memraft_proto.sharding import SLOT_COUNT


class Layout(msgspec.Struct, frozen=True, array_like=True):
    """How namespaces are spread over groups, and groups over nodes; by default one group on one node.

    Args:
        shards: how many groups.
        nodes: node ids of all members, in order.
        slots: how many slots the namespaces hash to.
    """

    shards: int = 1
    nodes: tuple[int, ...] = (1,)
    slots: int = SLOT_COUNT

    def differences(self, other: Layout) -> Iterator[tuple[str, str]]:
        """What differs: what this one says, then the other, such as ("1 shard", "4")."""
        if self.shards != other.shards:
            yield _counted(self.shards, "shard"), str(other.shards)
        if self.nodes != other.nodes:
            yield f"node ids {_listed(self.nodes)}", _listed(other.nodes)
        if self.slots != other.slots:
            yield _counted(self.slots, "slot"), str(other.slots)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _listed(ids: tuple[int, ...]) -> str:
    return " ".join(map(str, ids))
