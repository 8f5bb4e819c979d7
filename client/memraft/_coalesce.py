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

from collections.abc import Callable, Hashable, Iterator
from typing import Any

from memraft_proto.methods import METHODS, OPERATION_FIELD, Method
from memraft_proto.v1 import batch_pb2, common_pb2, kv_pb2

from . import errors
from ._gather import ALONE, Flight, Item, Party

BATCH, PUT = METHODS["Batch"], METHODS["Put"]

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

    @property
    def namespace(self) -> str:
        """Where."""
        return str(self.request.namespace)

    @property
    def context(self) -> common_pb2.WriteContext:
        """Who writes."""
        context: common_pb2.WriteContext = self.request.context
        return context

    def add_to(self, add: Callable[[], batch_pb2.Operation]) -> None:
        """Adds it to a Batch."""
        operation = getattr(add(), FIELDS[self.method.kind])
        operation.CopyFrom(self.request)
        operation.ClearField("namespace")
        operation.ClearField("context")


class Place:
    """What all writes of one view have in common.

    Args:
        namespace: where.
        context: who writes.
    """

    __slots__ = ("context", "key", "namespace")

    def __init__(self, namespace: str, context: common_pb2.WriteContext) -> None:
        self.namespace = namespace
        self.context = context
        self.key = _key_of(namespace, context)
        """Of its lane."""

    def put(self, key: str, value: bytes) -> kv_pb2.PutRequest:
        """The request of a put by itself."""
        return kv_pb2.PutRequest(namespace=self.namespace, context=self.context, key=key, value=value)


class Put(Party):
    """Puts of documents under no condition, and with no time to live of their own; a part is a key and the
    document's JSON text.

    Args:
        place: where, and who writes.
        shard: of the namespace.
        deadline_s: when the time is up, by `time.monotonic`.
    """

    __slots__ = ("place",)

    def __init__(self, place: Place, shard: int, deadline_s: float) -> None:
        super().__init__(PUT, shard, deadline_s, place.key)
        self.place = place

    @property
    def namespace(self) -> str:
        """Where."""
        return self.place.namespace

    @property
    def context(self) -> common_pb2.WriteContext:
        """Who writes."""
        return self.place.context

    def call(self) -> tuple[Method, Any]:
        return PUT, self.place.put(*self.parts[0])

    def add_to(self, add: Callable[[], batch_pb2.Operation]) -> None:
        """Adds them to a Batch."""
        for key, value in self.parts:
            put = add().put
            put.key = key
            put.value = value


def lane_of(method: Method, request: Any) -> Hashable | None:
    """Which writes may travel together: those of one lane; None: it travels alone."""
    if method.kind not in FIELDS or request.ByteSize() > WRITE_BYTES_MAX:
        return None
    return _key_of(request.namespace, request.context)


def _key_of(namespace: str, context: common_pb2.WriteContext) -> Hashable:
    author = context.agent, context.run, context.tool
    return namespace, *author, context.fence_lease, context.fence_token


def _outcome(result: batch_pb2.OperationResult) -> Any:
    """What an operation's caller is told, unless it is a put that was stored."""
    which = result.WhichOneof("result")
    if which is None:
        raise ValueError("a result that says nothing")
    reply = getattr(result, which)
    # Neither was applied, and a batch's reply has less to say of it than that of an own call.
    is_short = which == "error" or (which == "compare_and_swap" and reply.current_value_omitted)
    return ALONE if is_short else reply


class BatchFlight(Flight[Write | Put]):
    """The writes that go as one Batch."""

    __slots__ = ()

    ITEMS_MAX = 1_000
    """A shard takes up to 10,000 operations."""
    SIZE_BYTES_MAX = 1 << 20

    def _joined(self) -> tuple[Method, Any]:
        first = self.items[0]
        request = batch_pb2.BatchRequest(namespace=first.namespace, context=first.context)
        add = request.operations.add
        for item in self.items:
            item.add_to(add)
        return BATCH, request

    def _outcomes(self, response: Any) -> Iterator[Any]:
        results = response.results
        if len(results) != self.count:
            raise ValueError(f"{len(results)} results in answer to {self.count} operations")
        # A put's version, as nearly always; there is none in the result of any other operation.
        return (put if (put := each.put).version else _outcome(each) for each in results)

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
