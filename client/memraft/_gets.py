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

from collections.abc import Hashable
from typing import Any

from memraft_proto.methods import METHODS, Method
from memraft_proto.v1 import kv_pb2

from . import errors
from ._gather import Flight, Item

GET, MULTI_GET = METHODS["Get"], METHODS["MultiGet"]

KEY_CHARS_MAX = 1_024
"""No key is that long: the node says so, to its caller alone."""


class Get(Item):
    """One caller's read of a document, of which only the value is wanted.

    Args:
        namespace: where.
        context: how fresh; as of now.
        key: which document.
        shard: of the namespace.
        deadline_s: when its caller's time is up, by `time.monotonic`.
    """

    __slots__ = ("context", "document", "namespace")

    def __init__(self, namespace: str, context: Any, key: str, shard: int, deadline_s: float) -> None:
        super().__init__(GET, None, shard, deadline_s, len(key), lane_of(namespace, context))
        self.namespace = namespace
        self.context = context
        self.document = key

    def call(self) -> tuple[Method, Any]:
        return GET, request_of(self.namespace, self.context, self.document)


class GetFlight(Flight[Get]):
    """The reads that go as one MultiGet. The outcome of each is the document's bytes, empty where there is
    none; of one that went as a call of its own, that call's response."""

    __slots__ = ()

    ITEMS_MAX = 1_000
    """A node takes up to 10,000 keys."""
    SIZE_BYTES_MAX = 256 << 10

    def _joined(self) -> tuple[Method, Any]:
        first = self.items[0]
        keys = [get.document for get in self.items]
        return MULTI_GET, kv_pb2.MultiGetRequest(namespace=first.namespace, context=first.context, keys=keys)

    def _tell(self, response: Any) -> None:
        for get, value in zip(self.items, response.values, strict=True):
            get.settle(value)

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
