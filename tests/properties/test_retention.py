"""Whatever is written, and whatever is forgotten in between: reads from the floor on are as if nothing had
been, those from before are refused, and a machine that was read back is the one that never was."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from memraft_proto.v1 import (
    forgetting_pb2,
    fork_pb2,
    graph_pb2,
    kv_pb2,
    memory_pb2,
    recall_pb2,
    reembed_pb2,
    retention_pb2,
    run_pb2,
    state_pb2,
    stream_pb2,
    vector_pb2,
)
from memraft_server.machine import Command, Machine, Refused
from memraft_server.machine.facts import decode_author, is_intact, record_of
from memraft_server.machine.journal import Journal
from memraft_server.machine.loader import load
from memraft_server.machine.retention import Trimmer, floor_of
from memraft_server.projections.past import PastRoom
from memraft_server.projections.versions import Record
from tests.properties import memory_requests
from tests.properties.test_machine_store import MINUTE_US, Disk
from tests.unit.machine.harness import KINDS, READS

SPACE = "acme/a"
NAMES = ("k", "k\0")
names = st.sampled_from(("k", "k", "k\0"))
vectors = st.sampled_from((b"\0\0\x80?\0\0\0\0", b"\0\0\0\0\0\0\x80?"))
limits = st.builds(
    retention_pb2.SetRetentionRequest,
    versions=st.sampled_from((1, 1, 2, 0)),
    age_ms=st.sampled_from((0, 0, 60_000)),
    events=st.sampled_from((0, 1, 3)),
)
writes: st.SearchStrategy[Any] = st.one_of(
    st.builds(kv_pb2.PutRequest, key=names, value=st.sampled_from((b"1", b"22"))),
    st.builds(kv_pb2.DeleteRequest, key=names),
    st.builds(stream_pb2.AppendRequest, stream=names, payload=st.just(b"1")),
    st.builds(memory_pb2.RememberRequest, id=names, text=names, about=names, embedding=vectors),
    st.builds(memory_pb2.ForgetRequest, id=names),
    st.builds(vector_pb2.UpsertVectorRequest, collection=st.just("c"), id=names, vector=vectors),
    st.builds(vector_pb2.DeleteVectorRequest, collection=st.just("c"), id=names),
    st.builds(
        graph_pb2.UpsertGraphRequest,
        ids=st.just(NAMES),
        sources=st.just(["k"]),
        edge_types=st.just(["t"]),
        targets=names.map(lambda name: [name]),
        weights=st.sampled_from(([1.0], [2.0])),
    ),
    st.builds(graph_pb2.DeleteNodeRequest, id=names, detach=st.just(True)),
    st.builds(run_pb2.BeginRunRequest, run_id=st.just("run"), record=st.just(True)),
    memory_requests.operations,
    memory_requests.own,
)
moves = memory_requests.alone
forks = st.builds(fork_pb2.ForkRequest, fork=st.just("f"), at_index=st.sampled_from((None, None, 4, 8)))
drops = st.builds(fork_pb2.DropForkRequest, fork=st.just("f"))
turns = st.sampled_from(("trim", "trim", "reload", "save", "rest"))
courses = st.lists(
    st.one_of(writes, writes, writes, writes, moves, limits, forks, drops, turns, turns),
    min_size=10,
    max_size=40,
)


class Rows:
    """Reads the past from a store of the test."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def record(self, key: bytes) -> Record:
        value = self._disk.rows[key]
        assert is_intact(key, value)
        return record_of(value, int.from_bytes(key[-8:]), decode_author)


def without_past(disk: Disk) -> Journal:
    """The journal of a machine that keeps nothing of the past in memory that is on the disk."""
    return Journal(PastRoom(Rows(disk), 0))


def requests(space: str) -> list[Any]:
    """Reads that forgetting does not change."""
    query = np.array([1.0, 0.5], "<f4").tobytes()
    found: list[Any] = [kv_pb2.ListRequest(), run_pb2.ListRunsRequest(), stream_pb2.ListStreamsRequest()]
    found += [memory_pb2.ListMemoriesRequest(), graph_pb2.ListNodesRequest()]
    found += [memory_pb2.RecallRequest(embedding=query, fingerprint=mark, k=5) for mark in ("", "f")]
    found += [vector_pb2.SearchVectorsRequest(collection=name, vector=query, k=5) for name in ("c", "d")]
    for name in NAMES:
        found += [kv_pb2.GetRequest(key=name), state_pb2.GetStateRequest(name=name)]
        found += [graph_pb2.NeighboursRequest(id=name)]
    for each in found:
        each.namespace = space
    return found


def answers(machine: Machine, space: str, at_index: int) -> list[Any]:
    found: list[Any] = []
    for request in requests(space):
        request.context.at_index = at_index
        try:
            answer: Any = machine.query(READS[type(request)], request)
            answer.ClearField("stamp")
            found.append(answer)
        except Refused as refused:
            found.append(refused.reason)
    return found


def histories(machine: Machine) -> list[Any]:
    """Reads that show what was forgotten, and what is taken."""
    found: list[Any] = []
    for name in NAMES:
        verify = stream_pb2.VerifyStreamRequest(namespace=SPACE, stream=name)
        verdict: Any = machine.query("VerifyStream", verify)
        assert verdict.intact
        for request in (
            kv_pb2.HistoryRequest(key=name),
            stream_pb2.ReadStreamRequest(stream=name),
            forgetting_pb2.ListForgottenRequest(id=name),
            forgetting_pb2.ListForgottenRequest(),
            recall_pb2.ListReceiptsRequest(),
            recall_pb2.ListReceiptsRequest(run="run"),
            reembed_pb2.GetReembeddingRequest(),
        ):
            request.namespace = SPACE
            found.append(machine.query(READS[type(request)], request))
    usage = machine.usage("acme")
    return [*found, (usage.bytes, usage.records, usage.vectors)]


@settings(max_examples=60)
@given(courses)
def test_what_is_kept_is_what_it_was(course: list[Any]) -> None:
    kept, never_loaded, disk = Machine(0), Machine(0), Disk()
    machine = Machine(0, journal=without_past(disk))
    index = 0

    def apply(time_us: int, commands: list[Command], to_kept: bool = True) -> None:
        nonlocal index
        index += 1
        stamp = machine.last_time_us + time_us
        one = machine.apply(2 * index, stamp, index, commands)
        other = never_loaded.apply(2 * index, stamp, index, commands)
        is_refused = any(isinstance(each, Refused) and each.reason == "BEFORE_RETENTION" for each in one)
        kept.apply(2 * index, stamp, index, commands if to_kept and not is_refused else [])
        assert list(map(str, one)) == list(map(str, other))
        assert machine.applied_hash == never_loaded.applied_hash

    create = vector_pb2.CreateCollectionRequest(collection="c", dimension=2, metric=1)
    for event in [create, retention_pb2.SetRetentionRequest(versions=1), *course, "trim"]:
        if event == "reload":
            disk.save(machine)
            machine, _ = load(sorted(disk.rows.items()), disk.label, journal=without_past(disk))
        elif event == "save":
            disk.save(machine)
            if machine.journal is not None and machine.journal.past is not None:
                machine.journal.past.settle(machine.ceiling)
        elif event == "rest":
            apply(2 * MINUTE_US, [])
        elif event == "trim":
            trimmer = Trimmer(machine)
            for _ in range(20):
                command = trimmer.step(machine.last_time_us)
                if command is None:
                    break
                apply(1, [command], to_kept=False)
        else:
            request = type(event).FromString(event.SerializeToString())  # the strategy may give it again
            request.namespace = SPACE
            apply(1, [Command(KINDS[type(request)], "alice", request)])
    assert histories(machine) == histories(never_loaded)
    space = machine.space(SPACE)
    floor = floor_of(space) >> 20 if space is not None else 0
    for name in (SPACE, f"{SPACE}@f"):
        for at in range(machine.applied_index + 1):
            found = answers(machine, name, at)
            assert found == answers(never_loaded, name, at)
            if at < floor:
                assert set(found) <= {"BEFORE_RETENTION", "NO_SUCH_FORK"}
            else:
                assert found == answers(kept, name, at)
