"""Merges concurrent reads of single documents into reads of many: a tenth of the work for the node.

A lane (see `_gather`) is what can share a MultiGet: one namespace, one consistency, as of now. All of one
flight are answered at one applied index.

What comes of a MultiGet's call:

::

    answered                  each caller gets its document
    malformed, over a quota   nothing was read, and it may be the fault of one: each asks by itself. So where
                              the documents are too large for one reply
    anything else             it is the answer to each
"""

from collections.abc import Hashable, Iterator
from typing import Any

from memraft_proto.methods import METHODS, Method
from memraft_proto.v1 import kv_pb2

from . import errors
from ._gather import Flight, Party

GET, MULTI_GET = METHODS["Get"], METHODS["MultiGet"]

KEY_CHARS_MAX = 1_024
"""No key is that long: the node says so, to its caller alone."""


class Get(Party):
    """Reads of documents of which only the values are wanted; a part is a document's key.

    Args:
        namespace: where.
        context: how fresh; as of now.
        shard: of the namespace.
        deadline_s: when the time is up, by `time.monotonic`.
        key: of the lane; see `lane_of`.
    """

    __slots__ = ("context", "namespace")

    def __init__(self, namespace: str, context: Any, shard: int, deadline_s: float, key: Hashable) -> None:
        super().__init__(GET, shard, deadline_s, key)
        self.namespace = namespace
        self.context = context

    def call(self) -> tuple[Method, Any]:
        return GET, request_of(self.namespace, self.context, self.parts[0])


class GetFlight(Flight[Get]):
    """The reads that go as one MultiGet. The outcome of each is the document's bytes, empty where there is
    none; of one that went as a call of its own, that call's response."""

    __slots__ = ()

    ITEMS_MAX = 1_000
    """A node takes up to 10,000 keys."""
    SIZE_BYTES_MAX = 256 << 10

    def _joined(self) -> tuple[Method, Any]:
        first = self.items[0]
        request = kv_pb2.MultiGetRequest(namespace=first.namespace, context=first.context)
        for get in self.items:
            request.keys.extend(get.parts)
        return MULTI_GET, request

    def _outcomes(self, response: Any) -> Iterator[Any]:
        values = response.values
        if len(values) != self.count:
            raise ValueError(f"{len(values)} documents in answer to {self.count} keys")
        return iter(values)

    def _may_be_for_one(self, error: errors.MemraftError) -> bool:
        return isinstance(error, errors.InvalidArgument | errors.QuotaExceeded)

    def _lost(self) -> errors.MemraftError:
        return errors.Unavailable("the call that carried this read was interrupted")

    @staticmethod
    def late() -> errors.MemraftError:
        return errors.Unavailable(
            "the time for this read was up while earlier reads of this client were under way; it was not sent"
        )

    @staticmethod
    def unanswered() -> errors.MemraftError:
        return errors.Unavailable("the time for this read is up")


def lane_of(namespace: str, context: Any) -> Hashable:
    """Which reads of single documents as of now may travel together: those of one lane."""
    return namespace, context.consistency


def request_of(namespace: str, context: Any, key: str) -> kv_pb2.GetRequest:
    """The request of a read by itself."""
    return kv_pb2.GetRequest(namespace=namespace, context=context, key=key)


def is_key(key: object) -> bool:
    """Whether something can be a key as far as its request is concerned."""
    if type(key) is not str or len(key) > KEY_CHARS_MAX:
        return False
    if key.isascii():
        return True
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def value_of(outcome: Any) -> bytes | None:
    """The document's bytes in an outcome; None where there is none."""
    if type(outcome) is bytes:
        return outcome or None
    return outcome.value if outcome.found else None
