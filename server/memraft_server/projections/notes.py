"""What projections tell of themselves while they change: facts, for whoever keeps them on disk.

A fact is a tuple whose first member is the beginning of its key on disk: the kind, one byte, then whose it
is. Facts are only ever added; none is taken back. Encoding them is another's work, later and not in the way
of the write: here a fact costs a tuple and an append.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memraft_server.projections.past import PastRoom

Fact = tuple[Any, ...]
AddFact = Callable[[Fact], object]

ENTRIES = b"a"
NAMESPACE = b"b"
COLLECTION = b"c"
FLOOR = b"d"
EVENT = b"e"
SETTING = b"f"
NODE = b"g"
EDGE = b"h"
INFLUENCE = b"i"
MODEL = b"j"
DOCUMENT = b"k"
LEASE = b"l"
MEMORY = b"m"
COUNTER = b"n"
GATE = b"o"
MERGE = b"p"
RECEIPT = b"q"
RUN = b"r"
STATE = b"s"
TRACE = b"t"
VECTOR = b"v"
EMBEDDING = b"w"
SESSION = b"x"
FORGOTTEN = b"y"
CLIENT_MARK = b"\1"
"""Kinds. Rows are loaded in this order: moments and namespaces before what refers to them. In a session's key
the mark stands between tenant and client id."""

RECORD_KINDS = (
    FLOOR,
    SETTING,
    NODE,
    EDGE,
    INFLUENCE,
    DOCUMENT,
    LEASE,
    COUNTER,
    GATE,
    MERGE,
    RECEIPT,
    STATE,
    TRACE,
    FORGOTTEN,
)
"""Kinds whose facts are versions of records under names; see `projections.versions`."""

NOT_INHERITED = frozenset((LEASE, FLOOR))
"""Kinds that a fork begins without: what is locked in its parent is not locked in it, and how far the past of
its parent reaches back is asked of the parent."""

end_of_name = Struct(">xQ").pack
"""The end of a key of a version of a record: what ends the name, and the version."""


def escaped(name: bytes) -> bytes:
    """Returns a name as it stands inside a key: ended by a zero byte, and sorting as the name does.

    A zero byte within is followed by 255, which no key has after the end of a name (the tuple encoding of
    FoundationDB).
    """
    return (name.replace(b"\0", b"\0\xff") if b"\0" in name else name) + b"\0"


def record_key(prefix: bytes, name: str, version: int) -> bytes:
    """Returns the key of the row of a version of a record; `prefix` is what `Notes.prefix` gave."""
    raw = name.encode()
    if b"\0" in raw:
        raw = escaped(raw)[:-1]
    return prefix + raw + end_of_name(version)


class Notes:
    """Where the projections of one namespace leave their facts, and find those of the parent that it is a
    fork of.

    Args:
        add: Takes a fact. None: nobody keeps them.
        number: The namespace's number.
        parent: Of the namespace that it is a fork of, if it is one.
        base: The highest version of the parent that the fork has.
    """

    __slots__ = ("_add", "add", "base", "delete", "joined", "number", "parent", "past", "told", "waiting")

    def __init__(self, add: AddFact | None, number: int, parent: Notes | None = None, base: int = 0) -> None:
        self.add = add
        self.number = number
        self.parent = parent
        self.base = base
        self.told: list[Fact | bytes] = []
        """Of a fork that is kept: all its facts, or their keys, to be deleted when it is dropped."""
        if add is not None and parent is not None:
            self.add = self._add_told
            self._add = add
        self.delete: Callable[[Iterable[bytes]], object] | None = None
        """Takes keys of rows that do not belong to the state any more. None: nobody keeps them."""
        self.past: PastRoom | None = None
        """What lets old versions leave the memory. None: all stay."""
        self.joined: dict[bytes, Any] = {}
        """Kind -> what keeps the facts of that kind."""
        self.waiting: list[Callable[[], None]] | None = None
        """What is to be done once the parent is complete, while a machine with forks is loaded."""

    def _add_told(self, fact: Fact) -> None:
        self.told.append(fact)
        self._add(fact)

    def join(self, kind: bytes, keeper: Any) -> Any:
        """Makes `keeper` known as what keeps this kind of facts; returns what keeps them in the parent, or
        None where there is none."""
        self.joined[kind] = keeper
        if self.parent is None or kind in NOT_INHERITED:
            return None
        return self.parent.joined.get(kind)

    def loaded(self) -> None:
        """All that there is of the parent is here: does what had to wait for it."""
        waiting, self.waiting = self.waiting or [], None
        for each in waiting:
            each()

    def prefix(self, kind: bytes) -> bytes:
        """Returns how the keys of this namespace's facts of a kind begin: 5 bytes."""
        return kind + self.number.to_bytes(4, "big")
