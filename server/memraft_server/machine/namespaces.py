"""The containers of data: a tenant, and in it namespaces with the projections that they use."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from memraft_server.machine.sessions import Sessions
from memraft_server.projections.kv import KvProjection
from memraft_server.projections.usage import Usage


class _MadeFor(Protocol):
    def __init__(self, usage: Usage) -> None: ...


P = TypeVar("P", bound=_MadeFor)


class Tenant:
    """What the namespaces of one tenant share on one shard: usage totals and client sessions."""

    __slots__ = ("sessions", "usage")

    def __init__(self) -> None:
        self.usage = Usage()
        self.sessions = Sessions(self.usage)


class Namespace:
    """One namespace. Documents are nearly always used; other projections are made when first asked for."""

    __slots__ = ("_projections", "kv", "name", "tenant", "usage")

    def __init__(self, name: str, tenant: Tenant) -> None:
        self.name = name
        self.tenant = tenant
        self.usage = tenant.usage
        self.kv = KvProjection(tenant.usage)
        self._projections: dict[type[Any], Any] = {}

    def projection(self, kind: type[P]) -> P:
        """Returns this namespace's projection of class `kind`, made as `kind(usage)` at first."""
        found = self._projections.get(kind)
        if found is None:
            found = self._projections[kind] = kind(self.usage)
        made: P = found
        return made
