"""Which replicas are on this node, and what each is made of.

Replicas come and go while the node runs, as the cluster's record says. One that comes is empty and has no
vote; the shard's leader contacts it, fills it, and gives it its vote. Calls are answered from it only then.
One that is wanted no more is dropped, with care:

* its shard's leader must have reported that it is no member any more, to the record;
* the record must say so again when its leader is asked anew, so that no old record is followed;
* the replica itself must not lead, and either know that it left or have heard of no leader for a while: it
  may have come back as a member meanwhile.

Were one dropped all the same, it would be as if its disk were lost: an empty replica neither votes nor counts
before it has all that the leader has.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import msgspec

from memraft_cluster.driver import GroupSpec, MultiRaft
from memraft_cluster.meta import META_GROUP, Record
from memraft_server.entries import EntryBuilder
from memraft_server.machine import Machine
from memraft_server.replica import Replica, ReplicatedShard, answer_replies

logger = logging.getLogger("memraft.cluster")

ABSENT_LEADER_S = 2.0
"""How long a replica must have heard of no leader to be dropped without knowing itself that it left."""


class Hosted(msgspec.Struct):
    """A replica on this node. ``led_at_s`` is when it last knew a leader, by the monotonic clock."""

    machine: Machine
    shard: ReplicatedShard
    led_at_s: float


class Hosting:
    """The replicas of shards on one node. Everything runs on the event loop.

    Args:
        node: this node's id.
        driver: started, with the record's own group.
        make: makes the driver's view of a shard's replica.
        changed: called when other shards can be answered for than before.
        clock_s: monotonic seconds.

    Attributes:
        shards: those that calls are answered from, by number.
        machines: of all replicas, by number, also of those that are being filled.
    """

    def __init__(
        self,
        node: int,
        driver: MultiRaft,
        make: Callable[[int], Replica],
        changed: Callable[[], None],
        clock_s: Callable[[], float],
    ) -> None:
        self.shards: dict[int, ReplicatedShard] = {}
        self.machines: dict[int, Machine] = {}
        self._node = node
        self._driver = driver
        self._make = make
        self._changed = changed
        self._clock_s = clock_s
        self._hosted: dict[int, Hosted] = {}

    @property
    def recovering(self) -> list[int]:
        """The shards of which this node has a vote that it may not use before it has back what it lost."""
        found = []
        for number in self._hosted.keys() - self.shards.keys():
            status = self._driver.group_status(number)
            if status is not None and self._node in status.membership.voters and not status.is_whole:
                found.append(number)
        return sorted(found)

    @property
    def groups(self) -> list[int]:
        """The shards with a replica here."""
        return list(self._hosted)

    async def host(self, shard: int, preferred_leader: int, voters: Iterable[int] = ()) -> None:
        """Loads a replica, or begins an empty one, and takes part with it.

        Args:
            preferred_leader: a node id, 0 for none.
            voters: those the shard began with, where its log does not say otherwise; empty: the replica waits
                to be contacted.
        """
        if shard in self._hosted:
            return
        replica, builder = self._make(shard), EntryBuilder()
        spec = GroupSpec(replica, builder, preferred_leader, tuple(sorted(voters)), answer=answer_replies)
        await self._driver.add_group(shard, spec)
        served = ReplicatedShard(shard, replica.machine, self._driver, builder)
        self._hosted[shard] = Hosted(replica.machine, served, self._clock_s())
        self.machines[shard] = replica.machine
        self.look()

    def look(self) -> None:
        """Takes note of which replicas can be asked, and of which know a leader.

        One that is being filled, or gets back what it lost, would tell of a past, or of nothing; one that
        differs from the others, of what never was.
        """
        can_answer = {}
        now_s = self._clock_s()
        for number, hosted in self._hosted.items():
            status = self._driver.group_status(number)
            if status is None:
                continue
            is_member = self._node in status.membership.voters
            if is_member and status.is_whole and number not in self._driver.stopped:
                can_answer[number] = hosted.shard
            if status.leader:
                hosted.led_at_s = now_s
        if can_answer.keys() != self.shards.keys():
            for number in self.shards.keys() - can_answer.keys():
                del self.shards[number]
            self.shards.update(can_answer)
            self._changed()

    def wanted(self, record: Record) -> list[int]:
        """The shards that a record wants here, or has here, and that are not here yet."""
        return [shard for shard in record.holds(self._node) if shard not in self._hosted]

    def droppable(self, record: Record) -> list[int]:
        """The replicas that nobody wants here and that have left, by a record that is committed."""
        if not record.epoch:
            return []
        held = set(record.holds(self._node))
        return [number for number in self._hosted if number not in held and self._has_left(number)]

    def _has_left(self, number: int) -> bool:
        if self._driver.is_leader(number):
            return False
        membership = self._driver.membership(number)
        is_member = membership is None or self._node in membership
        return not is_member or self._clock_s() - self._hosted[number].led_at_s > ABSENT_LEADER_S

    async def drop(self, number: int) -> None:
        """Deletes a replica: its log and its state."""
        logger.info("replica leaves this node", extra={"fields": {"shard": number}})
        self._forget(number)
        await self._driver.remove_group(number, drop=True)

    async def leave(self) -> None:
        """Stops everything, the record's own group too, because the node was removed. The data stays."""
        for number in list(self._hosted):
            self._forget(number)
            await self._driver.remove_group(number, drop=False)
        await self._driver.remove_group(META_GROUP, drop=False)

    def _forget(self, number: int) -> None:
        self._hosted.pop(number, None)
        self.machines.pop(number, None)
        if self.shards.pop(number, None) is not None:
            self._changed()
