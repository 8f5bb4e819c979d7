"""Calls that come many in one: each is made, counted, refused and answered as if it had come alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from google.protobuf.message import Message

from memraft_cluster.errors import NotLeader
from memraft_proto.exchange import CALLS_MAX, REPLY_BYTES_MAX
from memraft_proto.methods import METHODS
from memraft_proto.v1 import cluster_pb2, common_pb2, error_pb2, exchange_pb2, kv_pb2
from memraft_server.admission.identity import Caller, Role
from memraft_server.admission.quotas import Quota, Quotas
from memraft_server.embedded import LocalShard
from memraft_server.machine import Command, Limits, Machine, Refused
from memraft_server.metrics import CallMetrics
from memraft_server.rpc.exchange import Exchanges
from memraft_server.service import Service

AGENT = Caller(Role.AGENT, "support", "acme")
NAMESPACE = "acme/x"
LINEARIZABLE = common_pb2.ReadContext(consistency=common_pb2.CONSISTENCY_LINEARIZABLE)
EXCHANGE = METHODS["Exchange"]


class Slow(LocalShard):
    """A shard that commits, and proves to lead, when it is told to, and lags until then."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, None)
        self.committed = asyncio.Event()
        self.waiting = 0

    def propose(self, command: Command, request: bytes | None) -> Any:
        return self._later(super().propose(command, request))

    def read_barrier(self) -> Awaitable[int]:
        return self._later(1)

    def wait_applied(self, index: int) -> Awaitable[int]:
        return self._later(1)

    async def _later(self, outcome: Any) -> Any:
        self.waiting += 1
        try:
            await self.committed.wait()
        finally:
            self.waiting -= 1
        return outcome


class Made:
    """A service of one shard, its exchanges and what they counted."""

    def __init__(
        self, shard: LocalShard | None = None, operations: int = 0, leads: bool = True, turn_s: float = 60.0
    ) -> None:
        self.shard = shard if shard is not None else LocalShard(Machine(0), None)
        quotas = Quotas(
            Quota(operations_per_s=operations, burst_s=1.0), {}, [self.shard.machine], lambda: 0.0
        )
        shards = {0: self.shard} if leads else {}
        self.service = Service(shards, lambda _: 0, Elsewhere(), limits=Limits(), quotas=quotas)
        self.metrics = CallMetrics()
        exchanges = Exchanges(self.service, lambda node: f"n{node}:7000", self.metrics, turn_s=turn_s)
        self.service.exchange = exchanges.call

    def outcome(self, *calls: tuple[str, Message | bytes], caller: Caller = AGENT) -> Any:
        """What becomes of an exchange of (name, request)."""
        raws = [each if isinstance(each, bytes) else each.SerializeToString() for _, each in calls]
        request = exchange_pb2.ExchangeRequest(methods=[name for name, _ in calls], requests=raws)
        return self.service.call_bytes(caller, EXCHANGE, request.SerializeToString())

    def counted(self) -> dict[tuple[str, str], int]:
        """(method, code) -> calls."""
        found = self.metrics.methods.items()
        return {(name, code): sum(each[0]) for name, m in found for code, each in m.codes.items()}


class Elsewhere:
    """A directory by which node 2 leads everything."""

    def leader(self, shard: int) -> int:
        return 2

    def shard_map(self) -> Any:
        raise AssertionError("not asked here")

    node_status = cluster_record = change_cluster = report_replicas = shard_map


def put(key: str, value: bytes = b"1") -> tuple[str, Message]:
    return "Put", kv_pb2.PutRequest(namespace=NAMESPACE, key=key, value=value)


def get(key: str, context: common_pb2.ReadContext | None = None) -> tuple[str, Message]:
    return "Get", kv_pb2.GetRequest(namespace=NAMESPACE, key=key, context=context)


def value(response: Any, number: int) -> bytes:
    return bytes(kv_pb2.GetResponse.FromString(response.replies[number]).value)


def reason(failure: Any) -> str:
    (info,) = [each for each in failure.status.details if each.type_url.endswith("ErrorInfo")]
    return error_pb2.ErrorInfo.FromString(info.value).reason


def test_what_is_answered_at_once_needs_no_event_loop() -> None:
    made = Made()
    response = made.outcome(put("a"), get("a"), put("b", b"2"), get("b"), get("none"))
    assert isinstance(response, exchange_pb2.ExchangeResponse)
    assert (value(response, 1), value(response, 3), value(response, 4)) == (b"1", b"2", b"")
    assert kv_pb2.PutResponse.FromString(response.replies[2]).version == 2 << 20
    assert (list(response.failures), list(response.alone)) == ([], [])
    assert made.counted() == {("Put", "OK"): 2, ("Get", "OK"): 3}


def test_each_failure_is_told_as_that_of_its_own_call() -> None:
    made = Made()
    foreign = kv_pb2.PutRequest(namespace="globex/x", key="k", value=b"1")
    response = made.outcome(put("a"), ("Put", foreign), ("Put", b"\xff\xff"), put("x" * 600), get("a"))
    assert value(response, 4) == b"1"
    assert [(each.call, reason(each)) for each in response.failures] == [
        (1, "WRONG_TENANT"), (2, "INVALID_ARGUMENT"), (3, "INVALID_ARGUMENT"),
    ]  # fmt: skip
    with pytest.raises(Refused) as alone:
        made.service.call_bytes(AGENT, METHODS["Put"], foreign.SerializeToString())
    assert response.failures[0].status.message == alone.value.message
    assert made.counted()["Put", "PERMISSION_DENIED"] == 1
    assert made.counted()["Put", "INVALID_ARGUMENT"] == 2


def test_every_call_counts_against_the_quota() -> None:
    response = Made(operations=3).outcome(put("a"), get("a"), get("a"), get("a"), put("b"))
    assert [(each.call, reason(each)) for each in response.failures] == [
        (3, "RATE_LIMITED"), (4, "RATE_LIMITED"),
    ]  # fmt: skip
    retry = [each.type_url.rpartition(".")[2] for each in response.failures[0].status.details]
    assert retry == ["ErrorInfo", "RetryInfo", "QuotaFailure"]


def test_who_may_not_touch_data_may_not_in_an_exchange() -> None:
    response = Made().outcome(get("a"), caller=Caller(Role.OPERATOR, "olga"))
    assert [reason(each) for each in response.failures] == ["WRONG_ROLE"]


def test_a_shard_that_is_elsewhere_says_who_leads_it() -> None:
    (failure,) = Made(leads=False).outcome(get("a")).failures
    assert reason(failure) == "NOT_LEADER"
    info = error_pb2.ErrorInfo.FromString(failure.status.details[0].value)
    assert info.metadata["leader"] == "n2:7000"


def test_calls_that_are_not_for_exchanges_are_to_be_made_alone() -> None:
    nested = exchange_pb2.ExchangeRequest(methods=["Get"], requests=[b""])
    stream = METHODS["TailStream"].request(namespace=NAMESPACE)
    status = cluster_pb2.GetNodeStatusRequest()
    calls = [("Exchange", nested), ("TailStream", stream), ("GetNodeStatus", status), ("NoSuchCall", nested)]
    response = Made().outcome(*calls, get("a"))
    assert list(response.alone) == [0, 1, 2, 3]
    assert list(response.failures) == []
    assert list(response.replies[:4]) == [b""] * 4


@pytest.mark.parametrize(
    ("methods", "requests", "said"),
    [
        (["Get"], [], "1 methods, but 0 requests"),
        ([], [], "0 calls"),
        (["Get"] * (CALLS_MAX + 1), [b""] * (CALLS_MAX + 1), f"1 to {CALLS_MAX}"),
    ],
)
def test_a_malformed_exchange_is_refused_as_a_whole(
    methods: list[str], requests: list[bytes], said: str
) -> None:
    raw = exchange_pb2.ExchangeRequest(methods=methods, requests=requests).SerializeToString()
    with pytest.raises(Refused, match=said):
        Made().service.call_bytes(AGENT, EXCHANGE, raw)


def test_what_does_not_fit_into_the_reply_is_to_be_asked_for_alone() -> None:
    made = Made()
    large = b'"' + b"x" * (1 << 20) + b'"'
    made.outcome(*(put(f"k{i}", large[: (1 << 20) - 1] + b'"') for i in range(4)))
    fitting = REPLY_BYTES_MAX >> 20
    response = made.outcome(*(get(f"k{i % 4}") for i in range(fitting + 4)), put("last"))
    assert response.ByteSize() <= REPLY_BYTES_MAX + 10_000
    first = response.alone[0]
    assert 0 < first < fitting + 4
    assert list(response.alone) == list(range(first, fitting + 5)), "no other is made after it"
    assert made.outcome(get("last")).replies[0] == made.outcome(get("none")).replies[0]


def test_writes_and_linearizable_reads_wait_together() -> None:
    async def script() -> None:
        shard = Slow(Machine(0))
        made = Made(shard)
        pending = asyncio.ensure_future(made.outcome(put("a"), get("a", LINEARIZABLE), get("a"), put("b")))
        while shard.waiting < 3:
            await asyncio.sleep(0)
        assert not pending.done()
        shard.committed.set()
        response: Any = await pending
        assert value(response, 1) == value(response, 2) == b"1"
        assert kv_pb2.PutResponse.FromString(response.replies[3]).version == 2 << 20
        assert made.counted() == {("Put", "OK"): 2, ("Get", "OK"): 2}

    asyncio.run(script())


def test_a_read_that_has_to_wait_keeps_no_others_waiting() -> None:
    async def script() -> None:
        shard = Slow(Machine(0))
        made = Made(shard)
        ahead = common_pb2.ReadContext(min_index=9)
        response = await made.outcome(get("a"), get("a", ahead), get("b"))
        assert list(response.alone) == [1]
        await asyncio.sleep(0)
        assert shard.waiting == 0, "nothing is left behind"

    asyncio.run(script())


def test_a_cancelled_exchange_waits_for_nothing_any_more() -> None:
    async def script() -> None:
        shard = Slow(Machine(0))
        made = Made(shard)
        pending = asyncio.ensure_future(made.outcome(put("a"), put("b")))
        while shard.waiting < 2:
            await asyncio.sleep(0)
        pending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pending
        await asyncio.sleep(0)
        assert shard.waiting == 0
        assert made.counted() == {("Put", "CANCELLED"): 2}

    asyncio.run(script())


def test_a_long_exchange_lets_others_have_their_turn() -> None:
    async def script() -> None:
        made = Made(turn_s=0.0)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.ensure_future(other())
        response = await made.outcome(*(put(f"k{i}") for i in range(20)))
        beside.cancel()
        assert turns >= 10
        assert len(response.replies) == 20 and all(response.replies)

    asyncio.run(script())


def test_a_leader_that_steps_down_tells_each_of_its_writes() -> None:
    class Deposed(Slow):
        async def _later(self, outcome: Any) -> Any:
            raise NotLeader(0, 3)

    async def script() -> None:
        response = await Made(Deposed(Machine(0))).outcome(put("a"), get("a"), put("b"))
        assert [(each.call, reason(each)) for each in response.failures] == [
            (0, "NOT_LEADER"), (2, "NOT_LEADER"),
        ]  # fmt: skip
        assert value(response, 1) == b"1"

    asyncio.run(script())
