"""What all nodes of a cluster must agree on for a log to mean the same everywhere. Pure.

A namespace hashes to a slot, a slot belongs to a shard, a shard is a group. With other numbers the same
namespace is looked for in another group's log: nothing is lost, but nothing is found. So the layout stands in
the stamp of every data directory and in every hello between nodes, and another one is refused. Changing it
takes moving data, and is not a matter of configuration. Which nodes a group lives on stands in its log.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from memraft_proto.sharding import SLOT_COUNT


class Layout(msgspec.Struct, frozen=True, array_like=True):
    """How namespaces are spread over groups; by default all in one.

    Args:
        shards: how many groups.
        slots: how many slots the namespaces hash to.
    """

    shards: int = 1
    slots: int = SLOT_COUNT

    def differences(self, other: Layout) -> Iterator[tuple[str, str]]:
        """What differs: what this one says, then the other, such as ("1 shard", "4")."""
        if self.shards != other.shards:
            yield _counted(self.shards, "shard"), str(other.shards)
        if self.slots != other.slots:
            yield _counted(self.slots, "slot"), str(other.slots)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
