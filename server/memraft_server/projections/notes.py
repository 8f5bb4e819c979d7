"""What projections tell of themselves while they change: facts, for whoever keeps them on disk.

A fact is a tuple whose first member is the beginning of its key on disk: the kind, one byte, then whose it
is. Facts are only ever added; none is taken back. Encoding them is another's work, later and not in the way
of the write: here a fact costs a tuple and an append.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Fact = tuple[Any, ...]
AddFact = Callable[[Fact], object]

ENTRIES = b"a"
NAMESPACE = b"b"
COLLECTION = b"c"
EVENT = b"e"
SETTING = b"f"
NODE = b"g"
EDGE = b"h"
DOCUMENT = b"k"
LEASE = b"l"
MEMORY = b"m"
COUNTER = b"n"
GATE = b"o"
RUN = b"r"
STATE = b"s"
TRACE = b"t"
VECTOR = b"v"
SESSION = b"x"
CLIENT_MARK = b"\1"
"""Kinds. Rows are loaded in this order: moments and namespaces before what refers to them. In a session's key
the mark stands between tenant and client id."""

RECORD_KINDS = (SETTING, NODE, EDGE, DOCUMENT, LEASE, COUNTER, GATE, STATE, TRACE)
"""Kinds whose facts are versions of records under names; see `projections.versions`."""


def escaped(name: bytes) -> bytes:
    """Returns a name as it stands inside a key: ended by a zero byte, and sorting as the name does.

    A zero byte within is followed by 255, which no key has after the end of a name (the tuple encoding of
    FoundationDB).
    """
    return (name.replace(b"\0", b"\0\xff") if b"\0" in name else name) + b"\0"


class Notes:
    """Where the projections of one namespace leave their facts.

    Args:
        add: Takes a fact.
        number: The namespace's number.
    """

    __slots__ = ("add", "number")

    def __init__(self, add: AddFact, number: int) -> None:
        self.add = add
        self.number = number

    def prefix(self, kind: bytes) -> bytes:
        """Returns how the keys of this namespace's facts of a kind begin: 5 bytes."""
        return kind + self.number.to_bytes(4, "big")
