"""Calls that come many in one, and are made as if each had come alone; see `exchange.proto`.

What is answered at once needs neither a task nor a future of its own, and where all is, the exchange needs
none either. An exchange that takes long lets others have the event loop in between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf.message import Message

from memraft_proto.exchange import CALLS_MAX, REPLY_BYTES_MAX
from memraft_proto.methods import METHODS, Access, Method
from memraft_proto.v1 import common_pb2, error_pb2, exchange_pb2
from memraft_server.admission.identity import Caller
from memraft_server.machine import Refused
from memraft_server.metrics import CallMetrics, MethodMetrics
from memraft_server.rpc.errors import Address, status_of, to_refused
from memraft_server.service import Service
from memraft_server.shard import Outcome

TURN_S = 0.002
"""How long calls are made before others have the event loop."""


class Exchanges:
    """Makes the calls of exchanges.

    Args:
        service: answers them.
        address: of a node, for clients; for NOT_LEADER.
        metrics: counts them, beside the exchange, by their own names.
        turn_s: see `TURN_S`.
        clock_s: monotonic seconds.
    """

    def __init__(
        self,
        service: Service,
        address: Address,
        metrics: CallMetrics,
        turn_s: float = TURN_S,
        clock_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.service = service
        self.address = address
        self.turn_s = turn_s
        self.clock_s = clock_s
        self.carried = {
            name: (method, metrics.of(name))
            for name, method in METHODS.items()
            if method.access in (Access.READ, Access.WRITE) and not method.streams
        }

    def call(self, caller: Caller, request: Any) -> Outcome:
        """Makes all calls of an ExchangeRequest. Raises Refused where it is none."""
        calls = len(request.methods)
        if calls != len(request.requests):
            raise Refused("INVALID_ARGUMENT", f"{calls} methods, but {len(request.requests)} requests")
        if not 0 < calls <= CALLS_MAX:
            raise Refused(
                "INVALID_ARGUMENT",
                f"an exchange of {calls} calls; it has 1 to {CALLS_MAX}",
                {"limit": "exchange calls", "value": str(CALLS_MAX)},
            )
        exchange = _Exchange(self, caller, request)
        if exchange.begin() and not exchange.waiting:
            return exchange.response()
        return exchange.finish()


class _Waiting(NamedTuple):
    """A call without an answer yet."""

    number: int
    outcome: asyncio.Future[Message]
    metrics: MethodMetrics
    began_s: float
    may_wait: bool
    """Whether the others are kept waiting for it."""


class _Exchange:
    """The calls of one exchange, and their answers so far."""

    def __init__(self, owner: Exchanges, caller: Caller, request: Any) -> None:
        self._owner = owner
        self._caller = caller
        self._calls = list(zip(request.methods, request.requests, strict=True))
        self._replies = [b""] * len(self._calls)
        self._failures: list[exchange_pb2.ExchangeResponse.Failure] = []
        self._alone: list[int] = []
        self._begun = 0
        self._reply_bytes = 0
        self.waiting: list[_Waiting] = []

    def begin(self) -> bool:
        """Makes calls until all are made or the turn is over; returns whether all are."""
        clock_s = self._owner.clock_s
        service, carried, caller = self._owner.service, self._owner.carried, self._caller
        now_s = clock_s()
        turn_ends_s = now_s + self._owner.turn_s
        for number in range(self._begun, len(self._calls)):
            if now_s > turn_ends_s:
                return False
            self._begun = number + 1
            name, raw = self._calls[number]
            found = carried.get(name)
            if found is None or self._reply_bytes > REPLY_BYTES_MAX:
                self._alone.append(number)
                continue
            method, metrics = found
            began_s = now_s
            try:
                request: Any = service.decoded(caller, method, raw)
                outcome = service.call(caller, method, request, raw)
                if not isinstance(outcome, Message):
                    may_wait = _may_wait(method, request)
                    future = asyncio.ensure_future(outcome)
                    self.waiting.append(_Waiting(number, future, metrics, began_s, may_wait))
                    now_s = clock_s()
                    continue
                self._land(number, outcome)
            except Exception as error:
                code = self._fail(number, error)
            else:
                code = "OK"
            now_s = clock_s()
            metrics.observe(code, now_s - began_s)
        return True

    async def finish(self) -> Message:
        """Makes the calls that are left, and waits for those that have to wait."""
        try:
            while self._begun < len(self._calls):
                await asyncio.sleep(0)
                self.begin()
            await self._settle([each for each in self.waiting if each.may_wait])
            others = [each for each in self.waiting if not each.may_wait]
            if others:
                await asyncio.sleep(0)  # so that each has begun to wait, and can be told not to
                await self._settle([each for each in others if each.outcome.done()])
                self._alone.extend(each.number for each in others if not each.outcome.done())
        finally:
            for each in self.waiting:
                self._drop(each)
        return self.response()

    async def _settle(self, waiting: list[_Waiting]) -> None:
        for number, outcome, metrics, began_s, _ in waiting:
            try:
                self._land(number, await outcome)
            except asyncio.CancelledError:
                metrics.observe("CANCELLED", self._owner.clock_s() - began_s)
                raise
            except Exception as error:
                code = self._fail(number, error)
            else:
                code = "OK"
            metrics.observe(code, self._owner.clock_s() - began_s)

    def _drop(self, waiting: _Waiting) -> None:
        """Ends what nobody waits for any more."""
        outcome = waiting.outcome
        if not outcome.done():
            outcome.cancel()
            waiting.metrics.observe("CANCELLED", self._owner.clock_s() - waiting.began_s)
        elif not outcome.cancelled():
            outcome.exception()  # it has been seen: asyncio need not tell of it

    def response(self) -> Message:
        """The response, as soon as all have an answer."""
        return exchange_pb2.ExchangeResponse(
            replies=self._replies, failures=self._failures, alone=self._alone
        )

    def _land(self, number: int, reply: Message) -> None:
        encoded = reply.SerializeToString()
        self._reply_bytes += len(encoded)
        if self._reply_bytes > REPLY_BYTES_MAX:
            self._alone.append(number)
        else:
            self._replies[number] = encoded

    def _fail(self, number: int, error: Exception) -> str:
        """Tells the error in the call's answer; returns the name of its code."""
        code, _, details = status_of(to_refused(error, self._owner.address))
        status = error_pb2.ErrorStatus.FromString(details)
        self._failures.append(exchange_pb2.ExchangeResponse.Failure(call=number, status=status))
        return code.name


def _may_wait(method: Method, request: Any) -> bool:
    """Writes take about as long as each other, and so do linearizable reads."""
    if method.access is Access.WRITE:
        return True
    return bool(request.context.consistency == common_pb2.CONSISTENCY_LINEARIZABLE)
