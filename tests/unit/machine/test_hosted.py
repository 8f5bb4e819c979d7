"""Projections that were registered: made from what is stored, kept up, made again, and taken out."""

import itertools
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import pytest

from memraft_proto.methods import METHODS
from memraft_proto.v1 import projection_pb2
from memraft_server.machine import Command, Machine, Refused, changes, hosted, scans
from memraft_server.machine.limits import POSITION_BITS
from memraft_server.machine.retention import Trimmer
from memraft_server.machine.validate import check_read
from memraft_server.projections.protocol import KINDS, Change, Projection

NAMESPACE = "acme/a"


class Tape:
    """Keeps all that it is told."""

    name: ClassVar[str] = "tape"
    kinds: ClassVar[tuple[str, ...]] = tuple(KINDS)

    def __init__(self) -> None:
        self.told: list[Change] = []

    def apply(self, change: Change) -> None:
        if change.value == "break":
            raise LookupError("asked to")
        self.told.append(change)

    def query(self, argument: Any) -> Any:
        if argument == "wrong":
            raise ValueError("no such question")
        if argument == "break":
            raise LookupError("asked to")
        return [[each.kind, each.name, each.old, each.value] for each in self.told]


class Latest(Tape):
    """What the latest values are, now and in the past."""

    name: ClassVar[str] = "latest"
    kinds: ClassVar[tuple[str, ...]] = ("document",)

    def query(self, argument: Any) -> Any:
        return self.query_at(argument, 1 << 62)

    def query_at(self, argument: Any, version: int) -> Any:
        found = {each.name: each.value for each in self.told if each.version <= version}
        return {name: value for name, value in found.items() if value is not None}

    def state_hash(self) -> bytes:
        return msgspec.json.encode(self.query(None), order="sorted")


class Shard:
    def __init__(self) -> None:
        self.machine = Machine(0)
        self.faults: list[str] = []

    def host(self, *classes: type[Projection]) -> None:
        self.machine.host({each.name: each for each in classes}, self.faults.append)

    def write(self, call: str, namespace: str = NAMESPACE, **fields: Any) -> Any:
        method = METHODS[call]
        command = Command(method.kind, "ann", method.request(namespace=namespace, **fields))
        index = self.machine.applied_index + 1
        [reply] = self.machine.apply(index, index * 1000, index, [command])
        if isinstance(reply, Refused):
            raise reply
        return reply

    def put(self, key: str, value: Any, namespace: str = NAMESPACE) -> None:
        self.write("Put", namespace, key=key, value=msgspec.json.encode(value))

    def ask(self, name: str, argument: Any = None, namespace: str = NAMESPACE, at_index: int = 0) -> Any:
        request = projection_pb2.QueryProjectionRequest(namespace=namespace, projection=name)
        request.argument = b"" if argument is None else msgspec.json.encode(argument)
        if at_index:
            request.context.at_index = at_index
        check_read("QueryProjection", request, self.machine.limits)
        found: Any = self.machine.query("QueryProjection", request)
        return msgspec.json.decode(found.result)

    def ask_all(self, name: str, **more: Any) -> Any:
        """Asks until it is made."""
        while True:
            try:
                return self.ask(name, **more)
            except Refused as refused:
                if refused.reason != "PROJECTION_BUILDING":
                    raise

    def status(self, namespace: str = NAMESPACE) -> Any:
        request = projection_pb2.ListProjectionsRequest(namespace=namespace)
        found: Any = self.machine.query("ListProjections", request)
        return found.projections

    def settle(self) -> None:
        assert self.machine.hosted is not None
        while self.machine.hosted.step():
            pass


def fill(shard: Shard) -> None:
    """One of every kind, some changed and some deleted."""
    shard.put("k", 1)
    shard.write("Append", stream="s", type="note", payload=b'"one"')
    shard.write("CompareAndSwap", name="r", value=b"2")
    shard.write("Remember", id="m", text="tea", about="ann", metadata=b'{"a": 1}')
    shard.write("UpsertNode", id="n", type="person", properties=b'{"b": 2}')
    shard.write("UpsertNode", id="o")
    shard.write("UpsertEdge", source="n", type="knows", target="o", weight=0.5)
    shard.put("k", 3)
    shard.write("UpdateMemory", id="m", valid_until_us=9)
    shard.write("Delete", key="k")
    shard.write("Forget", id="m")
    shard.write("Append", stream="s", type="note", payload=b'"two"')
    shard.write("ForgetNode", id="n")


def test_what_was_stored_and_what_is_written_are_told_alike() -> None:
    before, after = Shard(), Shard()
    fill(before)
    before.host(Tape)
    after.host(Tape)
    fill(after)
    told = before.ask_all("tape")
    assert told == after.ask_all("tape")
    kinds = [kind for kind, *_ in told]
    assert kinds == [
        *("document", "event", "state", "memory", "node", "node", "edge", "document", "memory"),
        *("document", "memory", "event", "node"),
    ]
    assert told[0] == ["document", "k", None, 1]
    assert told[7] == ["document", "k", 1, 3]
    assert told[9] == ["document", "k", 3, None]
    assert [each[3] for each in told if each[0] == "event"] == ["one", "two"]
    assert told[8][2:] == [told[3][3], {**told[3][3], "valid_until_us": 9}]
    assert told[10][3] is None
    assert told[6][1] == "n knows o" and told[6][3]["weight"] == 0.5
    assert told[12][2:] == [{"type": "person", "domain": "", "properties": {"b": 2}}, None]
    assert [each.state for each in before.status()] == [hosted.FOLLOWING]


def test_many_events_of_one_call_are_told_one_by_one() -> None:
    before, after = Shard(), Shard()
    after.host(Tape)
    for shard in (before, after):
        for first in (0, 1_000):
            payloads = [b"%d" % number for number in range(first, first + 1_000)]
            shard.write("AppendMany", stream="s", types=["t"], payloads=payloads)
        shard.write("Append", stream="s", type="t", payload=b"2000")
    before.host(Tape)
    for shard in (before, after):
        assert [value for *_, value in shard.ask_all("tape")] == list(range(2_001))


def test_provenance_is_told() -> None:
    shard = Shard()
    shard.host(Tape)
    shard.put("k", 1)
    shard.settle()
    assert shard.machine.hosted is not None
    [tape] = [each._made for each in shard.machine.hosted._hosted.values()]
    [change] = tape.told
    assert (change.agent, change.time_us, change.version >> POSITION_BITS) == ("ann", 1000, 1)
    shard.write("Remember", id="m", text="tea")
    shard.write("Forget", id="m")
    shard.settle()
    assert [each.agent for each in tape.told] == ["ann", "ann", "ann"]


def test_it_is_made_in_portions_and_says_how_far_it_is() -> None:
    shard = Shard()
    for number in range(3 * hosted.PORTION_CHANGES):
        shard.put(f"k{number}", number)
    shard.host(Latest)
    assert [each.state for each in shard.status()] == [hosted.BUILDING]
    with pytest.raises(Refused, match=r"is being made: it has had all up to log index \d+ of 600") as refused:
        shard.ask("latest")
    assert refused.value.reason == "PROJECTION_BUILDING"
    assert 0 < shard.status()[0].projected_index < 600
    shard.put("k0", "changed meanwhile")  # the shard goes on
    found = shard.ask_all("latest")
    assert len(found) == 600 and found["k0"] == "changed meanwhile" and found["k599"] == 599
    assert shard.status()[0].projected_index == 601


def test_a_query_sees_what_was_written_before_it() -> None:
    shard = Shard()
    shard.host(Latest)
    assert shard.ask("latest") == {}
    for number in range(5):
        shard.put("k", number)
        assert shard.ask("latest") == {"k": number}
    assert shard.ask("latest", namespace="acme/other") == {}
    shard.put("j", 1, "acme/other")
    assert shard.ask("latest", namespace="acme/other") == {"j": 1}


def test_who_is_far_behind_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memraft_server.machine.changes.CHANGES_MAX", 100)
    shard = Shard()
    shard.host(Tape)
    shard.put("k", -1)
    shard.settle()
    for number in range(3_000):
        shard.put("k", number)
    told = shard.ask_all("tape")
    assert [value for _, _, _, value in told] == list(range(-1, 3_000))
    assert [old for _, _, old, _ in told] == [None, *range(-1, 2_999)]


def test_a_state_from_elsewhere_makes_it_anew() -> None:
    shard, other = Shard(), Shard()
    shard.host(Latest)
    shard.put("k", 1)
    shard.put("gone", 1, "acme/gone")
    assert shard.ask("latest") == {"k": 1}
    for number in range(9):
        other.put("k", number)
    other.put("new", 1, "acme/new")
    shard.machine.become(other.machine)
    assert shard.ask("latest") == {"k": 8}
    assert shard.ask("latest", namespace="acme/new") == {"new": 1}
    assert shard.ask("latest", namespace="acme/gone") == {}
    shard.put("k", "after")
    assert shard.ask("latest") == {"k": "after"}


def test_the_past_is_answered_by_those_who_can() -> None:
    shard = Shard()
    shard.host(Tape, Latest)
    shard.put("k", 1)
    shard.put("k", 2)
    assert shard.ask("latest", at_index=1) == {"k": 1}
    with pytest.raises(Refused, match="projection 'tape' answers as of now only: it has no query_at"):
        shard.ask("tape", at_index=1)


def test_a_fork_has_its_own() -> None:
    shard = Shard()
    shard.host(Tape, Latest)
    shard.put("k", 1)
    shard.put("j", 1)
    shard.write("Fork", fork="b")
    shard.put("k", 2)
    shard.put("k", 3, "acme/a@b")
    shard.write("Append", "acme/a@b", stream="s", payload=b"1")
    assert shard.machine.hosted is not None
    assert all(name != "acme/a@b" for name, _ in shard.machine.hosted._hosted)
    assert shard.ask_all("latest", namespace="acme/a@b") == {"k": 3, "j": 1}
    told = [each[:2] + each[2:] for each in shard.ask_all("tape", namespace="acme/a@b")]
    assert told == [
        ["document", "k", None, 1],
        ["document", "j", None, 1],
        ["document", "k", 1, 3],
        ["event", "s", None, 1],
    ]
    shard.put("j", 4, "acme/a@b")
    assert shard.ask("latest", namespace="acme/a@b") == {"k": 3, "j": 4}
    assert shard.ask("latest") == {"k": 2, "j": 1}
    shard.write("DropFork", fork="b")
    with pytest.raises(Refused, match="fork"):
        shard.ask("latest", namespace="acme/a@b")
    shard.write("Fork", fork="b")
    assert shard.ask_all("latest", namespace="acme/a@b") == {"k": 2, "j": 1}


def test_projections_of_forks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosted, "FORKS_MAX", 2)
    shard = Shard()
    shard.host(Latest)
    shard.put("k", 1)
    for number in range(4):
        shard.write("Fork", fork=f"f{number}")
        assert shard.ask_all("latest", namespace=f"acme/a@f{number}") == {"k": 1}
    assert shard.machine.hosted is not None
    assert sorted(name for name, _ in shard.machine.hosted._hosted) == ["acme/a", "acme/a@f2", "acme/a@f3"]
    assert shard.ask_all("latest", namespace="acme/a@f0") == {"k": 1}


def test_code_that_fails_is_taken_out_and_stops_nothing() -> None:
    shard = Shard()
    shard.host(Tape, Latest)
    shard.put("k", 1)
    shard.put("k", "break")
    shard.put("k", 2, "acme/other")
    shard.settle()
    with pytest.raises(
        Refused, match=r"'tape' of 'acme/a' was taken out: it failed at document 'k', version"
    ) as no:
        shard.ask("tape")
    assert no.value.reason == "PROJECTION_FAILED"
    assert len(shard.faults) == 2  # Latest is a Tape
    assert "LookupError: asked to" in shard.faults[0]
    shard.put("k", 3)
    shard.settle()
    [latest, tape] = shard.status()
    assert (tape.state, tape.fault) == (hosted.FAILED, shard.faults[1])
    assert latest.state == hosted.FAILED
    assert shard.ask("tape", namespace="acme/other") == [["document", "k", None, 2]]


def test_a_query_that_fails_fails_alone() -> None:
    shard = Shard()
    shard.host(Tape)
    shard.put("k", 1)
    with pytest.raises(Refused, match="argument: projection 'tape': no such question") as refused:
        shard.ask_all("tape", argument="wrong")
    assert refused.value.reason == "INVALID_ARGUMENT"
    with pytest.raises(Refused, match="this query failed: LookupError"):
        shard.ask("tape", "break")
    assert shard.ask("tape") == [["document", "k", None, 1]]
    assert not shard.faults


class Unmade(Tape):
    name: ClassVar[str] = "unmade"

    def __init__(self) -> None:
        raise OSError("no disk here")


def test_one_that_cannot_be_made_is_taken_out() -> None:
    shard = Shard()
    shard.host(Unmade)
    shard.put("k", 1)
    with pytest.raises(Refused, match="cannot be made: OSError: no disk here"):
        shard.ask("unmade")
    assert shard.status()[0].state == hosted.FAILED


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda shard: shard.ask("other"), "no 'other' is registered here; there is 'latest'"),
        (lambda shard: shard.ask(""), "projection"),
        (lambda shard: shard.ask("x" * 1_000), "projection"),
    ],
)
def test_what_is_not_registered_cannot_be_asked(ask: Callable[[Shard], Any], says: str) -> None:
    shard = Shard()
    shard.host(Latest)
    with pytest.raises(Refused, match=says):
        ask(shard)


def test_a_state_hash_is_told() -> None:
    shard = Shard()
    shard.host(Latest)
    shard.put("k", 1)
    shard.settle()
    assert shard.status()[0].state_hash == b'{"k":1}'


def test_without_any_there_is_none() -> None:
    shard = Shard()
    with pytest.raises(Refused, match="no 'words' is registered here; there is none"):
        shard.ask("words")
    assert not shard.status()


def test_many_found_at_once_are_told_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memraft_server.machine.scans.FOUND_MAX", 20)
    monkeypatch.setattr("memraft_server.machine.scans.SCAN_STEP", 7)
    monkeypatch.setattr(hosted, "PORTION_CHANGES", 9)
    shard = Shard()
    for number, name in zip(range(200), itertools.cycle("abcdefghijklm"), strict=False):
        shard.put(name, number)
        shard.write("Append", stream=name, payload=b"%d" % number)
    shard.host(Tape)
    told = shard.ask_all("tape")
    assert [value for kind, _, _, value in told if kind == "document"] == list(range(200))
    assert [kind for kind, *_ in told] == ["document", "event"] * 200


def test_what_was_deleted_and_forgotten_while_a_projection_was_behind_is_not_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(changes, "CHANGES_MAX", 16)
    monkeypatch.setattr(changes, "_TRIM_MIN", 16)
    monkeypatch.setattr(scans, "SCAN_STEP", 2)
    shard = Shard()
    shard.host(Latest)
    names = [f"n{number}" for number in range(40)]
    shard.put("early", 1)
    assert shard.ask_all("latest") == {"early": 1}
    shard.write("SetRetention", versions=1)
    trimmer = Trimmer(shard.machine)

    def fall_behind(key: str) -> None:
        shard.write("Delete", key=key)
        shard.write("MultiPut", keys=names, values=[b"1"] * len(names))

    def forget() -> None:
        while (command := trimmer.step(1) or trimmer.step(1)) is not None:
            index = shard.machine.applied_index + 1
            shard.machine.apply(index, index * 1000, index, [command])

    fall_behind("early")
    forget()
    shard.put("late", 1)  # the last that a scan looks at
    assert shard.ask_all("latest") == {"late": 1, **dict.fromkeys(names, 1)}
    fall_behind("late")
    assert shard.machine.hosted is not None and shard.machine.hosted.step(), "it looks for what it missed"
    forget()
    assert shard.ask_all("latest") == dict.fromkeys(names, 1)
