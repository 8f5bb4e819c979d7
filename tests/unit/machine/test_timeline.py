"""Histories and timelines: pages together are the whole, and a page costs what is on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from memraft_proto.v1 import history_pb2, kv_pb2, memory_pb2, run_pb2, stream_pb2, traces_pb2
from memraft_server.machine import Limits, Machine, timeline
from memraft_server.machine.journal import Journal
from memraft_server.machine.timeline import Happened
from memraft_server.projections.past import PastRoom
from memraft_server.projections.versions import NOBODY, Record
from tests.unit.machine.harness import NAMESPACE, Shard

HERE: dict[str, Any] = {"namespace": NAMESPACE}


def fill(shard: Shard) -> None:
    shard.write(run_pb2.BeginRunRequest(**HERE, run_id="r"))
    for number in range(12):
        shard.write(kv_pb2.PutRequest(**HERE, key=("ann", "ann/x")[number % 2], value=b"%d" % number))
        shard.write(stream_pb2.AppendRequest(**HERE, stream="ann", payload=b"%d" % number))
        shard.write(memory_pb2.RememberRequest(**HERE, id=f"m{number % 3}", text="tea", about="ann"))
        if number % 4 == 3:
            shard.write(memory_pb2.ForgetRequest(**HERE, id="m0"))
            shard.write(kv_pb2.DeleteRequest(**HERE, key="ann/x"))
        trace = traces_pb2.NewTrace(run="r", stream="ann", decision=traces_pb2.Decision(choice="tea"))
        other = traces_pb2.NewTrace(run="r", confidence=traces_pb2.Confidence(value=1))
        shard.write(traces_pb2.RecordTracesRequest(**HERE, traces=[trace, other, other]))


def pages(shard: Shard, request: Any, field: str) -> Iterator[list[Any]]:
    while True:
        found = shard.read(request)
        yield list(getattr(found, field))
        if not found.next_cursor:
            return
        request.cursor = found.next_cursor


@pytest.mark.parametrize("limit", [1, 5, 7])
def test_pages_together_are_the_whole(limit: int) -> None:
    shard = Shard(Limits(scan_keys_max=70))
    fill(shard)
    whole = [*pages(shard, history_pb2.TimelineRequest(**HERE, entity="ann", limit=1_000), "happenings")]
    told = [each for page in whole for each in page]
    assert len(told) == 12 + 3 + 12 + 12 + 3 + 12
    parts = [*pages(shard, history_pb2.TimelineRequest(**HERE, entity="ann", limit=limit), "happenings")]
    assert [each for page in parts for each in page] == told
    assert max(map(len, parts)) == limit
    for kind, name, count in (("document", "ann/x", 9), ("memory", "m0", 7)):
        request = history_pb2.RecordHistoryRequest(**HERE, kind=kind, name=name, limit=limit)
        versions = [each.provenance.version for page in pages(shard, request, "happenings") for each in page]
        assert len(versions) == count and versions == sorted(versions, reverse=True)


def test_a_page_of_traces_ends_where_many_were_looked_at() -> None:
    shard = Shard(Limits(scan_keys_max=50))
    fill(shard)
    request = traces_pb2.ListTracesRequest(**HERE, kinds=[traces_pb2.TRACE_KIND_DECISION])
    parts = [*pages(shard, request, "traces")]
    assert sum(map(len, parts)) == 12 and max(map(len, parts)) == 2, "five at a time, of which so many match"


def test_a_page_is_not_made_of_all_that_ever_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def count(version: int, *rest: Any) -> Happened:
        made.append(version)
        return Happened(version, *rest)

    shard = Shard()
    shard.write(kv_pb2.MultiPutRequest(**HERE, keys=["ann"] * 2_000, values=[b"1"] * 2_000))
    for _ in range(100):
        shard.write(memory_pb2.RememberRequest(**HERE, id="m", text="tea", about="ann"))
    monkeypatch.setattr(timeline, "Happened", count)
    shard.read(history_pb2.TimelineRequest(**HERE, entity="ann", limit=10))
    shard.read(history_pb2.RecordHistoryRequest(**HERE, kind="document", name="ann", limit=10))
    shard.read(history_pb2.RecordHistoryRequest(**HERE, kind="memory", name="m", limit=10))
    assert len(made) <= 4 * 11


class Disk:
    """Has one version as good as all."""

    def record(self, key: bytes) -> Record:
        return Record(b"1", int.from_bytes(key[-8:]), NOBODY, 0)


def test_a_page_ends_after_many_reads_from_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "PAGE_READS_MAX", 20)
    room = PastRoom(Disk(), bytes_max=0)
    shard = Shard()
    shard.machine = Machine(0, journal=Journal(room))
    shard.write(kv_pb2.MultiPutRequest(**HERE, keys=["ann"] * 100, values=[b"1"] * 100))
    room.settle(shard.machine.ceiling)
    request = history_pb2.TimelineRequest(**HERE, entity="ann", limit=1_000)
    assert [*map(len, pages(shard, request, "happenings"))] == [20] * 5
