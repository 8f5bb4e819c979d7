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
from memraft_proto.v1 import common_pb2, kv_pb2

from . import errors
from ._gather import Flight, Party

GET, MULTI_GET = METHODS["Get"], METHODS["MultiGet"]

KEY_CHARS_MAX = 1_024
"""No key is that long: the node says so, to its caller alone."""


class Shelf:
    """What all reads of documents as of now have in common that one view makes at one consistency.

    Args:
        namespace: where.
        context: how fresh.
    """

    __slots__ = ("context", "key", "namespace")

    def __init__(self, namespace: str, context: common_pb2.ReadContext) -> None:
        self.namespace = namespace
        self.context = context
        self.key: Hashable = (namespace, context.consistency)
        """Of their lane."""

    def get(self, key: str) -> kv_pb2.GetRequest:
        """The request of a read by itself."""
        return kv_pb2.GetRequest(namespace=self.namespace, context=self.context, key=key)


class Get(Party):
    """Reads of documents of which only the values are wanted; a part is a document's key.

    Args:
        shelf: where, and how fresh.
        shard: of the namespace.
        deadline_s: when the time is up, by `time.monotonic`.
    """

    __slots__ = ("shelf",)

    def __init__(self, shelf: Shelf, shard: int, deadline_s: float) -> None:
        super().__init__(GET, shard, deadline_s, shelf.key)
        self.shelf = shelf

    def call(self) -> tuple[Method, Any]:
        return GET, self.shelf.get(self.parts[0])


class GetFlight(Flight[Get]):
    """The reads that go as one MultiGet. The outcome of each is the document's bytes, empty where there is
    none; of one that went as a call of its own, that call's response."""

    __slots__ = ()

    ITEMS_MAX = 1_000
    """A node takes up to 10,000 keys."""
    SIZE_BYTES_MAX = 256 << 10

    def _joined(self) -> tuple[Method, Any]:
        shelf = self.items[0].shelf
        request = kv_pb2.MultiGetRequest(namespace=shelf.namespace, context=shelf.context)
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


def value_of(outcome: Any) -> bytes:
    """The document's bytes in an outcome; none where there is no document, for JSON text has some."""
    value: bytes = outcome if type(outcome) is bytes else outcome.value
    return value
