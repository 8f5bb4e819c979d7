"""What a handler is given beside namespace and request: the turn of a write, the view of a read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from memraft_proto.v1.common_pb2 import Provenance
from memraft_server.machine.entries import EntryTable
from memraft_server.machine.forks import Spaces
from memraft_server.machine.ids import entry_parts, make_id, make_ids
from memraft_server.machine.limits import (
    COPIED_BYTES_MAX,
    POSITION_BITS,
    POSITIONS_MAX,
    REPLY_TEXTS_BYTES_MAX,
    Limits,
)
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.projections.versions import NOW, Author

if TYPE_CHECKING:
    from memraft_server.machine.hosted import HostedProjections

_ITEM = POSITIONS_MAX - 1

Handler = Callable[["Turn", Namespace, Any], Message]
"""Applies one command. Raises Refused before it has changed anything, or returns the response."""

Check = Callable[[Any, Limits], None]
"""Checks the arguments of one call; raises Refused."""

Query = Callable[["View", Namespace, Any], Message]
"""Answers one read; the machine adds the stamp."""


PortionedQuery = Callable[["View", Namespace, Any], Iterator[Message | None]]
"""Answers a read that may take long: yields None after each portion of the work, and at last the response."""


class IndexJob(Protocol):
    """The building of an index over data that no longer changes."""

    @property
    def is_light(self) -> bool:
        """Whether `run` does nothing, and `install` a portion of some milliseconds."""

    def run(self) -> None:
        """Builds it. May be called in a thread while the machine goes on."""

    def install(self) -> IndexJob | None:
        """Puts it into service; called where the machine is. Returns what is to be done next, if anything."""

    def abandon(self) -> None:
        """Gives it up, after `run` raised or instead of it; called where the machine is."""


class Indexed(Protocol):
    """What may want an index built."""

    @property
    def index_pending(self) -> bool:
        """Whether there is or will be a job to do: `index_job` is to be called until there is not."""

    def index_job(self) -> IndexJob | None:
        """Returns the job to do now, if there is one. Not again before that is installed or abandoned."""


class Turn:
    """One command's turn to be applied. One object serves all commands, one after the other."""

    __slots__ = (
        "_id_parts",
        "author",
        "copied_bytes_left",
        "crowded",
        "entries",
        "expiries",
        "index_due",
        "items",
        "lease_expiries",
        "memory_expiries",
        "pruned",
        "seed",
        "spaces",
        "texts_bytes_left",
        "time_us",
        "version",
    )

    def __init__(self, entries: EntryTable, spaces: Spaces) -> None:
        self.entries = entries
        self.spaces = spaces
        """All namespaces: for commands that make or drop forks."""
        self.version = 0
        """The version of the command's first item."""
        self.items = 1
        """How many versions the command takes; a handler of many items sets it."""
        self.time_us = 0
        """Commit time in microseconds since the epoch."""
        self.seed = 0
        self.author = Author("", "", "")
        self.index_due: dict[Indexed, None] = {}
        """What wants an index built, in order; a handler adds to it."""
        self.expiries: list[tuple[int, int, str, str]] = []
        """Heap of (expires_at_us, version, namespace, key)."""
        self.lease_expiries: list[tuple[int, int, str, str]] = []
        """Heap of (expires_at_us, version, namespace, name of the record) of leases and places in queues."""
        self.memory_expiries: list[tuple[int, int, str, str]] = []
        """Heap of (expires_at_us, version, namespace, id)."""
        self.crowded: dict[str, Namespace] = {}
        """Namespaces that may have more documents or memories than room; a handler adds to it."""
        self.pruned: dict[str, Namespace] = {}
        """Namespaces that forget memories which are worth too little; a handler adds to it."""
        self.texts_bytes_left = REPLY_TEXTS_BYTES_MAX
        """What the command's reply may still take of `REPLY_TEXTS_BYTES_MAX`."""
        self.copied_bytes_left = COPIED_BYTES_MAX
        """What the command may still store again."""
        self._id_parts: tuple[str, str] | None = None

    def begin_entry(self, index: int, time_us: int, seed: int) -> None:
        """Starts the entry at `index`."""
        self.version = index << POSITION_BITS
        self.time_us = time_us
        self.seed = seed
        self._id_parts = None

    def note_crowded(self, space: Namespace) -> None:
        """Documents were written in a namespace: some may have to go."""
        settings = space.settings
        if settings is not None and settings.is_over:
            self.crowded[space.name] = space

    def room_for(self, text: bytes | str) -> bool:
        """Takes room for a text in the command's reply; False where there is none left for it."""
        size = len(text) if isinstance(text, bytes) else len(text.encode())
        if size > self.texts_bytes_left:
            return False
        self.texts_bytes_left -= size
        return True

    def copy(self, size_bytes: int) -> None:
        """Takes room to store again what is there. Raises Refused where the command has none left for it."""
        if size_bytes > self.copied_bytes_left:
            raise invalid(
                f"operations: they change over {COPIED_BYTES_MAX} bytes of what is there a little at a time: "
                "change less in one command",
                limit=str(COPIED_BYTES_MAX),
            )
        self.copied_bytes_left -= size_bytes

    def new_id(self, item: int = 0) -> str:
        """Returns a new id for the command's item number `item`, from 0."""
        parts = self._id_parts
        if parts is None:
            parts = self._id_parts = entry_parts(self.time_us, self.seed)
        return make_id(parts, (self.version + item) & _ITEM)

    def new_ids(self, count: int) -> NDArray[np.uint8]:
        """Returns what `new_id` does for the command's first `count` items, in ASCII: shape (count, 26)."""
        return make_ids(entry_parts(self.time_us, self.seed), self.version & _ITEM, count)


class View:
    """The moment that a read sees."""

    __slots__ = ("ceiling", "entries", "hosted", "limits", "spaces")

    def __init__(
        self,
        ceiling: int,
        entries: EntryTable,
        limits: Limits,
        spaces: Spaces,
        hosted: HostedProjections | None = None,
    ) -> None:
        self.ceiling = ceiling
        """The highest version to see; `NOW` when the read is of now."""
        self.entries = entries
        self.limits = limits
        self.spaces = spaces
        """All namespaces: for reads that compare two."""
        self.hosted = hosted
        """The projections that were registered, if there are any."""

    @property
    def is_now(self) -> bool:
        """Whether the read is of now."""
        return self.ceiling == NOW

    def time_us(self, version: int) -> int:
        """Returns the commit time of `version` in microseconds since the epoch."""
        return self.entries.time_us(version)

    def provenance(self, version: int, author: Author) -> Provenance:
        """Returns who wrote `version` and when."""
        provenance = Provenance()
        self.fill_provenance(provenance, version, author)
        return provenance

    def fill_provenance(self, provenance: Provenance, version: int, author: Author) -> None:
        """Writes who wrote `version` and when into `provenance`: saves making and copying one."""
        provenance.version = version
        provenance.time_us = self.entries.time_us(version)
        provenance.agent = author.agent
        if author.run:
            provenance.run = author.run
        if author.tool:
            provenance.tool = author.tool
