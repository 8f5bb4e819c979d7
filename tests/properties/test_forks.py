"""A fork behaves as a deep copy of its parent as of its base: in replies, in every read now and in every
past, whatever happens to the parent meanwhile, over forks of forks, drops, and a store that it is saved to.

The model of a fork is a machine of its own to which nothing was applied but the fork's ancestry, up to the
base of each, and what was written in the fork, at the same places of the log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from memraft_proto.v1 import (
    forgetting_pb2,
    fork_pb2,
    graph_pb2,
    kv_pb2,
    memory_pb2,
    recall_pb2,
    run_pb2,
    state_pb2,
    stream_pb2,
    vector_pb2,
)
from memraft_server.machine import Command, Machine, Refused
from memraft_server.machine.journal import Journal
from tests.properties import memory_requests
from tests.properties.test_machine_store import Disk, others, singles
from tests.unit.machine.harness import KINDS, READS

ROOT = "acme/a"
NAMES = ("k", "k\0", "k\0\xff", "k1", "", "é", "\U0001f600")
VECTORS = [bytes.fromhex(text) for text in ("0000803f00000000", "000080bf00004040")]


BOTH_WAYS = graph_pb2.EdgeFilter(direction=graph_pb2.DIRECTION_BOTH)


@dataclass
class Line:
    """A namespace of the test, and all that its deep copy would have been told: (index, command)."""

    name: str
    parent: Line | None
    made_at: int = 0
    told: list[tuple[int, Command]] = field(default_factory=list)

    def copy(self) -> Machine:
        machine = Machine(0)
        for index, command in self.told:
            apply(machine, index, [command])
        return machine


def apply(machine: Machine, index: int, commands: list[Command]) -> list[Any]:
    replies = machine.apply(index, 1_000 * index, index, commands)
    return [(each.reason, each.message) if isinstance(each, Refused) else each for each in replies]


def to(namespace: str, request: Message) -> Command:
    mine: Any = type(request).FromString(request.SerializeToString())
    mine.namespace = namespace
    return Command(KINDS[type(mine)], "alice", mine)


def requests() -> list[Any]:
    found: list[Any] = [
        kv_pb2.ListRequest(),
        kv_pb2.MultiGetRequest(keys=NAMES),
        stream_pb2.ListStreamsRequest(),
        run_pb2.ListRunsRequest(),
        run_pb2.ListRunsRequest(limit=2),
        vector_pb2.ListCollectionsRequest(),
        memory_pb2.ListMemoriesRequest(),
        memory_pb2.ListMemoriesRequest(limit=2),
        forgetting_pb2.ListForgottenRequest(),
        forgetting_pb2.ListForgottenRequest(limit=1),
        recall_pb2.ListReceiptsRequest(),
        recall_pb2.ListReceiptsRequest(run="run"),
        graph_pb2.ListNodesRequest(),
        graph_pb2.CrossDomainEdgesRequest(),
        graph_pb2.SubgraphRequest(ids=NAMES, depth=2),
    ]
    for name in NAMES:
        found += [
            kv_pb2.HistoryRequest(key=name),
            kv_pb2.HistoryRequest(key=name, limit=2),
            state_pb2.GetStateRequest(name=name),
            stream_pb2.ReadStreamRequest(stream=name),
            stream_pb2.VerifyStreamRequest(stream=name),
            run_pb2.GetRunRequest(run_id=name),
            memory_pb2.GetMemoryRequest(id=name),
            memory_pb2.ListMemoriesRequest(about=name),
            forgetting_pb2.ListForgottenRequest(id=name),
            recall_pb2.GetLineageRequest(answer_id=name),
            graph_pb2.GetNodeRequest(id=name),
            graph_pb2.NeighboursRequest(id=name, which=BOTH_WAYS),
        ]
    for vector in VECTORS:
        for filter_text in (b"", b'{"n":1}'):
            for collection in ("c", "d"):
                found.append(
                    vector_pb2.SearchVectorsRequest(
                        collection=collection, vector=vector, k=1_000, filter=filter_text
                    )
                )
            for kind in ("", "k"):
                found.append(
                    memory_pb2.RecallRequest(embedding=vector, k=1_000, kind=kind, filter=filter_text)
                )
    return found


REQUESTS = requests()


def answers(machine: Machine, namespace: str, at_index: int | None) -> list[Any]:
    found = []
    for request in REQUESTS:
        request.namespace = namespace
        request.ClearField("context")
        if at_index is not None:
            request.context.at_index = min(at_index, machine.applied_index)
        try:
            answer: Any = machine.query(READS[type(request)], request)
        except Refused as refused:
            found.append(refused.reason)
            continue
        answer.ClearField("stamp")
        found.append(unordered(answer))
    return found


def unordered(answer: Any) -> Any:
    """Scores of a vector may differ in their last bit between scans, and so may the order of equals."""
    if isinstance(answer, vector_pb2.SearchVectorsResponse):
        columns = zip(answer.versions, answer.ids, answer.metadatas, answer.scores, strict=True)
        return sorted((*each[:3], round(each[3], 4)) for each in columns)
    if isinstance(answer, memory_pb2.RecallResponse):
        scored = [(each.memory.provenance.version, round(each.score, 4), each.memory) for each in answer.hits]
        return sorted(scored, key=lambda each: each[0])
    return answer


def is_inherited(request: Message) -> bool:
    """Whether what a request makes is part of what a fork begins with: locks are not. And whether a fork
    takes it: it keeps its model."""
    return "Lease" not in type(request).__name__ and memory_requests.is_for_all(request)


operations = (singles | others | memory_requests.own).filter(is_inherited)
writes = st.tuples(st.just("write"), st.integers(0, 5), operations)
forks = st.tuples(st.just("fork"), st.integers(0, 5), st.none() | st.integers(0, 30))
drops = st.tuples(st.just("drop"), st.integers(0, 5), st.none())
saves = st.tuples(st.just("save"), st.just(0), st.none())
logs = st.lists(st.one_of(writes, writes, writes, forks, writes, drops, saves), min_size=1, max_size=24)


class World:
    """The machine under test, with a line for each namespace that it should have."""

    def __init__(self) -> None:
        self.machine = Machine(0, journal=Journal())
        self.disk = Disk()
        self.lines = [Line(ROOT, None)]
        self.index = 0
        self.forks = 0

    def write(self, line: Line, request: Any) -> None:
        self.index += 1
        copy = line.copy()
        line.told.append((self.index, to(ROOT, request)))
        expected = apply(copy, self.index, [line.told[-1][1]])
        replies = apply(self.machine, self.index, [to(line.name, request)])
        assert repr(replies).replace(line.name, ROOT) == repr(expected)

    def fork(self, line: Line, at_index: int | None) -> None:
        self.index += 1
        self.forks += 1
        request = fork_pb2.ForkRequest(fork=f"f{self.forks}")
        if at_index is not None:
            at_index = min(at_index, self.index - 1)
            request.at_index = at_index
        (reply,) = apply(self.machine, self.index, [to(line.name, request)])
        assert reply.namespace == f"{line.name}@f{self.forks}" and not reply.conflict
        told = [each for each in line.told if at_index is None or each[0] <= at_index]
        self.lines.append(Line(reply.namespace, line, self.index, told))

    def drop(self, line: Line) -> None:
        if line.parent is None:
            return
        self.index += 1
        name = line.name.rpartition("@")[2]
        (reply,) = apply(
            self.machine, self.index, [to(line.parent.name, fork_pb2.DropForkRequest(fork=name))]
        )
        children = sum(each.parent is line for each in self.lines)
        assert (reply.found, reply.forks) == (True, children)
        if not children:
            self.lines.remove(line)

    def save(self) -> None:
        self.disk.save(self.machine)
        usage = self.machine.usage("acme")
        before = (usage.bytes, usage.records, usage.vectors)
        self.machine = self.disk.load()
        usage = self.machine.usage("acme")
        assert (usage.bytes, usage.records, usage.vectors) == before

    def check(self) -> None:
        listed = sorted(each.name for each in self.lines)
        assert sorted(self.machine.spaces.by_name) == listed or not self.lines[0].told
        for line in self.lines:
            copy = line.copy()
            assert answers(self.machine, line.name, None) == answers(copy, ROOT, None)
            for index in range(0, self.index + 1, 3):
                assert answers(self.machine, line.name, index) == answers(copy, ROOT, index)


@given(logs)
def test_a_fork_is_a_deep_copy(log: list[Any]) -> None:
    world = World()
    for action, place, argument in log:
        line = world.lines[place % len(world.lines)]
        if action == "write":
            world.write(line, argument)
        elif action == "fork":
            world.fork(line, argument)
        elif action == "drop":
            world.drop(line)
        else:
            world.save()
    world.check()
    world.save()
    world.check()


def in_run(machine: Machine, command: Command, run: str) -> Command:
    """The command as of a run, checked against the schemas as a server would."""
    request: Any = command.request
    request.context.run = run
    space = machine.space(request.namespace)
    if space is not None and space.settings is not None:
        request.context.schema_version = space.settings.schemas_version
    return command


nothing = st.none()  # a moment at which the leader ends what is over


@given(st.lists(singles | others, max_size=12), st.lists(singles | others | nothing, max_size=12))
def test_any_run_is_replayed_as_it_was_and_any_fork_merged_as_it_is(
    before: list[Any], during: list[Any]
) -> None:
    """Where nobody else writes, a replay does the same, and a merge makes the parent what the fork is."""
    machine, index = Machine(0), 0

    def end_what_is_over() -> None:
        nonlocal index
        index += 1
        due: Any = machine.due(1_000 * index, 100)
        ours = [each for each in due if each.request.namespace == f"{ROOT}@f"]
        machine.apply(index, 1_000 * index, index, ours)

    def write(namespace: str, request: Any, run: str = "") -> Any:
        nonlocal index
        index += 1
        return apply(machine, index, [in_run(machine, to(namespace, request), run)])[0]

    for request in before:
        write(ROOT, request)
    write(ROOT, fork_pb2.ForkRequest(fork="f"))
    write(f"{ROOT}@f", run_pb2.BeginRunRequest(run_id="recorded", record=True))
    for request in during:
        if request is None:
            end_what_is_over()
        else:
            write(f"{ROOT}@f", request, "recorded")
    replayed: Any = machine.query(
        "ReplayRun", run_pb2.ReplayRunRequest(namespace=f"{ROOT}@f", run_id="recorded")
    )
    assert replayed.verdict == run_pb2.REPLAY_VERDICT_SAME, replayed
    steps = [each for each in during if each is not None]
    assert replayed.steps == len(steps) and replayed.replayed_hash == replayed.recorded_hash
    merged = write(ROOT, fork_pb2.MergeForkRequest(fork="f"))
    assert not merged.conflicts, merged
    found: Any = machine.query("Diff", fork_pb2.DiffRequest(namespace=f"{ROOT}@f", from_namespace=ROOT))
    assert [each for each in found.records if each.kind not in ("stream", "lease")] == []


@given(st.lists(st.tuples(singles | others, st.booleans()), max_size=16))
def test_what_others_write_is_never_taken_for_a_run_that_differs(during: list[Any]) -> None:
    machine = Machine(0)
    begin = run_pb2.BeginRunRequest(run_id="recorded", record=True)
    for index, (request, is_recorded) in enumerate([(begin, False), *during], 1):
        command = in_run(machine, to(ROOT, request), "recorded" if is_recorded else "")
        apply(machine, index, [command, *machine.due(1_000 * index, 100)])
    replayed: Any = machine.query("ReplayRun", run_pb2.ReplayRunRequest(namespace=ROOT, run_id="recorded"))
    assert replayed.verdict != run_pb2.REPLAY_VERDICT_DIFFERS, replayed
    # What moves the memories to another model cannot be done again in a fork.
    if all(is_recorded and memory_requests.is_for_all(request) for request, is_recorded in during):
        assert replayed.verdict == run_pb2.REPLAY_VERDICT_SAME, replayed
