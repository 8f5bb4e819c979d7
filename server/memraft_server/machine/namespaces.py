"""The containers of data: a tenant, and in it namespaces with the projections that they use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import msgspec

from memraft_server.machine.sessions import SessionJournal, Sessions
from memraft_server.projections.graph import GraphProjection
from memraft_server.projections.kv import KvProjection
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.notes import Notes
from memraft_server.projections.rows import RowStore
from memraft_server.projections.settings import SettingsProjection
from memraft_server.projections.usage import PartUsage, Usage
from memraft_server.projections.vectors import VectorStore
from memraft_server.projections.versions import Author


class _MadeFor(Protocol):
    def __init__(self, usage: Usage, notes: Notes | None) -> None: ...


P = TypeVar("P", bound=_MadeFor)


class Tenant:
    """What the namespaces of one tenant share on one shard: usage totals and client sessions."""

    __slots__ = ("sessions", "usage")

    def __init__(self, name: str = "", journal: SessionJournal | None = None) -> None:
        self.usage = Usage()
        self.sessions = Sessions(self.usage, name, journal)


class Origin(msgspec.Struct, frozen=True):
    """What a fork was made from.

    Attributes:
        parent: The namespace.
        base: The highest version of the parent that the fork has.
        version: Of the command that made it: what is written in it is above.
        author: Who made it.
    """

    parent: Namespace
    base: int
    version: int
    author: Author


class Namespace:
    """One namespace. Documents are nearly always used; other projections are made when first asked for.

    A fork is a namespace with an origin. Its projections hold only what was written in it, and ask the ones
    of its parent for the rest (`Notes.join`); so it takes the same time to make whatever its parent holds.
    """

    __slots__ = (
        "_projections",
        "changed_version",
        "forks",
        "kv",
        "name",
        "notes",
        "origin",
        "settings",
        "tenant",
        "usage",
    )

    def __init__(
        self, name: str, tenant: Tenant, notes: Notes | None = None, origin: Origin | None = None
    ) -> None:
        self.notes = notes
        self.name = name
        self.tenant = tenant
        self.usage = tenant.usage if origin is None else PartUsage(tenant.usage)
        self.changed_version = 0
        """Of the last command since the start that may have changed it; 0: none."""
        self.origin = origin
        """Of a fork: what it was made from."""
        self.forks: dict[str, Namespace] = {}
        """Those that are made of it, by their whole name."""
        self.kv = KvProjection(self.usage, notes)
        self.settings: SettingsProjection | None = None
        """None: nothing was ever set, here or in what it is a fork of."""
        self.inherit_settings()
        self._projections: dict[type[Any], Any] = {}

    def inherit_settings(self) -> None:
        """Has the settings of what it is a fork of, where that has any."""
        if self.origin is not None and self.origin.parent.settings is not None:
            self.make_settings()

    def make_settings(self) -> SettingsProjection:
        """Returns the settings, made where there were none."""
        if self.settings is None:
            if self.origin is not None:
                self.origin.parent.make_settings()  # for the fork's to find them
            self.settings = SettingsProjection(self.usage, self.notes, self.kv.records)
        return self.settings

    @property
    def memories(self) -> MemoryStore | None:
        """The memories, where there ever were any."""
        return self._projections.get(MemoryStore)

    @property
    def graph(self) -> GraphProjection | None:
        """The graph, where there ever was one, in a fork also that of what it is a fork of."""
        own: GraphProjection | None = self._projections.get(GraphProjection)
        if own is None and self.origin is not None and self.origin.parent.graph is not None:
            return self.projection(GraphProjection)
        return own

    def vector_rows(self) -> Iterator[RowStore]:
        """Yields the rows of vectors that searches look in."""
        for kind, made in self._projections.items():
            if kind is VectorStore:
                yield from (collection.rows for collection in made.all())
            elif kind is MemoryStore:
                yield from made.all_rows()

    def projection(self, kind: type[P]) -> P:
        """Returns this namespace's projection of class `kind`, made as `kind(usage, notes)` at first."""
        found = self._projections.get(kind)
        if found is None:
            if self.origin is not None:
                self.origin.parent.projection(kind)  # it must be there for the fork's to find it
            found = self._projections[kind] = kind(self.usage, self.notes)
        made: P = found
        return made
