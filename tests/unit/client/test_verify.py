"""`verify` asks page by page: its verdict is about the whole chain, as the first page saw it."""

import asyncio
from typing import Any

import pytest

from memraft._async.streams import AsyncStreamCalls
from memraft.types import ChainVerdict
from memraft_proto.methods import METHODS, Method
from memraft_proto.v1 import common_pb2, stream_pb2
from memraft_server.machine import Command, Limits, Machine
from memraft_server.projections.streams import StreamsProjection


class Link:
    """Carries calls to a machine whose pages hold three events, and appends one event after each read."""

    head = nearest = recalled = adjacent = contents = puts = None

    def __init__(self) -> None:
        self.machine = Machine(0, Limits(page_items_max=3))
        self.levels: list[int] = []

    async def read(self, method: Method, request: Any) -> Any:
        self.levels.append(request.context.consistency)
        answer = self.machine.query(method.name, request)
        self.append(1)
        return answer

    async def write(self, method: Method, request: Any) -> Any: ...

    async def close(self) -> None: ...

    def append(self, count: int) -> None:
        index = self.machine.applied_index + 1
        request = stream_pb2.AppendManyRequest(
            namespace="acme/x", stream="s", types=["t"], payloads=[b"1"] * count
        )
        self.machine.apply(index, 1_000 * index, 7, [Command(METHODS["AppendMany"].kind, "a", request)])

    def hashes(self) -> bytearray:
        return self.machine._spaces["acme/x"].projection(StreamsProjection).streams["s"].hashes


def verify(link: Link, **options: Any) -> ChainVerdict:
    calls = AsyncStreamCalls(link, "acme/x", common_pb2.WriteContext(), "session", None)
    return asyncio.run(calls.verify("s", **options))


def test_what_is_appended_between_the_pages_is_left_out() -> None:
    link = Link()
    link.append(8)
    last_hash = bytes(link.hashes()[-32:])
    verdict = verify(link)
    assert (verdict.intact, verdict.count, verdict.last_hash) == (True, 8, last_hash)
    assert len(link.levels) == 3


def test_after_a_stale_page_no_replica_may_be_further_behind() -> None:
    link = Link()
    link.append(8)
    assert verify(link, consistency="stale").count == 8
    stale, session = common_pb2.CONSISTENCY_STALE, common_pb2.CONSISTENCY_SESSION
    assert link.levels == [stale, session, session]


@pytest.mark.parametrize("place", [1, 3, 4, 8])
def test_a_broken_chain_is_told_whole_with_its_first_break(place: int) -> None:
    link = Link()
    link.append(8)
    last_hash = bytes(link.hashes()[-32:]) if place < 8 else None
    link.hashes()[(place - 1) * 32] ^= 1
    verdict = verify(link)
    assert not verdict and (verdict.count, verdict.first_broken_sequence) == (8, place)
    assert last_hash is None or verdict.last_hash == last_hash
