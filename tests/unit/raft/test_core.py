"""The core's contract with its driver. What it does in a group is told in tests/scenarios/raft."""

from __future__ import annotations

import msgspec
import pytest

from memraft_cluster.raft import (
    BadMessage,
    BrokenInvariant,
    Config,
    ConfigError,
    Core,
    Entry,
    EntryKind,
    HardState,
    Membership,
    Message,
    MessageType,
    NotLeader,
    Overloaded,
    Ready,
    Role,
    SnapshotMeta,
)
from memraft_cluster.raft.jitter import Jitter
from tests.simulation.disk import SimDisk


def finish(core: Core, disk: SimDisk, ready: Ready) -> None:
    disk.write(ready.hard_state, ready.entries)
    disk.sync()
    core.advance(ready)


def run_alone(core: Core, disk: SimDisk) -> list[Entry]:
    applied: list[Entry] = []
    while core.has_ready():
        ready = core.ready()
        applied += ready.committed
        finish(core, disk, ready)
    return applied


def alone() -> tuple[Core, SimDisk]:
    disk = SimDisk()
    core = Core(Config(id=1, voters=(1,)), disk, None)
    core.tick()
    run_alone(core, disk)
    return core, disk


def test_nothing_is_ready_when_nothing_happened() -> None:
    core = Core(Config(id=1, voters=(1, 2, 3)), SimDisk(), None)
    assert not core.has_ready()
    core.tick()
    assert not core.has_ready()


def test_one_ready_at_a_time() -> None:
    core, disk = alone()
    core.propose(b"a")
    ready = core.ready()
    core.propose(b"b")
    assert not core.has_ready(), "the first one is outstanding"
    with pytest.raises(BrokenInvariant, match="before advance"):
        core.ready()
    finish(core, disk, ready)
    with pytest.raises(BrokenInvariant, match="not outstanding"):
        core.advance(ready)
    assert [entry.data for entry in run_alone(core, disk)] == [b"a", b"b"]


def test_a_new_commit_index_alone_needs_no_sync() -> None:
    core, disk = alone()
    core.propose(b"a")
    first = core.ready()
    assert first.must_sync
    finish(core, disk, first)
    second = core.ready()
    assert second.hard_state == HardState(term=1, vote=1, commit=2)
    assert not second.must_sync


def test_a_restart_hands_out_what_the_machine_does_not_have() -> None:
    core, disk = alone()
    for data in (b"a", b"b", b"c"):
        core.propose(data)
    run_alone(core, disk)
    again = Core(Config(id=1, voters=(1,)), disk, disk.hard_state, applied=2)
    assert [entry.data for entry in again.ready().committed] == [b"b", b"c"]
    again = Core(Config(id=1, voters=(1,)), disk, HardState(1, 1, 0), applied=4)
    assert again.status().commit == 4, "a commit index that was not written is known from what was applied"
    assert again.ready().committed == []


def test_a_leader_sends_all_proposals_in_one_message() -> None:
    core = Core(Config(id=1, voters=(1, 2)), SimDisk(), None)
    core.campaign()
    core.step(Message(MessageType.PRE_VOTE_REPLY, 2, 1, term=1))
    core.step(Message(MessageType.VOTE_REPLY, 2, 1, term=1))
    assert core.status().role is Role.LEADER
    for _ in range(1000):
        core.propose(b"x")
    ready = core.ready()
    assert ready.messages_before_sync == [], "its term is not durable yet, so nothing may reveal it"
    appends = [message for message in ready.messages if message.type is MessageType.APPEND]
    assert [len(message.entries) for message in appends] == [1001]


def test_refusals_leave_the_log_as_it_was() -> None:
    core = Core(Config(id=1, voters=(1, 2), proposals_bytes_max=10), SimDisk(), None)
    with pytest.raises(NotLeader) as refused:
        core.propose(b"x")
    assert refused.value.leader == 0
    assert refused.value.retryable
    core.campaign()
    core.step(Message(MessageType.PRE_VOTE_REPLY, 2, 1, term=1))
    core.step(Message(MessageType.VOTE_REPLY, 2, 1, term=1))
    with pytest.raises(Overloaded, match="proposals_bytes_max = 10") as overloaded:
        core.propose(b"x")
    assert (overloaded.value.limit, overloaded.value.limit_value) == ("proposals_bytes_max", 10)
    assert core.status().last_index == 1


def test_heartbeats_do_not_pile_up_while_a_sync_takes_long() -> None:
    core = Core(Config(id=1, voters=(1, 2)), SimDisk(), None)
    core.campaign()
    core.step(Message(MessageType.PRE_VOTE_REPLY, 2, 1, term=1))
    core.step(Message(MessageType.VOTE_REPLY, 2, 1, term=1))
    core.ready()
    for _ in range(5):
        core.tick()
    assert core.status().role is Role.LEADER
    assert len(core._early) == 0


def lead(core: Core, *voters: int) -> None:
    """Elects it; what the others grant is not looked at."""
    core.campaign()
    for voter in voters:
        core.step(Message(MessageType.PRE_VOTE_REPLY, voter, core.id, term=core.term + 1))
    for voter in voters:
        core.step(Message(MessageType.VOTE_REPLY, voter, core.id, term=core.term))
    assert core.status().role is Role.LEADER


def test_a_slow_follower_costs_a_bounded_amount_of_memory_whatever_is_written() -> None:
    """Node 2 answers, node 3 never does."""
    disk = SimDisk()
    window_bytes, cache_bytes = 50_000, 20_000
    config = Config(
        id=1,
        voters=(1, 2, 3),
        inflight_bytes_max=window_bytes,
        entry_batch_bytes_max=5_000,
        cache_bytes_max=cache_bytes,
        committed_bytes_max=100_000,
    )
    core = Core(config, disk, HardState(0, 0, 0))
    lead(core, 2, 3)
    core.step(Message(MessageType.APPEND_REPLY, 3, 1, term=1, index=0))
    sent_bytes = tail_bytes_max = 0
    for _ in range(500):
        for _ in range(10):
            core.propose(b"x" * 1000)
        while core.has_ready():
            ready = core.ready()
            messages = ready.messages_before_sync + ready.messages
            sent = [entry for each in messages if each.to == 3 for entry in each.entries]
            sent_bytes += sum(len(entry.data) for entry in sent)
            finish(core, disk, ready)
            for each in messages:
                if each.to == 2 and each.type is MessageType.APPEND:
                    last = each.index + len(each.entries)
                    core.step(Message(MessageType.APPEND_REPLY, 2, 1, term=1, index=last))
        status = core.status()
        tail_bytes_max = max(tail_bytes_max, core.log.bytes_between(1, status.last_index + 1))
        assert status.peers[3].inflight_bytes <= window_bytes + 5_000
    assert core.status().commit > 5000
    assert sent_bytes <= window_bytes + 5_000
    assert tail_bytes_max <= 2 * cache_bytes + 30_000, "what it still needs is read from disk"

    base = core.snapshot_label(core.status().applied)
    disk.cut(base)
    core.report_unreachable(3)
    core.step(Message(MessageType.HEARTBEAT_REPLY, 3, 1, term=1))
    ready = core.ready()
    assert ready.snapshots_wanted == [3], "what is not even on disk any more comes as a snapshot"
    finish(core, disk, ready)
    core.step(Message(MessageType.HEARTBEAT_REPLY, 3, 1, term=1))
    assert not core.has_ready(), "once a need"


def test_what_is_sent_from_disk_counts_in_the_window_too() -> None:
    disk = SimDisk()
    disk.log = [Entry(1, index, b"x" * 1000) for index in range(1, 201)]
    config = Config(id=1, voters=(1, 2), inflight_bytes_max=20_000, entry_batch_bytes_max=5_000)
    core = Core(config, disk, HardState(1, 0, 0))
    lead(core, 2)
    run_alone(core, disk)
    core.step(Message(MessageType.APPEND_REPLY, 2, 1, term=2, index=0))
    ready = core.ready()
    entries = [entry for each in ready.messages_before_sync for entry in each.entries]
    assert 20_000 <= sum(len(entry.data) for entry in entries) <= 25_000


def test_proposals_that_nobody_commits_are_refused_at_a_bound_and_taken_again_after_it() -> None:
    disk = SimDisk()
    core = Core(Config(id=1, voters=(1, 2), proposals_bytes_max=10_000), disk, HardState(0, 0, 0))
    lead(core, 2)
    count = 0
    with pytest.raises(Overloaded, match="proposals_bytes_max = 10000"):
        while True:
            core.propose(b"x" * 1000)
            count += 1
    assert count == 9
    while core.has_ready():
        finish(core, disk, core.ready())
    core.step(Message(MessageType.APPEND_REPLY, 2, 1, term=1, index=10))
    run_alone(core, disk)
    core.propose(b"x" * 1000)


def test_a_lost_leadership_wants_no_snapshot_any_more() -> None:
    disk = SimDisk()
    disk.log = [Entry(1, 1, b"a"), Entry(1, 2, b"b")]
    disk.cut(SnapshotMeta(2, 1, Membership((1, 2))))
    core = Core(Config(id=1, voters=(1, 2)), disk, HardState(1, 0, 2), applied=2)
    lead(core, 2)
    run_alone(core, disk)
    core.step(Message(MessageType.APPEND_REPLY, 2, 1, term=2, index=2, reject=True, hint_index=0))
    core.report_snapshot(2, 2)
    core.step(Message(MessageType.HEARTBEAT, 2, 1, term=3))
    assert core.ready().snapshots_wanted == []
    core.report_snapshot(2, 2)
    with pytest.raises(NotLeader):
        core.snapshot_message(2, SnapshotMeta(2, 1, Membership((1, 2))))


def test_a_ready_that_installs_a_snapshot_outlasts_what_comes_meanwhile() -> None:
    """Installing may take many ticks: messages are stepped, a newer snapshot may come."""
    disk = SimDisk()
    core = Core(Config(id=1, voters=(1, 2, 3)), disk, HardState(1, 0, 0))
    older, newer = SnapshotMeta(10, 1, Membership((1, 2, 3))), SnapshotMeta(20, 1, Membership((1, 2)))
    core.step(Message(MessageType.SNAPSHOT, 2, 1, term=1, snapshot=older))
    ready = core.ready()
    assert (ready.snapshot, ready.must_sync) == (older, True)
    assert ready.hard_state == HardState(1, 0, 10)
    core.step(Message(MessageType.APPEND, 2, 1, term=1, log_term=1, index=10, entries=(Entry(1, 11, b"x"),)))
    core.step(Message(MessageType.SNAPSHOT, 2, 1, term=1, snapshot=newer))
    core.step(Message(MessageType.APPEND, 2, 1, term=1, log_term=1, index=20, entries=(Entry(1, 21, b"y"),)))
    disk.reset(older)
    finish(core, disk, ready)
    assert core.status().applied == 10
    again = core.ready()
    assert (again.snapshot, again.entries, again.membership) == (
        newer,
        [Entry(1, 21, b"y")],
        newer.membership,
    )
    disk.reset(newer)
    finish(core, disk, again)
    assert (core.status().applied, core.status().durable_index, core.log.first_index) == (20, 21, 21)


def test_without_a_log_of_its_own_a_node_that_belongs_to_nobody_waits() -> None:
    core = Core(Config(id=4, voters=()), SimDisk(), None)
    for _ in range(100):
        core.tick()
    core.campaign()
    assert not core.has_ready()


def test_the_wire_form_stays_as_it_is() -> None:
    """Nodes of two versions talk to each other during a rolling restart."""
    entry = Entry(7, 8, b"9", EntryKind.MEMBERSHIP)
    label = SnapshotMeta(13, 14, Membership((1, 2), (3,)))
    message = Message(MessageType.APPEND, 1, 2, 3, 4, 5, 6, (entry,), True, 10, 11, 12, label, b"d", 15)
    frame = msgspec.msgpack.encode(message)
    assert frame == bytes.fromhex(
        "9f 04010203040506 91 940708c4013901 c30a0b0c 930d0e9292010291 03 c40164 0f"
    )
    assert msgspec.msgpack.decode(frame, type=Message) == message
    before_snapshots = bytes.fromhex("9c 04010203040506 91 930708c40139 c30a0b0c")
    assert msgspec.msgpack.decode(before_snapshots, type=Message).entries == (Entry(7, 8, b"9"),)
    assert msgspec.msgpack.encode(HardState(1, 2, 3)) == bytes.fromhex("94010203c3")
    assert [kind.value for kind in MessageType] == list(range(15))


@pytest.mark.parametrize("ids", [((2, 1), ()), ((1, 1), ()), ((0,), ()), ((1, 2), (2,)), ((1,), (3, 2))])
def test_a_membership_that_cannot_be_is_refused(ids: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"ids must|overlap"):
        Membership(*ids)
    with pytest.raises(msgspec.ValidationError):
        Membership.decode(msgspec.msgpack.encode(ids))


def test_a_membership_is_the_same_after_its_way_through_the_log() -> None:
    membership = Membership.of({5, 1, 3}, [9, 2])
    assert membership == Membership((1, 3, 5), (2, 9))
    assert Membership.decode(membership.encode()) == membership
    assert (membership.quorum, membership.members) == (2, (1, 2, 3, 5, 9))
    assert 9 in membership
    assert 4 not in membership


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": 0}, "id = 0"),
        ({"voters": (1, 1, 2)}, "ids must be distinct"),
        ({"voters": (0, 1)}, "at least 1"),
        ({"learners": (3, 4)}, "ids must be distinct"),
        ({"election_ticks": 1}, "must exceed heartbeat_ticks = 1"),
        ({"heartbeat_ticks": 0}, "heartbeat_ticks = 0"),
        ({"inflight_messages_max": 0}, "inflight_messages_max = 0"),
        ({"cache_bytes_max": -1}, "cache_bytes_max = -1"),
    ],
)
def test_a_config_that_cannot_work_is_refused_by_name(change: dict[str, object], words: str) -> None:
    settings: dict[str, object] = {"id": 1, "voters": (1, 2, 3), **change}
    with pytest.raises(ConfigError, match=words):
        Config(**settings)  # type: ignore[arg-type]


def test_jitter_is_the_same_for_a_seed_and_differs_between_nodes() -> None:
    def draw(seed: int, stream: int) -> list[int]:
        jitter = Jitter(seed, stream)
        return [jitter.below(10) for _ in range(200)]

    assert draw(1, 1) == draw(1, 1)
    assert draw(1, 1) != draw(1, 2) != draw(2, 2)
    assert set(draw(1, 1)) == set(range(10))


@pytest.mark.parametrize(
    "places", [((2, 1), (2, 7), (2, 3)), ((2, 1), (1, 2)), ((2, 1), (2, 1)), ((1, 1),)], ids=str
)
def test_entries_in_disorder_are_refused_and_leave_the_log_alone(places: tuple[tuple[int, int], ...]) -> None:
    """Written down, they would be a damaged log at the next start."""
    core = Core(Config(id=1, voters=(1, 2, 3)), SimDisk(), HardState(2, 0, 0))
    core.step(Message(MessageType.APPEND, 2, 1, 2, entries=(Entry(2, 1, b"first"),)))
    entries = tuple(Entry(term, 1 + index, b"") for term, index in places)
    with pytest.raises(BadMessage, match="they do not"):
        core.step(Message(MessageType.APPEND, 2, 1, 2, index=1, log_term=2, entries=entries))
    assert core.log.last_index == 1


@pytest.mark.parametrize("number", [-1, 1 << 62, (1 << 64) - 1])
@pytest.mark.parametrize("field", ["term", "index", "commit"])
def test_numbers_that_no_group_can_have_reached_are_refused(field: str, number: int) -> None:
    """A term that damage made up would be everybody's, and no election could go beyond it."""
    for kind in MessageType:
        core = Core(Config(id=1, voters=(1, 2, 3)), SimDisk(), HardState(3, 0, 0))
        message = Message(kind, 2, 1, 3)
        setattr(message, field, number)
        with pytest.raises(BadMessage, match="node 2 sent term"):
            core.step(message)
        assert core.term == 3 and core.status().last_index == 0 and not core.has_ready()


def test_a_snapshot_of_an_entry_that_no_group_can_have_reached_is_refused() -> None:
    core = Core(Config(id=1, voters=(1, 2, 3)), SimDisk(), HardState(3, 0, 0))
    label = SnapshotMeta(1 << 62, 3, Membership((1, 2, 3)))
    with pytest.raises(BadMessage, match="node 2 sent a snapshot of entry"):
        core.step(Message(MessageType.SNAPSHOT, 2, 1, 3, snapshot=label))
    assert not core.has_ready()


def test_a_follower_that_answers_is_active_at_every_moment() -> None:
    """Also right after a check of the quorum, which counts from there on; one that is silent is not for
    long. The log is cut without regard to those that are not active."""
    config = Config(id=1, voters=(1, 2, 3), election_ticks=5)
    disk = SimDisk()
    core = Core(config, disk, HardState(0, 0, 0))
    lead(core, 2, 3)
    for tick in range(30):
        core.step(Message(MessageType.HEARTBEAT_REPLY, 2, 1, term=1))
        for _ in range(config.heartbeat_ticks):
            core.tick()
            peers = core.status().peers
            assert peers[2].active
            assert peers[3].active is (tick + 1 < 2 * config.election_ticks)


def test_a_leader_knows_how_far_each_follower_has_applied() -> None:
    """What is durable there says nothing of that: a page of committed entries is applied at a time."""
    disks = {node: SimDisk() for node in (1, 2)}
    cores = {
        node: Core(Config(id=node, voters=(1, 2), committed_bytes_max=1_000), disks[node], HardState(0, 0, 0))
        for node in disks
    }
    leader, follower = cores[1], cores[2]
    lead(leader, 2)
    for _ in range(20):
        leader.propose(b"x" * 400)
    waiting: list[Message] = []

    def turn(node: int) -> None:
        if cores[node].has_ready():
            ready = cores[node].ready()
            finish(cores[node], disks[node], ready)
            waiting.extend(ready.messages_before_sync + ready.messages)
            for message in [each for each in waiting if each.to != node]:
                waiting.remove(message)
                cores[message.to].step(message)

    seen: set[int] = set()
    for _ in range(100):
        turn(1)
        turn(2)
        before = follower.status().applied
        leader.tick()
        peer = leader.status().peers[2]
        assert peer.applied <= before, "what it has yet to apply is not counted"
        if peer.match == leader.log.last_index:
            seen.add(peer.applied)
    assert min(seen) < leader.log.last_index, "all durable there, and not all applied"
    assert max(seen) == follower.status().applied == leader.log.last_index
