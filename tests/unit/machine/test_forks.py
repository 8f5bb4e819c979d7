"""Forks in the machine: where they begin, what they leave out, and what becomes of them."""

from typing import Any

import pytest

from memraft_proto.sharding import slot_of, tenant_of
from memraft_proto.v1 import batch_pb2, fork_pb2, kv_pb2, lease_pb2, memory_pb2, vector_pb2
from memraft_server.machine import Machine, Refused
from memraft_server.machine.journal import Journal
from memraft_server.machine.limits import POSITION_BITS
from memraft_server.projections.notes import NODE, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import Author, OrderedRecords, Record
from tests.properties.test_machine_store import Disk
from tests.unit.machine.harness import NAMESPACE, SECOND_US, Shard, session

FORK = f"{NAMESPACE}@f"
ALICE = Author("alice", "", "")


def put(shard: Shard, key: str, value: bytes, namespace: str = NAMESPACE, **more: Any) -> Any:
    return shard.write(kv_pb2.PutRequest(namespace=namespace, key=key, value=value, **more))


def fork(shard: Shard, name: str = "f", namespace: str = NAMESPACE, **at: int) -> Any:
    return shard.write(fork_pb2.ForkRequest(namespace=namespace, fork=name, **at))


def drop(shard: Shard, name: str = "f", namespace: str = NAMESPACE) -> Any:
    return shard.write(fork_pb2.DropForkRequest(namespace=namespace, fork=name))


def value(shard: Shard, key: str, namespace: str = FORK) -> bytes:
    return bytes(shard.read(kv_pb2.GetRequest(namespace=namespace, key=key)).value)


def test_a_fork_is_where_its_parent_is() -> None:
    assert slot_of(FORK) == slot_of(NAMESPACE) and tenant_of("acme@f") == "acme"
    assert slot_of(f"{FORK}@g") == slot_of(NAMESPACE)


def test_a_fork_begins_at_any_write_even_within_a_batch() -> None:
    shard = Shard()
    batch = batch_pb2.BatchRequest(namespace=NAMESPACE)
    for number in b"123":
        batch.operations.add().put.CopyFrom(kv_pb2.PutRequest(key="k", value=bytes([number])))
    batch.operations.add().fork.CopyFrom(fork_pb2.ForkRequest(fork="now"))
    batch.operations.add().put.CopyFrom(kv_pb2.PutRequest(key="k", value=b"4"))
    reply = shard.write(batch)
    assert reply.results[3].fork.namespace == f"{NAMESPACE}@now"
    first = reply.log_index << POSITION_BITS
    assert value(shard, "k", f"{NAMESPACE}@now") == b"3"
    for number in range(3):
        fork(shard, f"f{number}", at_version=first + number)
        assert value(shard, "k", f"{NAMESPACE}@f{number}") == b"%d" % (number + 1)
    fork(shard, "whole", at_index=reply.log_index)
    assert value(shard, "k", f"{NAMESPACE}@whole") == b"4"
    fork(shard, "empty", at_version=first - 1)
    assert value(shard, "k", f"{NAMESPACE}@empty") == b""


@pytest.mark.parametrize("ahead", [0, 1, 1 << 40])
def test_a_fork_of_what_is_to_come_is_refused(ahead: int) -> None:
    shard = Shard()
    put(shard, "k", b"1")
    for field in ("at_index", "at_version", "at_time_us"):
        index = shard.machine.applied_index + 1
        now = {
            "at_index": index,
            "at_version": index << POSITION_BITS,
            "at_time_us": shard.time_us + SECOND_US,
        }
        with pytest.raises(Refused, match="AT_IN_FUTURE"):
            fork(shard, **{field: now[field] + ahead})
        assert not shard.read(fork_pb2.ListForksRequest(namespace=NAMESPACE)).forks
    with pytest.raises(Refused, match="not negative"):
        fork(shard, at_time_us=-1)


def test_forking_an_unknown_moment_before_the_first_write_gives_an_empty_fork() -> None:
    shard = Shard()
    put(shard, "k", b"1")
    fork(shard, at_time_us=1)
    assert value(shard, "k") == b""
    listed = shard.read(fork_pb2.ListForksRequest(namespace=NAMESPACE))
    assert listed.forks[0].base_time_us == 0 and listed.forks[0].provenance.agent == "alice"


def test_a_retry_of_a_fork_finds_the_reply_and_no_conflict() -> None:
    shard = Shard()
    put(shard, "k", b"1")
    request = fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f", context=session(1))
    first = shard.write(request)
    again = shard.write(request)
    assert first == again and not again.conflict
    other = shard.write(fork_pb2.ForkRequest(namespace=NAMESPACE, fork="f", context=session(2)))
    assert other.conflict and (other.version, other.base_version) == (first.version, first.base_version)


def test_nothing_is_written_to_or_read_from_a_fork_that_is_not() -> None:
    shard = Shard()
    put(shard, "k", b"1")
    for namespace in (FORK, f"{FORK}@g", "acme/other@f"):
        with pytest.raises(Refused, match="NO_SUCH_FORK"):
            put(shard, "k", b"2", namespace)
        with pytest.raises(Refused, match="NO_SUCH_FORK"):
            value(shard, "k", namespace)
    assert shard.machine.kv_head(FORK, "k") is None
    assert list(shard.machine.spaces.by_name) == [NAMESPACE]


def test_what_a_fork_has_from_before_does_not_expire_in_it() -> None:
    shard = Shard()
    put(shard, "old", b"1", ttl_ms=10_000)
    fork(shard)
    put(shard, "new", b"1", FORK, ttl_ms=10_000)
    shard.time_us += 60 * SECOND_US
    due = shard.machine.due(shard.time_us, 10)
    assert sorted((each.request.namespace, list(each.request.keys)) for each in due) == [  # type: ignore[attr-defined]
        (NAMESPACE, ["old"]),
        (FORK, ["new"]),
    ]
    shard.machine.apply(shard.machine.applied_index + 1, shard.time_us, 0, due)
    assert (value(shard, "old"), value(shard, "new"), value(shard, "old", NAMESPACE)) == (b"1", b"", b"")
    put(shard, "soon", b"1", FORK, ttl_ms=1)
    drop(shard)
    assert shard.machine.next_due_us() is None


def test_a_lock_of_the_parent_is_not_held_in_the_fork() -> None:
    shard = Shard()
    request = lease_pb2.AcquireLeaseRequest(namespace=NAMESPACE, name="lock", holder="h1", ttl_ms=60_000)
    held = shard.write(request)
    fork(shard)
    request.namespace, request.holder = FORK, "h2"
    taken = shard.write(request)
    assert held.granted and taken.granted
    asked = shard.read(lease_pb2.GetLeaseRequest(namespace=NAMESPACE, name="lock"))
    assert asked.current.holder == "h1"


def test_the_short_ways_see_what_a_fork_sees() -> None:
    shard = Shard()
    put(shard, "a", b"1")
    put(shard, "b", b"1")
    made = vector_pb2.CreateCollectionRequest(namespace=NAMESPACE, collection="c", dimension=2)
    shard.write(made)
    for id, vector in (("x", b"\0\0\x80\x3f\0\0\0\0"), ("y", b"\0\0\0\0\0\0\x80\x3f")):
        shard.write(vector_pb2.UpsertVectorRequest(namespace=NAMESPACE, collection="c", id=id, vector=vector))
    fork(shard)
    put(shard, "a", b"2", FORK)
    shard.write(kv_pb2.DeleteRequest(namespace=FORK, key="b"))
    machine = shard.machine
    heads = [machine.kv_head(space, key) for space in (FORK, NAMESPACE) for key in ("a", "b", "c")]
    assert [head and head.value for head in heads] == [b"2", None, None, b"1", b"1", None]
    shard.write(vector_pb2.DeleteVectorRequest(namespace=FORK, collection="c", id="x"))
    found, other = machine.nearest(FORK, "c", [1.0, 0.5], 2), machine.nearest(NAMESPACE, "c", [1.0, 0.5], 2)
    assert found is not None and found[0] == ["y"]
    assert other is not None and other[0] == ["x", "y"]


def test_embeddings_of_another_model_in_parent_and_fork() -> None:
    """Whose parent had none before the fork is bound by none of the parent's later ones."""
    shard = Shard()
    put(shard, "k", b"1")
    fork(shard)

    def remember(namespace: str, id: str, components: int, text: str = "t") -> Any:
        return shard.write(
            memory_pb2.RememberRequest(
                namespace=namespace, id=id, text=text, embedding=b"\0\0\x80\x3f" * components, fingerprint="m"
            )
        )

    remember(NAMESPACE, "p", 4)
    remember(FORK, "f", 2)
    with pytest.raises(Refused, match="EMBEDDING_MISMATCH"):
        remember(FORK, "f", 4)
    asked = memory_pb2.RecallRequest(namespace=FORK, embedding=b"\0\0\x80\x3f" * 2, fingerprint="m")
    assert [each.memory.id for each in shard.read(asked).hits] == ["f"]
    asked.query = "t"
    assert [each.memory.id for each in shard.read(asked).hits] == ["f"]
    fork(shard, "g")
    with pytest.raises(Refused, match="EMBEDDING_MISMATCH"):
        remember(f"{NAMESPACE}@g", "g", 2)


def test_usage_of_a_fork_is_its_own_and_ends_with_it() -> None:
    shard = Shard()
    put(shard, "k", b"1" * 1000)
    usage = shard.machine.usage("acme")
    before = (usage.bytes, usage.records, usage.vectors)
    fork(shard)
    assert usage.bytes - before[0] < 3_000
    put(shard, "k", b"1" * 500, FORK)
    shard.write(kv_pb2.DeleteRequest(namespace=FORK, key="k"))
    put(shard, "l", b"1" * 500, FORK)
    assert usage.records == before[1] + 1
    drop(shard)
    assert (usage.bytes, usage.records, usage.vectors) == before


def test_rows_of_a_dropped_fork_leave_the_disk() -> None:
    shard, disk = Shard(), Disk()
    shard.machine = Machine(0, journal=Journal())
    put(shard, "k", b"1")
    fork(shard)
    put(shard, "k", b"2", FORK)
    disk.save(shard.machine)
    shard.machine = disk.load()
    put(shard, "l", b"2", FORK)
    fork(shard, "g", FORK)
    put(shard, "m", b"2", f"{FORK}@g")
    assert value(shard, "k", f"{FORK}@g") == b"2"
    drop(shard, "g", FORK)
    drop(shard)
    fork(shard)
    put(shard, "k", b"3", FORK)
    disk.save(shard.machine)
    documents = [key for key in disk.rows if key[:1] == b"k"]
    assert len(documents) == 2
    shard.machine = disk.load()
    assert (value(shard, "k"), value(shard, "l"), value(shard, "k", NAMESPACE)) == (b"3", b"", b"1")
    put(shard, "n", b"4")
    disk.save(shard.machine)
    shard.machine = disk.load()
    assert value(shard, "n", NAMESPACE) == b"4" and value(shard, "k") == b"3"


class Told:
    """An index: what it was told of each name."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, bytes | None, bytes | None]] = []

    def changed(self, name: str, old: Record | None, new: Record) -> None:
        self.changes.append((name, old and old.value, new.value))


def test_an_index_over_a_fork_is_told_what_the_fork_has() -> None:
    parent_notes = Notes(None, 0)
    parent = OrderedRecords(Usage(), parent_notes, NODE)
    for version, (name, text) in enumerate((("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4")), 1):
        parent.store(name, text, version, ALICE, 0)
    mine = OrderedRecords(Usage(), Notes(None, 1, parent_notes, 3), NODE)
    mine.store("a", b"5", 5, ALICE, 0)
    told = Told()
    mine.follow(told)
    assert told.changes == [("a", None, b"1"), ("a", b"1", b"3"), ("b", None, b"2"), ("a", b"3", b"5")]
    del told.changes[:]
    parent.store("b", b"6", 6, ALICE, 0)
    mine.remove("b", 7, ALICE)
    mine.store("b", b"8", 8, ALICE, 0)
    assert told.changes == [("b", b"2", None), ("b", None, b"8")]
    assert [name for name, record in mine.scan("", "", "", 7) if record] == ["a"]


def test_as_many_forks_as_may_be() -> None:
    shard = Shard()
    put(shard, "k", b"1")
    shard.entry(*(fork_pb2.ForkRequest(namespace=NAMESPACE, fork=f"f{n}") for n in range(1024)))
    with pytest.raises(Refused, match="has 1024 forks, at most 1024"):
        fork(shard)
    drop(shard, "f7")
    fork(shard)
