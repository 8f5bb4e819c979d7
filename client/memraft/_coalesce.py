"""Merges concurrent writes of one client into batches: one command of the log is cheaper than many.

A lane (see `_gather`) is what can share a Batch: one namespace, one agent, one run, one tool, one fence. One
call at a time is not only enough but best: on three nodes that shared two cores, 256 callers wrote 15,400
documents a second with one call under way, 12,200 with two, 11,500 with four and 1,700 uncoalesced; 8 callers
2,500, 1,800, 1,100 and 1,000.

What comes of a batch's call:

::

    answered                  each caller gets its operation's response
    an operation refused      it was not applied; it goes again, as its own call, which tells all details
    malformed, over a quota   nothing was applied, and it may be the fault of one: each goes as its own call
    anything else             it is the answer to each: OutcomeUnknown above all, for the batch is one request

An explicit batch, a call that carries many items by itself, and a large write go on their own.
"""

from collections.abc import Hashable
from typing import Any

from memraft_proto.methods import METHODS, OPERATION_FIELD, Method
from memraft_proto.v1 import batch_pb2

from . import errors
from ._gather import ALONE, Flight, Item

BATCH = METHODS["Batch"]

WRITE_BYTES_MAX = 64 << 10
"""A larger write travels alone: its bytes cost more than its call."""

_COLUMNAR = frozenset({"multi_put", "append_many", "upsert_many"})
_WHOLE = frozenset({"set_schema", "set_namespace_settings", "record_influence"})
"""Not in a Batch: they change what its other operations are checked by, or are completed by the server."""
FIELDS: dict[int, str] = {
    kind: name for kind, name in OPERATION_FIELD.items() if name not in _COLUMNAR | _WHOLE
}
"""Kind -> the field of `Operation`, for the writes that travel together."""


class Write(Item):
    """One caller's write.

    Args:
        method: its own call.
        request: of that call; left as it is.
        shard: of its namespace.
        deadline_s: when its caller's time is up, by `time.monotonic`.
        key: see `lane_of`.
    """

    __slots__ = ()

    def __init__(self, method: Method, request: Any, shard: int, deadline_s: float, key: Hashable) -> None:
        super().__init__(method, request, shard, deadline_s, request.ByteSize(), key)


def lane_of(method: Method, request: Any) -> Hashable | None:
    """Which writes may travel together: those of one lane; None: it travels alone."""
    if method.kind not in FIELDS or request.ByteSize() > WRITE_BYTES_MAX:
        return None
    context = request.context
    author = context.agent, context.run, context.tool
    return request.namespace, *author, context.fence_lease, context.fence_token


class BatchFlight(Flight[Write]):
    """The writes that go as one Batch."""

    __slots__ = ()

    ITEMS_MAX = 1_000
    """A shard takes up to 10,000 operations."""
    SIZE_BYTES_MAX = 1 << 20

    def _joined(self) -> tuple[Method, Any]:
        first = self.items[0].request
        request = batch_pb2.BatchRequest(namespace=first.namespace, context=first.context)
        add = request.operations.add
        for write in self.items:
            operation = getattr(add(), FIELDS[write.method.kind])
            operation.CopyFrom(write.request)
            operation.ClearField("namespace")
            operation.ClearField("context")
        return BATCH, request

    def _tell(self, response: Any) -> None:
        for write, result in zip(self.items, response.results, strict=True):
            which = result.WhichOneof("result")
            reply = getattr(result, which)
            # Neither was applied, and a batch's reply has less to say of it than that of an own call.
            is_short = which == "error" or (which == "compare_and_swap" and reply.current_value_omitted)
            write.settle(ALONE if is_short else reply)

    def _may_be_for_one(self, error: errors.MemraftError) -> bool:
        # A quota refuses a batch that is over it as a whole, where single writes may fit or need nothing.
        return isinstance(error, errors.InvalidArgument | errors.QuotaExceeded)

    def _lost(self) -> errors.MemraftError:
        return errors.OutcomeUnknown(
            "the call that carried this write was interrupted: it may or may not have been applied",
            reason="OUTCOME_UNKNOWN",
        )

    @staticmethod
    def late() -> errors.MemraftError:
        return errors.Unavailable(
            "the time for this write was up while earlier writes of this client were under way; "
            "it was not sent"
        )

    @staticmethod
    def unanswered() -> errors.MemraftError:
        return errors.OutcomeUnknown(
            "the time for this write is up and it may or may not have been applied", reason="OUTCOME_UNKNOWN"
        )
