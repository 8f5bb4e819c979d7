"""Merges concurrent calls to one node into exchanges. No IO; both facades share it.

It is the last hop: whom to ask, in which session and how often is decided before, for each call by itself.
Only calls that take about as long as each other share a lane (see `_gather`), for their answers come
together: writes, which wait for a commit; linearizable reads of one thing, which wait for a round of
heartbeats; and reads of one thing that are answered at once. Searches, listings and recalls go alone, and
so does what is large.

What comes of an exchange's call:

::

    answered                  each caller gets the response or the error of its own call
    to be made alone          a read that would have had the others wait, an answer with no room left: it is
    malformed, too large      nothing was done: each call is made alone
    no such call              a node of an older version: each is made alone, and so are all for a while
    anything else             it is the answer to each: a connection lost above all
"""

from collections.abc import Hashable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from memraft_proto.methods import METHODS, Access, Method
from memraft_proto.v1 import common_pb2, exchange_pb2

from . import _status, errors
from ._gather import ALONE, Flight, Item

EXCHANGE = METHODS["Exchange"]

CALL_BYTES_MAX = 64 << 10
"""A larger request travels alone: its bytes cost more than its call."""
WITHOUT_S = 60.0
"""A node that has no such call is not asked for it again for so long."""

_LINEARIZABLE = common_pb2.CONSISTENCY_LINEARIZABLE
_SLOW_WRITES = frozenset(
    {"SetSchema", "DropIndex", "DeclareIndex", "BeginReembed", "StoreEmbeddings", "FinishReembed"}
    | {"Fork", "DropFork", "MergeFork", "MergeNodes", "ForgetNode", "MergeMemories", "RecordInfluence"}
)
"""Some of them may keep a shard busy, or wait for more than a commit."""
_READS = frozenset(
    {
        "Get",
        "MultiGet",
        "GetState",
        "GetCounter",
        "GetGate",
        "GetLease",
        "GetRun",
        "GetNode",
        "GetEdge",
        "GetMemory",
    }
    | {"GetTrace", "GetNamespaceSettings", "GetRetention"}
)
_GROUPS = {
    method.name: "read" if method.access is Access.READ else "write"
    for method in METHODS.values()
    if method.name in _READS or (method.access is Access.WRITE and method.name not in _SLOW_WRITES)
}


class Call(Item):
    """One caller's call to one node.

    Args:
        method: which.
        encoded: its request.
        address: of the node.
        deadline_s: until when its answer is waited for, by `time.monotonic`.
        key: see `lane_of`.
    """

    __slots__ = ()

    def __init__(
        self, method: Method, encoded: bytes, address: str, deadline_s: float, key: Hashable
    ) -> None:
        super().__init__(method, encoded, address, deadline_s, len(encoded), key)


def lane_of(method: Method, request: Any, size_bytes: int, address: str) -> Hashable | None:
    """Which calls may travel together: those of one lane; None: it travels alone."""
    if size_bytes > CALL_BYTES_MAX:
        return None
    group = group_of(method, request)
    return None if group is None else (address, group)


def group_of(method: Method, request: Any) -> str | None:
    """Which calls this one may travel with; None: none."""
    group = _GROUPS.get(method.name)
    if group == "read" and request.context.consistency == _LINEARIZABLE:
        return "linearizable"
    return group


class ExchangeFlight(Flight[Call]):
    """The calls that go as one Exchange."""

    __slots__ = ()

    ITEMS_MAX = 512
    """A node takes up to 1,000."""
    SIZE_BYTES_MAX = 1 << 20

    def _joined(self) -> tuple[Method, Any]:
        request = exchange_pb2.ExchangeRequest(
            methods=[call.method.name for call in self.items], requests=[call.request for call in self.items]
        )
        return EXCHANGE, request.SerializeToString()

    def _outcomes(self, response: Any) -> Iterator[Any]:
        replies = response.replies
        if len(replies) != self.count:
            raise ValueError(f"{len(replies)} replies in answer to {self.count} calls")
        special: dict[int, Any] = dict.fromkeys(response.alone, ALONE)
        for failure in response.failures:
            address = self.items[failure.call].destination
            special[failure.call] = _status.explain_status(failure.status, address)
        for number, (call, reply) in enumerate(zip(self.items, replies, strict=True)):
            outcome = special.get(number) if special else None
            if outcome is None:
                try:
                    outcome = call.method.response.FromString(reply)
                except DecodeError:
                    outcome = self._lost()
            yield outcome

    def _may_be_for_one(self, error: errors.MemraftError) -> bool:
        return isinstance(error, errors.InvalidArgument)

    def _lost(self) -> errors.MemraftError:
        return errors.Unavailable(
            "the call that carried this one was interrupted", reason=_status.ATTEMPT_TIMEOUT
        )

    @staticmethod
    def late() -> errors.MemraftError:
        return errors.Overloaded(
            "the time for this call was up while earlier calls of this client were under way; it was not sent"
        )

    @staticmethod
    def unanswered() -> errors.MemraftError:
        return errors.Unavailable("no answer in time", reason=_status.ATTEMPT_TIMEOUT)
