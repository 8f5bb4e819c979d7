"""Brings this node, and the groups that it leads, to where the cluster's record wants them.

One look now and then, and whenever the record has changed, from scratch each time: nothing is remembered that
matters, so whatever is interrupted goes on. A node looks

* whom to reach where, and whom to refuse (the transport's peers);
* which replicas to begin, and which to drop (``hosting``);
* for each group that it leads, whether that is where it is wanted, and if not, takes the next safe step
  (``memraft_cluster.membership``), and reports to the record where the group is by its own log;
* as leader of the record, whether it must begin, and whether a node that leaves holds nothing any more.

A node that hears nothing of the record's group for a while, because it joins, was away or was removed, asks
other nodes for the record.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from memraft_cluster.driver import GroupStatus, MultiRaft
from memraft_cluster.errors import ClusterError, MembershipRefused
from memraft_cluster.membership import Facts, PeerFacts, Step, StepKind, next_step
from memraft_cluster.meta import (
    META_GROUP,
    Bootstrap,
    Command,
    FinishRemoval,
    NodeEntry,
    Placed,
    Record,
    Report,
    encode_command,
    meta_wanted,
)
from memraft_cluster.raft import Membership
from memraft_cluster.transport import Peer
from memraft_server.cluster_record import Known
from memraft_server.config import split_address
from memraft_server.hosting import Hosting
from memraft_server.rpc.others import AskFailed

logger = logging.getLogger("memraft.cluster")

BUSY_INTERVAL_S = 0.1
"""Between two looks while something is under way."""
IDLE_INTERVAL_S = 0.5
SEEK_INTERVAL_S = 1.0
OUT_OF_TOUCH_S = 2.0
"""After so long without a leader of the record known here, other nodes are asked for it."""
LOST_S = 10.0
"""After so long the configured addresses are tried in place of those in the record, and back, in turn."""
RETRY_S = 0.5
WISH_S = 30.0
"""How long a shard's leader tries to hand over at once to a leader that was newly wished for; afterwards it
goes the way of every preferred leader that was away."""

_NODE = re.compile(r"\{(\d+)\}")


class SetPeers(Protocol):
    """What is needed of the transport."""

    def set_peers(self, peers: Iterable[Peer]) -> None: ...


class Others(Protocol):
    """What is needed of other nodes. Everything raises AskFailed."""

    async def record(self, address: str, is_latest: bool = False) -> Record | None: ...

    async def report(self, address: str, report: Report) -> None: ...


class Reconciler:
    """See the module.

    Args:
        node: this node's id.
        configured: the nodes that the configuration names, this one included.
        known: the newest record known here.
        driver: started, with the record's own group.
        transport: its peers follow the record.
        hosting: its replicas follow the record.
        others: reach other nodes.

    Attributes:
        steps: what the leader of each group does or waits for, for groups led here that are on their way.
        is_removed: whether this node was removed, and has stopped its groups.
    """

    def __init__(
        self,
        node: int,
        configured: Sequence[NodeEntry],
        known: Known,
        driver: MultiRaft,
        transport: SetPeers,
        hosting: Hosting,
        others: Others,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.steps: dict[int, str] = {}
        self.is_removed = False
        self._node = node
        self._configured = tuple(configured)
        self._known = known
        self._driver = driver
        self._transport = transport
        self._hosting = hosting
        self._others = others
        self._clock_s = clock_s
        self._led_at_s = clock_s()
        self._followed: Record | None = None
        self._peers: tuple[Peer, ...] = ()
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._not_before_s: dict[str, float] = {}
        self._wishes: dict[int, float] = {}
        self._said: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []

    # -- life ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to look, on the running event loop."""
        loop = asyncio.get_running_loop()
        self._led_at_s = self._clock_s()
        self._tasks = [
            loop.create_task(self._keep_looking(), name="memraft-reconcile"),
            loop.create_task(self._keep_seeking(), name="memraft-seek"),
        ]

    async def stop(self) -> None:
        """Looks no more. A step under way is finished or not: whoever leads next finds out."""
        ending = [*self._tasks, *self._busy.values()]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)

    async def _keep_looking(self) -> None:
        news = asyncio.Event()
        self._known.on_news = news.set
        while True:
            news.clear()
            await self._try(self.look)
            is_busy = bool(self.steps or self._busy or self._wishes or not self._known.epoch)
            try:
                async with asyncio.timeout(BUSY_INTERVAL_S if is_busy else IDLE_INTERVAL_S):
                    await news.wait()
            except TimeoutError:
                pass

    async def _keep_seeking(self) -> None:
        while True:
            await self._try(self._seek)
            await asyncio.sleep(SEEK_INTERVAL_S)

    async def _try(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except Exception:
            logger.exception("following the cluster's record failed and will be tried again")

    # -- one look --------------------------------------------------------------------------------------

    async def look(self) -> None:
        """Does what is to be done now; what takes long goes on in tasks of its own."""
        record = self._known.record
        if self._driver.leader(META_GROUP):
            self._led_at_s = self._clock_s()
        self._follow(record)
        if record is None or self.is_removed:
            return
        if record.tombstone(self._node) is not None:
            await self._leave(record)
            return
        now_s = self._clock_s()
        self._wishes = {shard: until_s for shard, until_s in self._wishes.items() if until_s > now_s}
        self._hosting.look()
        for shard in self._hosting.wanted(record):
            await self._hosting.host(shard, record.shards[shard].leader)
        self._lead(record)
        if self._hosting.droppable(record):
            self._begin("drop", self._drop())

    def _follow(self, record: Record | None) -> None:
        """The peers, and who should lead what, as of this record."""
        peers = self._peers_of(record)
        if peers != self._peers:
            self._peers = peers
            self._transport.set_peers(peers)
        if record is None or record is self._followed:
            return
        before = self._followed
        self._followed = record
        for shard in record.shards:
            self._driver.set_preferred_leader(shard.shard, shard.leader)
            if before is not None and before.epoch and before.shards[shard.shard].leader != shard.leader:
                self._wishes[shard.shard] = self._clock_s() + WISH_S
        self._check_own_address(record)

    def _peers_of(self, record: Record | None) -> tuple[Peer, ...]:
        """Whom to reach where. Where nobody is found for long at the addresses in the record, those in the
        configuration are tried in turn with them: all nodes may have moved while none ran."""
        if record is None:
            return _peers(self._configured)
        if self.is_removed or record.tombstone(self._node) is not None:
            return ()
        nodes = record.nodes
        if int((self._clock_s() - self._led_at_s) / LOST_S) % 2:
            own = {each.id: each for each in self._configured}
            nodes = tuple(
                own[each.id] if each.id in own and own[each.id].name == each.name else each for each in nodes
            )
        return _peers(nodes)

    def _check_own_address(self, record: Record) -> None:
        mine = record.node(self._node)
        own = next(each for each in self._configured if each.id == self._node)
        if mine is not None and (mine.peer, mine.client) != (own.peer, own.client):
            advice = f"memraft cluster add-node {own.name} --peer {own.peer} --client {own.client}"
            fields = {"peer": mine.peer, "client": mine.client, "if it moved": advice}
            self._say("address", "the cluster reaches this node elsewhere than configured", fields)

    async def _leave(self, record: Record) -> None:
        stone = record.tombstone(self._node)
        assert stone is not None
        self.is_removed = True
        self.steps.clear()
        fields = {"name": stone.name, "epoch": stone.epoch}
        logger.error(
            "this node was removed from the cluster: its groups stop; stop it and delete its data directory",
            extra={"fields": fields},
        )
        self._follow(record)
        await self._hosting.leave()

    # -- the groups led here ---------------------------------------------------------------------------

    def _lead(self, record: Record) -> None:
        for group in (META_GROUP, *self._hosting.groups):
            status = self._driver.group_status(group) if self._driver.is_leader(group) else None
            if status is None:
                self.steps.pop(group, None)
            elif record.epoch:
                self._lead_group(group, status, record)
            elif group == META_GROUP and self._known.pinned is not None:
                self._begin("bootstrap", self._propose(Bootstrap(self._known.pinned)))
        if record.epoch and self._driver.is_leader(META_GROUP):
            for node in record.nodes:
                if node.is_leaving and not record.holds(node.id) and node.id not in record.meta:
                    self._begin(f"finish {node.id}", self._propose(FinishRemoval(node.id)))

    def _lead_group(self, group: int, status: GroupStatus, record: Record) -> None:
        facts = facts_of(self._node, status)
        if group == META_GROUP:
            wanted, leader, placed = meta_wanted(record), 0, record.meta
        else:
            shard = record.shards[group]
            wanted, leader, placed = Membership.of(shard.replicas), shard.leader, shard.actual
        step = next_step(wanted, leader, facts)
        self._take(group, step, record)
        if step.kind is StepKind.NONE and leader not in (0, self._node):
            self._hand_over(group, leader, facts)
        if facts.is_settled and _differs(placed, status.membership):
            membership = status.membership
            report = Report(group, membership.voters, membership.learners, status.commit)
            self._begin(f"report {group}", self._report(report))

    def _take(self, group: int, step: Step, record: Record) -> None:
        why = _NODE.sub(lambda found: record.name(int(found[1])), step.why)
        if step.kind is StepKind.NONE:
            self.steps.pop(group, None)
            self._said.pop(f"step {group}", None)
            return
        self.steps[group] = why
        if step.kind is StepKind.CHANGE and step.membership is not None:
            self._begin(f"change {group}", self._change(group, step.membership, why))
        elif step.kind is StepKind.TRANSFER:
            self._begin(f"transfer {group}", self._transfer(group, step.to))

    async def _change(self, group: int, membership: Membership, why: str) -> None:
        try:
            await self._driver.change_membership(group, membership)
        except MembershipRefused as refused:
            if not refused.is_retryable:
                raise
        else:
            fields = {"group": group, "step": why, "members": str(membership)}
            logger.info("members changed", extra={"fields": fields})

    async def _transfer(self, group: int, to: int) -> None:
        self._driver.transfer_leadership(group, to)

    def _hand_over(self, group: int, leader: int, facts: Facts) -> None:
        """To a leader that was newly wished for, at once. One that was away is the driver's care."""
        if group in self._wishes and facts.may_lead(leader):
            self._begin(f"transfer {group}", self._transfer(group, leader))

    # -- the record ------------------------------------------------------------------------------------

    async def _propose(self, command: Command) -> None:
        await self._driver.propose(META_GROUP, encode_command(command), None)

    async def _report(self, report: Report) -> None:
        leader = self._driver.leader(META_GROUP)
        if leader == self._node:
            await self._propose(report)
        elif (address := self.client_address(leader)) != "":
            await self._others.report(address, report)

    async def _drop(self) -> None:
        """Drops the replicas that nobody wants here, after the leader of the record has said so again."""
        leader = self._driver.leader(META_GROUP)
        if leader == self._node:
            await self._driver.read_barrier(META_GROUP)
        elif (address := self.client_address(leader)) != "":
            latest = await self._others.record(address, is_latest=True)
            if latest is None:
                return
            self._known.learn(latest)
        else:
            return
        record = self._known.record
        for shard in self._hosting.droppable(record) if record is not None else []:
            await self._hosting.drop(shard)

    def client_address(self, node: int) -> str:
        """Where clients reach a node, as host:port; empty where there is no such node."""
        record = self._known.record
        found = record.node(node) if record is not None else None
        return found.client if found is not None else ""

    async def _seek(self) -> None:
        """Asks one node after the other for the record, where this one has been out of touch for a while."""
        record = self._known.record
        is_member = record is not None and record.epoch > 0 and record.node(self._node) is not None
        if is_member and self._clock_s() - self._led_at_s < OUT_OF_TOUCH_S:
            return
        nodes = (*(record.nodes if record is not None else ()), *self._configured)
        addresses = dict.fromkeys(each.client for each in nodes if each.id != self._node)
        for address in addresses:
            try:
                found = await self._others.record(address)
            except AskFailed as error:
                logger.debug("no record from another node", extra={"fields": {"error": str(error)}})
                continue
            if found is not None:
                self._known.learn(found)
                self._say_waiting(found)
                return

    def _say_waiting(self, record: Record) -> None:
        if record.node(self._node) is None and record.tombstone(self._node) is None:
            own = next(each for each in self._configured if each.id == self._node)
            advice = (
                f"memraft cluster add-node {own.name} --peer {own.peer} --client {own.client} --id {own.id}"
            )
            fields = {"epoch": record.epoch, "add it with": advice}
            self._say("waiting", "this node is not one of the cluster's nodes yet", fields)

    # -- tasks -----------------------------------------------------------------------------------------

    def _begin(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        """Starts work of a name, unless it is under way or was tried a moment ago."""
        if what in self._busy or self._clock_s() < self._not_before_s.get(what, 0.0):
            work.close()
            return
        task = asyncio.get_running_loop().create_task(self._guarded(what, work), name=f"memraft-{what}")
        self._busy[what] = task

    async def _guarded(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        pause_s = RETRY_S
        try:
            await work
            if what.startswith("change"):
                pause_s = 0.0
        except (ClusterError, AskFailed, ValueError) as error:
            # The next look finds how things stand then, here or on another node.
            logger.debug("put off", extra={"fields": {"what": what, "error": str(error)}})
        finally:
            self._not_before_s[what] = self._clock_s() + pause_s
            del self._busy[what]

    def _say(self, what: str, message: str, fields: dict[str, Any]) -> None:
        """Once, until it is about something else."""
        if self._said.get(what) != str(fields):
            self._said[what] = str(fields)
            logger.warning(message, extra={"fields": fields})


def facts_of(node: int, status: GroupStatus) -> Facts:
    """How a group that is led here stands, for ``next_step``."""
    peers = {
        each: PeerFacts(peer.match, peer.applied, peer.active, peer.is_recovering)
        for each, peer in status.peers.items()
    }
    is_settled = status.commit >= status.membership_index
    return Facts(node, status.membership, is_settled, status.commit, peers)


def _differs(placed: Placed, membership: Membership) -> bool:
    return (placed.voters, placed.learners) != (membership.voters, membership.learners)


def _peers(nodes: Iterable[NodeEntry]) -> tuple[Peer, ...]:
    return tuple(Peer(each.id, each.name, *split_address(each.peer)) for each in nodes)
