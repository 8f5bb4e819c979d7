"""The cluster's own record: which nodes there are, which holds what, and who should. Pure.

It is the state of a Raft group like any other, ``META_GROUP``, of which every node has a replica: the first
``META_VOTERS_MAX`` vote, the others learn. Commands change it one after the other, each worked out from the
record that it finds, so that two operators at once are no more than one after the other, and a command that
comes twice changes nothing the second time.

A shard's ``replicas`` say where it is wanted, ``actual`` where its own log says that it is. Commands of
operators move the first; the shard's leader brings the second there, one safe step at a time
(``membership``), and reports each step. Whatever is interrupted goes on from what is written here.

The ``epoch`` counts what changed. Ids of nodes are never used twice: a removed one keeps its tombstone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from .groups import META_GROUP as META_GROUP
from .raft import Membership
from .shards import (
    ShardMap,
    SlotRange,
    even_leaders,
    even_map,
    even_replicas,
    fill,
    spread_replicas,
)

META_VOTERS_MAX = 5
"""More would make its writes slower and no safer."""
REPLICAS_DEFAULT = 3
REPLICAS_MAX = 9
NODES_MAX = 63
NODE_ID_MAX = 1_000_000
TOMBSTONES_MAX = 1_024
"""Removed nodes that are remembered by name; no lower id than theirs is given to a new node in any case."""
FORMAT = 1


class ChangeRefused(Exception):
    """A change that cannot be, with the reason for the operator. The record is as it was."""


class NodeEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node. ``peer`` and ``client`` are host:port; one that ``is_leaving`` gets no replica any more."""

    id: int
    name: str
    peer: str
    client: str
    is_leaving: bool = False


class Placed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a group is: its membership as committed in its own log, and up to which index it was seen so."""

    voters: tuple[int, ...]
    learners: tuple[int, ...] = ()
    index: int = 0

    @property
    def membership(self) -> Membership:
        return Membership(self.voters, self.learners)

    def __contains__(self, node: object) -> bool:
        return node in self.voters or node in self.learners


class ShardEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shard: its slots [first, end), the nodes it is wanted on, who should lead it, and where it is."""

    shard: int
    first: int
    end: int
    replicas: tuple[int, ...]
    leader: int
    actual: Placed

    @property
    def is_settled(self) -> bool:
        """Whether it is where it is wanted."""
        return self.actual.voters == self.replicas and not self.actual.learners


class Tombstone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A node that was removed, at ``epoch``."""

    id: int
    name: str
    epoch: int


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole. ``replicas`` is how many each shard should have, as far as there are nodes; ``next_id`` the
    lowest id that was never used. ``epoch`` 0 is that of a record nobody has committed yet."""

    cluster: str
    replicas: int
    nodes: tuple[NodeEntry, ...]
    shards: tuple[ShardEntry, ...]
    meta: Placed
    epoch: int = 0
    removed: tuple[Tombstone, ...] = ()
    next_id: int = 1
    format: int = FORMAT

    @property
    def staying(self) -> list[int]:
        """Ids of the nodes that are not leaving."""
        return [node.id for node in self.nodes if not node.is_leaving]

    def node(self, id_: int) -> NodeEntry | None:
        """The node with an id."""
        return next((node for node in self.nodes if node.id == id_), None)

    def named(self, name: str) -> NodeEntry | None:
        """The node with a name."""
        return next((node for node in self.nodes if node.name == name), None)

    def name(self, id_: int) -> str:
        """What to call a node, also one that is gone."""
        found = self.node(id_) or self.tombstone(id_)
        return found.name if found is not None else f"node {id_}"

    def tombstone(self, id_: int) -> Tombstone | None:
        """That of a removed node."""
        return next((each for each in self.removed if each.id == id_), None)

    def holds(self, node: int) -> list[int]:
        """The shards that a node is wanted for or is a member of."""
        return [each.shard for each in self.shards if node in each.replicas or node in each.actual]

    def shard_map(self) -> ShardMap:
        """Slots, and who should lead."""
        ranges = tuple(SlotRange(each.first, each.end, each.shard) for each in self.shards)
        return ShardMap(self.epoch, ranges, tuple(each.leader for each in self.shards))

    def encode(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self)


def decode_record(data: bytes) -> Record:
    """Raises msgspec.MsgspecError for what is none."""
    return msgspec.json.decode(data, type=Record)


def bootstrap_record(cluster: str, nodes: Sequence[NodeEntry], shard_count: int, replicas: int = 0) -> Record:
    """The record of a new cluster.

    Args:
        replicas: of each shard; 0: as many as there are nodes, up to ``REPLICAS_DEFAULT``.

    Raises:
        ValueError: no nodes, or more replicas than nodes.
    """
    ids = sorted(node.id for node in nodes)
    wanted = replicas or min(REPLICAS_DEFAULT, len(ids))
    shard_map = even_map(shard_count, ids)
    placement = spread_replicas(shard_count, ids, wanted)
    shards = tuple(
        ShardEntry(each.shard, each.first, each.end, holders, leader, Placed(holders))
        for each, leader, holders in zip(
            shard_map.ranges, shard_map.preferred_leaders, placement, strict=True
        )
    )
    ordered = tuple(sorted(nodes, key=lambda node: node.id))
    meta = Placed(tuple(ids[:META_VOTERS_MAX]))
    return Record(cluster, wanted, ordered, shards, meta, next_id=ids[-1] + 1)


def meta_wanted(record: Record) -> Membership:
    """Where the record itself is wanted: everywhere but on nodes that leave and hold nothing else any more.
    Who votes already goes on, before those with lower ids; who leaves votes only where there is room."""
    members = [node for node in record.nodes if not (node.is_leaving and not record.holds(node.id))]
    if not members:
        return record.meta.membership
    members.sort(key=lambda node: (node.is_leaving, node.id not in record.meta.voters, node.id))
    ids = [node.id for node in members]
    return Membership.of(ids[:META_VOTERS_MAX], ids[META_VOTERS_MAX:])


# -- commands ------------------------------------------------------------------------------------------


class Bootstrap(msgspec.Struct, frozen=True, tag="bootstrap"):
    """The first of all: the record as the configuration has it."""

    record: Record


class AddNode(msgspec.Struct, frozen=True, tag="add_node"):
    """A node joins, or is reached elsewhere from now on. ``id`` 0: the next one."""

    name: str
    peer: str
    client: str
    id: int = 0


class RemoveNode(msgspec.Struct, frozen=True, tag="remove_node"):
    """A node leaves: its replicas move away first. ``force``: also where too few nodes are left for as many
    replicas as each shard should have."""

    name: str
    force: bool = False


class MoveReplica(msgspec.Struct, frozen=True, tag="move_replica"):
    """A shard is wanted on another node, by name, in place of one."""

    shard: int
    source: str
    target: str


class TransferLeader(msgspec.Struct, frozen=True, tag="transfer_leader"):
    """A shard is to be led by a node, by name, from now on."""

    shard: int
    target: str


class Rebalance(msgspec.Struct, frozen=True, tag="rebalance"):
    """Replicas and leaders are spread evenly. ``replicas``: how many each shard should have; 0: as before."""

    replicas: int = 0


class Report(msgspec.Struct, frozen=True, tag="report"):
    """A group's leader says where the group is, as committed up to ``index`` of its log."""

    group: int
    voters: tuple[int, ...]
    learners: tuple[int, ...]
    index: int


class FinishRemoval(msgspec.Struct, frozen=True, tag="finish_removal"):
    """A node that leaves holds nothing any more."""

    node: int


Change = AddNode | RemoveNode | MoveReplica | TransferLeader | Rebalance
"""What an operator asks for."""
Command = Bootstrap | Change | Report | FinishRemoval


class Outcome(msgspec.Struct, frozen=True):
    """What became of a command. ``changed`` is false where it was so already; ``message`` is for a person."""

    changed: bool
    message: str
    record: Record


def encode_command(command: Command) -> bytes:
    """As JSON, in the log and between nodes."""
    return msgspec.json.encode(command)


_command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def decode_command(data: bytes) -> Command:
    """Raises msgspec.MsgspecError for what is none."""
    return _command_decoder.decode(data)


def apply(record: Record | None, command: Command) -> Outcome:
    """The record after a command; ``epoch`` has grown by one where anything changed.

    Raises:
        ChangeRefused: the change cannot be; nothing has changed.
    """
    if isinstance(command, Bootstrap):
        if record is not None:
            return Outcome(False, f"the cluster has its record since epoch {record.epoch}", record)
        return Outcome(True, "the cluster begins", msgspec.structs.replace(command.record, epoch=1))
    if record is None:
        raise ChangeRefused("the cluster has no record yet: a majority of its first nodes must have started")
    changed, message = _changed(record, command)
    if changed == record:
        return Outcome(False, message, record)
    return Outcome(True, message, msgspec.structs.replace(changed, epoch=record.epoch + 1))


def _changed(record: Record, command: Change | Report | FinishRemoval) -> tuple[Record, str]:
    match command:
        case AddNode():
            return _add_node(record, command)
        case RemoveNode():
            return _remove_node(record, command)
        case MoveReplica():
            return _move_replica(record, command)
        case TransferLeader():
            return _transfer_leader(record, command)
        case Rebalance():
            return _rebalance(record, command)
        case Report():
            return _report(record, command), "noted"
        case FinishRemoval():
            return _finish_removal(record, command.node), "noted"


def _known(record: Record, name: str) -> NodeEntry:
    node = record.named(name)
    if node is None:
        gone = next((each for each in record.removed if each.name == name), None)
        if gone is not None:
            raise ChangeRefused(f"{name} was removed at epoch {gone.epoch}")
        raise ChangeRefused(f"there is no node {name!r}; there are {_names(record, _ids(record))}")
    return node


def _ids(record: Record) -> list[int]:
    return [node.id for node in record.nodes]


def _names(record: Record, ids: Iterable[int]) -> str:
    return ", ".join(record.name(each) for each in ids) or "none"


def _shard(record: Record, number: int) -> ShardEntry:
    if not 0 <= number < len(record.shards):
        raise ChangeRefused(f"there is no shard {number}; there are 0 to {len(record.shards) - 1}")
    return record.shards[number]


def _with_node(record: Record, node: NodeEntry) -> Record:
    others = [each for each in record.nodes if each.id != node.id]
    nodes = tuple(sorted((*others, node), key=lambda each: each.id))
    return msgspec.structs.replace(record, nodes=nodes, next_id=max(record.next_id, node.id + 1))


def _with_shards(record: Record, changed: Mapping[int, ShardEntry]) -> Record:
    return msgspec.structs.replace(
        record, shards=tuple(changed.get(each.shard, each) for each in record.shards)
    )


def _add_node(record: Record, command: AddNode) -> tuple[Record, str]:
    for each in record.nodes:
        taken = {each.peer, each.client} & {command.peer, command.client}
        if each.name != command.name and taken:
            raise ChangeRefused(f"{min(taken)} is an address of {each.name}")
    known = record.named(command.name)
    if known is not None:
        return _add_again(record, command, known)
    id_ = command.id or record.next_id
    holder = record.node(id_)
    if holder is not None:
        raise ChangeRefused(f"id {id_} is that of {holder.name}; the next free one is {record.next_id}")
    if id_ < record.next_id:
        gone = record.tombstone(id_)
        whose = f"{gone.name}, which was removed at epoch {gone.epoch}" if gone else "a node that was removed"
        raise ChangeRefused(
            f"id {id_} was that of {whose}; no id is used twice: take {record.next_id} and an empty directory"
        )
    if id_ > NODE_ID_MAX or len(record.nodes) >= NODES_MAX:
        raise ChangeRefused(f"a cluster has at most {NODES_MAX} nodes, with ids up to {NODE_ID_MAX}")
    found = _with_node(record, NodeEntry(id_, command.name, command.peer, command.client))
    return found, f"{command.name} is node {id_} of the cluster now; rebalance gives it replicas"


def _add_again(record: Record, command: AddNode, known: NodeEntry) -> tuple[Record, str]:
    if command.id not in (0, known.id):
        raise ChangeRefused(f"{known.name} is node {known.id}, not {command.id}")
    node = NodeEntry(known.id, known.name, command.peer, command.client)
    if known.is_leaving:
        return _with_node(record, node), f"{node.name} stays; rebalance gives it replicas again"
    if node != known:
        return _with_node(
            record, node
        ), f"{node.name} is reached at {node.peer} and {node.client} from now on"
    return record, f"{node.name} is node {node.id} of the cluster already"


def _remove_node(record: Record, command: RemoveNode) -> tuple[Record, str]:
    gone = next((each for each in record.removed if each.name == command.name), None)
    if gone is not None and record.named(command.name) is None:
        return record, f"{command.name} was removed at epoch {gone.epoch} already"
    node = _known(record, command.name)
    if node.is_leaving and not command.force:
        return record, f"{node.name} is leaving already"
    staying = [each for each in record.staying if each != node.id]
    if not staying:
        raise ChangeRefused(f"{node.name} is the last node that stays: there must be one")
    if len(staying) < record.replicas and not command.force:
        count = len(staying)
        raise ChangeRefused(
            f"without {node.name} {'there is 1 node' if count == 1 else f'there are {count} nodes'} "
            f"for {record.replicas} replicas of each shard: "
            f"add a node first, or ask for fewer replicas (rebalance --replicas {count}), or force it where "
            f"{node.name} is lost for good"
        )
    found = _with_node(record, msgspec.structs.replace(node, is_leaving=True))
    return _placed(found, even=False), f"{node.name} leaves as soon as its replicas are elsewhere"


def _move_replica(record: Record, command: MoveReplica) -> tuple[Record, str]:
    shard = _shard(record, command.shard)
    source, target = _known(record, command.source), _known(record, command.target)
    if source.id not in shard.replicas:
        if target.id in shard.replicas:
            return record, f"shard {shard.shard} is wanted on {target.name} and not on {source.name} already"
        raise ChangeRefused(
            f"shard {shard.shard} has no replica on {source.name}; it is wanted on "
            f"{_names(record, shard.replicas)}"
        )
    if target.id in shard.replicas:
        raise ChangeRefused(f"shard {shard.shard} has a replica on {target.name} already")
    if target.is_leaving:
        raise ChangeRefused(f"{target.name} is leaving and takes no replica")
    replicas = tuple(sorted({*shard.replicas, target.id} - {source.id}))
    leader = target.id if shard.leader == source.id else shard.leader
    moved = msgspec.structs.replace(shard, replicas=replicas, leader=leader)
    return (
        _with_shards(record, {shard.shard: moved}),
        f"shard {shard.shard} moves from {source.name} to {target.name}",
    )


def _transfer_leader(record: Record, command: TransferLeader) -> tuple[Record, str]:
    shard, target = _shard(record, command.shard), _known(record, command.target)
    if target.id not in shard.replicas:
        raise ChangeRefused(
            f"{target.name} cannot lead shard {shard.shard}, which is wanted on "
            f"{_names(record, shard.replicas)}: move a replica there first"
        )
    moved = msgspec.structs.replace(shard, leader=target.id)
    said = "is" if moved == shard else "is from now on"
    return _with_shards(record, {shard.shard: moved}), f"{target.name} {said} to lead shard {shard.shard}"


def _rebalance(record: Record, command: Rebalance) -> tuple[Record, str]:
    wanted = command.replicas or record.replicas
    if not 1 <= wanted <= REPLICAS_MAX:
        raise ChangeRefused(f"{wanted} replicas of each shard are not between 1 and {REPLICAS_MAX}")
    staying = record.staying
    if command.replicas and len(staying) < wanted:
        raise ChangeRefused(f"{wanted} replicas of each shard need as many nodes; {len(staying)} stay")
    found = _placed(msgspec.structs.replace(record, replicas=wanted), even=True)
    pairs = list(zip(record.shards, found.shards, strict=True))
    moved = sum(len(set(new.replicas) - set(old.replicas)) for old, new in pairs)
    dropped = sum(len(set(old.replicas) - set(new.replicas)) for old, new in pairs)
    led = sum(old.leader != new.leader for old, new in pairs)
    if found == record:
        return record, f"replicas and leaders are spread evenly over {_names(record, staying)} already"
    parts = [f"{moved} replica{'s' * (moved != 1)} to make", f"{dropped} to take away"]
    parts.append(f"{led} shard{'s' * (led != 1)} to be led by another node")
    return found, ", ".join(parts)


def _placed(record: Record, even: bool) -> Record:
    """The record with every shard on as many nodes that stay as it should be, evened out where asked."""
    staying = record.staying
    placement = fill(tuple(each.replicas for each in record.shards), staying, record.replicas)
    leaders = [each.leader for each in record.shards]
    if even:
        placement = even_replicas(placement, staying)
        led = even_leaders(placement, leaders, staying)
    else:
        led = _replaced(placement, leaders)
    return _with_shards(
        record,
        {
            each.shard: msgspec.structs.replace(each, replicas=placement[each.shard], leader=led[each.shard])
            for each in record.shards
        },
    )


def _replaced(placement: Sequence[Sequence[int]], leaders: Sequence[int]) -> tuple[int, ...]:
    """The same leaders, but for those that hold the shard no more: the holder that leads least."""
    found = list(leaders)
    for shard, holders in enumerate(placement):
        if found[shard] not in holders:
            found[shard] = min(holders, key=lambda node: (found.count(node), node))
    return tuple(found)


def _report(record: Record, report: Report) -> Record:
    found = Placed(report.voters, report.learners, report.index)
    if report.group == META_GROUP:
        return msgspec.structs.replace(record, meta=_newer(record.meta, found))
    if not 0 <= report.group < len(record.shards):
        return record
    shard = record.shards[report.group]
    newer = msgspec.structs.replace(shard, actual=_newer(shard.actual, found))
    return _with_shards(record, {shard.shard: newer})


def _newer(old: Placed, new: Placed) -> Placed:
    """What a leader says later in the log counts; what it says again is no news."""
    is_news = new.index >= old.index and (new.voters, new.learners) != (old.voters, old.learners)
    return new if is_news else old


def _finish_removal(record: Record, id_: int) -> Record:
    node = record.node(id_)
    if node is None or not node.is_leaving or record.holds(id_) or id_ in record.meta:
        return record
    stone = Tombstone(id_, node.name, record.epoch + 1)
    return msgspec.structs.replace(
        record,
        nodes=tuple(each for each in record.nodes if each.id != id_),
        removed=(*record.removed, stone)[-TOMBSTONES_MAX:],
    )
