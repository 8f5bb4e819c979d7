"""The containers of data: a tenant, and in it namespaces with the projections that they use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from memraft_server.machine.sessions import SessionJournal, Sessions
from memraft_server.projections.kv import KvProjection
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.notes import Notes
from memraft_server.projections.rows import RowStore
from memraft_server.projections.usage import Usage
from memraft_server.projections.vectors import VectorStore


class _MadeFor(Protocol):
    def __init__(self, usage: Usage, notes: Notes | None) -> None: ...


P = TypeVar("P", bound=_MadeFor)


class Tenant:
    """What the namespaces of one tenant share on one shard: usage totals and client sessions."""

    __slots__ = ("sessions", "usage")

    def __init__(self, name: str = "", journal: SessionJournal | None = None) -> None:
        self.usage = Usage()
        self.sessions = Sessions(self.usage, name, journal)


class Namespace:
    """One namespace. Documents are nearly always used; other projections are made when first asked for."""

    __slots__ = ("_notes", "_projections", "kv", "name", "tenant", "usage")

    def __init__(self, name: str, tenant: Tenant, notes: Notes | None = None) -> None:
        self._notes = notes
        self.name = name
        self.tenant = tenant
        self.usage = tenant.usage
        self.kv = KvProjection(tenant.usage, notes)
        self._projections: dict[type[Any], Any] = {}

    def vector_rows(self) -> Iterator[RowStore]:
        """Yields the rows of vectors that searches look in."""
        for kind, made in self._projections.items():
            if kind is VectorStore:
                yield from (collection.rows for collection in made.all())
            elif kind is MemoryStore and made.rows is not None:
                yield made.rows

    def projection(self, kind: type[P]) -> P:
        """Returns this namespace's projection of class `kind`, made as `kind(usage, notes)` at first."""
        found = self._projections.get(kind)
        if found is None:
            found = self._projections[kind] = kind(self.usage, self._notes)
        made: P = found
        return made
