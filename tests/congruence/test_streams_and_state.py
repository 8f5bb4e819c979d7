"""Streams, states and runs behave alike on every backend."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from memraft import ConflictError, InvalidArgument, Memory, NotFound
from memraft.chain import verify_export


def chained(namespace: str, stream: str, event: object, prev_hash: bytes) -> bytes:
    """The hash that `stream.proto` says an event has."""

    def parts() -> list[bytes]:
        return [
            b"memraft.event.v1",
            namespace.encode(),
            stream.encode(),
            event.sequence.to_bytes(8, "big"),  # type: ignore[attr-defined]
            event.id.encode(),  # type: ignore[attr-defined]
            event.run.encode(),  # type: ignore[attr-defined]
            event.agent.encode(),  # type: ignore[attr-defined]
            event.time_us.to_bytes(8, "big"),  # type: ignore[attr-defined]
            event.type.encode(),  # type: ignore[attr-defined]
            b'{"text":"hello"}',
        ]

    return sha256(prev_hash + b"".join(len(part).to_bytes(4, "big") + part for part in parts())).digest()


def test_events_are_chained_as_the_contract_says(memory: Memory) -> None:
    first = memory.append("ticket:1", {"text": "hello"}, type="message")
    second = memory.scoped(run="r1").append("ticket:1", {"text": "hello"}, type="message")
    events = memory.events("ticket:1")
    assert [each.sequence for each in events] == [1, 2] == [first.sequence, second.sequence]
    assert [each.payload for each in events] == [{"text": "hello"}] * 2
    assert events[0].prev_hash == bytes(32)
    assert events[0].hash == first.hash == chained(memory.namespace, "ticket:1", events[0], bytes(32))
    assert events[1].hash == second.hash == chained(memory.namespace, "ticket:1", events[1], first.hash)
    assert events[1].run == "r1"
    assert (events[0].id, events[0].version, events[0].at) == (first.id, first.version, first.at)


def test_many_events_are_read_in_pages(memory: Memory) -> None:
    written = memory.append_many("log", [{"n": n} for n in range(25)], type="tick")
    assert (written.first_sequence, written.count) == (1, 25)
    assert [each.payload["n"] for each in memory.events("log", from_sequence=21)] == [20, 21, 22, 23, 24]
    assert len(memory.events("log", limit=7)) == 7
    kinds = memory.append_many("log", [1, 2], type=["a", "b"])
    assert [each.type for each in memory.events("log", from_sequence=kinds.first_sequence)] == ["a", "b"]
    verdict = memory.verify("log")
    assert verdict and verdict.count == 27 and verdict.last_hash == kinds.last_hash
    assert memory.verify("log", at=written.log_index).count == 25


def test_a_chain_of_more_than_a_page_is_verified_as_of_one_moment(memory: Memory) -> None:
    first = memory.append_many("long", [1] * 10_000)
    second = memory.append_many("long", [2] * 2_500)
    verdict = memory.verify("long")
    assert verdict.intact and (verdict.count, verdict.last_hash) == (12_500, second.last_hash)
    for consistency in ("linearizable", "stale"):
        assert memory.verify("long", consistency=consistency).intact
    assert memory.verify("long", at=first.log_index).count == 10_000
    assert memory.verify("long", at=second.at).count == 12_500


def test_a_range_is_read_by_sequence_and_by_time_in_both_directions(memory: Memory) -> None:
    written = [memory.append("log", n) for n in range(1, 7)]
    assert [each.payload for each in memory.events("log", newest_first=True, limit=2)] == [6, 5]
    ranged = memory.events("log", from_sequence=2, until_sequence=4)
    assert [each.payload for each in ranged] == [2, 3, 4]
    timed = memory.events("log", since=written[2].at, until=written[4].at)
    assert [each.payload for each in timed] == [3, 4]
    page = memory.events("log", newest_first=True, until=written[4].at, limit=3)
    rest = memory.events("log", newest_first=True, until=written[4].at, cursor=page.next_cursor)
    assert [each.payload for each in (*page, *rest)] == [4, 3, 2, 1]
    past = memory.events("log", newest_first=True, at=written[2].log_index)
    assert [each.payload for each in past] == [3, 2, 1]
    with pytest.raises(InvalidArgument, match="cursor"):
        memory.events("log", cursor=page.next_cursor)
    with pytest.raises(InvalidArgument, match="since: a datetime without a time zone"):
        memory.events("log", since=written[0].at.replace(tzinfo=None))


def test_a_stream_is_named_by_what_it_belongs_to(memory: Memory) -> None:
    memory.append(run="r1", payload=1)
    memory.append_many(thread="t1", payloads=[2, 3])
    with memory.batch() as batch:
        batch.append(agent="support", payload=4)
        batch.append(entity="user:42", payload=5)
    assert [each.name for each in memory.streams()] == [
        "agent/support", "entity/user:42", "run/r1", "thread/t1"
    ]  # fmt: skip
    assert [each.payload for each in memory.events(thread="t1")] == [2, 3]
    assert memory.events("entity/user:42")[0].payload == 5
    assert memory.verify(run="r1").count == 1
    for wrong in (
        {},
        {"run": "r1", "thread": "t1"},
        {"stream": "s", "run": "r1"},
        {"run": ""},
        {"user": "u"},
    ):
        with pytest.raises(InvalidArgument):
            memory.events(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="payload is missing"):
        memory.append("s")


def test_an_export_is_verified_without_the_memory(memory: Memory) -> None:
    memory.append_many("log", [{"n": n} for n in range(1_200)])
    last = memory.append("log", "last")
    lines = list(memory.export("log"))
    verdict = verify_export(lines, head=last.hash)
    assert verdict and (verdict.count, verdict.namespace) == (1_201, memory.namespace)
    del lines[700]
    assert verify_export(lines, head=last.hash).line == 701


def test_an_unknown_stream_is_empty_and_intact(memory: Memory) -> None:
    assert len(memory.events("nothing")) == 0
    verdict = memory.verify("nothing")
    assert verdict.intact and verdict.count == 0 and verdict.last_hash == b""


def test_streams_are_listed(memory: Memory) -> None:
    for name in ("b", "a:2", "a:1"):
        memory.append(name, 1)
    memory.append("a:1", 2)
    assert [(each.name, each.last_sequence) for each in memory.streams()] == [
        ("a:1", 2),
        ("a:2", 1),
        ("b", 1),
    ]
    page = memory.streams("a:", limit=1)
    assert [each.name for each in page] == ["a:1"]
    assert [each.name for each in memory.streams("a:", cursor=page.next_cursor)] == ["a:2"]


def test_a_record_is_swapped_only_by_who_saw_it_last(memory: Memory) -> None:
    assert memory.state("leader") is None
    first = memory.cas("leader", {"node": 1}, expected_version=0)
    assert first.swapped
    lost = memory.cas("leader", {"node": 2}, expected_version=0)
    assert not lost.swapped
    assert (lost.version, lost.current) == (first.version, {"node": 1})
    second = memory.cas("leader", {"node": 2}, expected_version=first.version)
    record = memory.state("leader")
    assert second.swapped and record is not None
    assert (record.value, record.version) == ({"node": 2}, second.version)
    assert memory.state("leader", at=first.log_index).value == {"node": 1}  # type: ignore[union-attr]
    assert memory.cas_remove("leader", expected_version=second.version).swapped
    assert memory.state("leader") is None
    assert memory.cas("leader", 3, expected_version=0).swapped


def test_a_run_begins_and_ends_once(memory: Memory) -> None:
    begun = memory.begin_run("run-1", inputs={"ticket": 1458})
    with pytest.raises(ConflictError):
        memory.begin_run("run-1")
    running = memory.run_info("run-1")
    assert running is not None
    assert (running.status, running.inputs, running.outputs) == ("running", {"ticket": 1458}, None)
    assert (running.agent, running.began_at, running.ended_at) == ("support", begun.at, None)
    ended = memory.end_run("run-1", "failed", outputs=["no answer"])
    with pytest.raises(ConflictError):
        memory.end_run("run-1")
    run = memory.run_info("run-1")
    assert run is not None
    assert (run.status, run.outputs, run.ended_at, run.version) == (
        "failed",
        ["no answer"],
        ended.at,
        ended.version,
    )
    assert memory.run_info("run-1", at=begun.log_index).status == "running"  # type: ignore[union-attr]


def test_records_and_counters_are_listed_by_prefix_as_of_any_moment(memory: Memory) -> None:
    for name in ("b/2", "a", "b/1"):
        memory.cas(name, {"is": name}, expected_version=0)
        memory.add(name, len(name))
    before = memory.states().log_index
    memory.cas_remove("b/1", expected_version=memory.states("b/1")[0].version)
    memory.add("b/3", -5)
    assert [(each.key, each.value) for each in memory.states("b/")] == [("b/2", {"is": "b/2"})]
    assert [each.key for each in memory.states(at=before)] == ["a", "b/1", "b/2"]
    counted = {each.name: each.value for each in memory.counters("b/")}
    assert list(counted.items()) == [("b/1", 3), ("b/2", 3), ("b/3", -5)]
    assert len(memory.counters(at=before)) == 3 and not memory.counters("c") and not memory.states("c")
    page = memory.states(limit=1)
    assert [each.key for each in memory.states(cursor=page.next_cursor)] == ["b/2"]
    sums = memory.counters(limit=2)
    assert [each.name for each in memory.counters(cursor=sums.next_cursor)] == ["b/2", "b/3"]
    assert page[0].version == memory.state("a").version  # type: ignore[union-attr]
    assert sums[0].time_us == memory.history_of("counter", "a")[0].time_us
    fork = memory.fork("listed")
    fork.add("b/0")
    assert [each.name for each in fork.counters("b/")] == ["b/0", "b/1", "b/2", "b/3"]
    assert len(memory.counters("b/")) == 3 and len(fork.states()) == 2


def test_runs_get_ids_and_are_listed_newest_first(memory: Memory) -> None:
    ids = [memory.begin_run().id for _ in range(3)]
    assert len(set(ids)) == 3
    page = memory.runs(limit=2)
    rest = memory.runs(cursor=page.next_cursor)
    assert [each.id for each in (*page, *rest)] == ids[::-1]
    assert memory.run_info("unknown") is None
    with pytest.raises(NotFound):
        memory.end_run("unknown")


@pytest.mark.parametrize(
    ("thing", "call"),
    [
        ("stream", lambda m: m.append("", 1)),
        ("type", lambda m: m.append("s", 1, type="x" * 129)),
        ("types", lambda m: m.append_many("s", [1, 2, 3], type=["a", "b"])),
        ("payloads", lambda m: m.append_many("s", [])),
        ("name", lambda m: m.cas("", 1, expected_version=0)),
        ("expected_version", lambda m: m.cas("n", 1, expected_version=-1)),
        ("status", lambda m: m.end_run("r", "running")),
        ("limit", lambda m: m.states(limit=0)),
        ("limit", lambda m: m.counters(limit=10_001)),
        ("prefix", lambda m: m.counters("x" * 513)),
    ],
)
def test_what_is_malformed_is_refused_by_name(
    memory: Memory, thing: str, call: Callable[[Memory], object]
) -> None:
    with pytest.raises(InvalidArgument, match=thing):
        call(memory)
