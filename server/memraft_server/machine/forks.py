"""The namespaces of a shard, and how they become forks of one another.

A fork is a namespace whose parent is a version: it shows what its parent was at that version, and what was
written in it since. What it has of its parent does not expire in it, and what is locked in the parent is not
locked in it: it is a moment that stands still until it is written to.
"""

from __future__ import annotations

from collections.abc import Callable

from memraft_proto.names import FORK_DEPTH_MAX, FORK_MARK, unforked
from memraft_proto.sharding import tenant_of
from memraft_server.machine.facts import Encoder
from memraft_server.machine.journal import Journal
from memraft_server.machine.namespaces import Namespace, Origin, Tenant
from memraft_server.machine.refused import Refused, invalid
from memraft_server.projections.notes import NAMESPACE, Notes
from memraft_server.projections.usage import PartUsage

NAMESPACE_BYTES = 2_000
"""What a namespace takes beside what is in it."""

FORKS_MAX = 1_024
"""Most forks of one namespace at a time. Part of the contract between replicas."""


class Spaces:
    """All namespaces of one machine.

    Args:
        journal: Told of namespaces and forks that are made and dropped; None: nobody keeps the machine.
    """

    __slots__ = ("_count", "_journal", "by_name", "made", "receipts_limited", "retained", "tenants")

    def __init__(self, journal: Journal | None) -> None:
        self._journal = journal
        self._count = 0
        self.by_name: dict[str, Namespace] = {}
        self.made: Callable[[Namespace], object] | None = None
        """Called with every namespace that is made."""
        self.retained: dict[str, None] = {}
        """Names of the namespaces that do not keep all of the past, in no order that lasts."""
        self.receipts_limited: dict[str, None] = {}
        """Names of the namespaces whose receipts have a time to live, in no order that lasts."""
        self.tenants: dict[str, Tenant] = {}

    def tenant(self, name: str) -> Tenant:
        """Returns the tenant, made if there is none."""
        found = self.tenants.get(name)
        if found is None:
            found = self.tenants[name] = Tenant(name, self._journal)
        return found

    def note_retention(self, name: str, is_limited: bool) -> None:
        """Notes whether a namespace keeps only a part of its past."""
        if is_limited:
            self.retained[name] = None
        else:
            self.retained.pop(name, None)

    def note_receipts(self, name: str, is_limited: bool) -> None:
        """Notes whether the receipts of a namespace have a time to live."""
        if is_limited:
            self.receipts_limited[name] = None
        else:
            self.receipts_limited.pop(name, None)

    def make(self, name: str, version: int) -> Namespace:
        """Makes a namespace that is no fork and does not exist.

        Raises:
            Refused: `NO_SUCH_FORK`: it has the name of a fork; those are only made by `fork`.
        """
        refuse_missing_fork(name)
        return self._add(name, version, None)

    def fork(self, name: str, origin: Origin) -> Namespace:
        """Makes a fork that does not exist; `name` is the last part of its name."""
        return self._add(fork_name(origin.parent.name, name), origin.version, origin)

    def find(self, name: str) -> Namespace | None:
        """Returns a namespace, None where there is none. Raises Refused (`NO_SUCH_FORK`) for a fork."""
        found = self.by_name.get(name)
        if found is None:
            refuse_missing_fork(name)
        return found

    def skip(self) -> None:
        """Leaves out a number: of a fork that was dropped."""
        self._count += 1

    def drop(self, space: Namespace, version: int) -> None:
        """Drops a fork that has no forks itself, and all that was written in it."""
        origin = space.origin
        if origin is None:
            raise ValueError(f"{space.name!r} is no fork")
        del self.by_name[space.name]
        del origin.parent.forks[space.name]
        self.receipts_limited.pop(space.name, None)
        if isinstance(space.usage, PartUsage):
            space.usage.clear()
        space.tenant.usage.bytes -= NAMESPACE_BYTES
        if self._journal is not None and space.notes is not None:
            told = space.notes.told
            self._journal.delete(each for each in told if isinstance(each, bytes))
            facts = [each for each in told if not isinstance(each, bytes)]
            self._journal.delete(key for key, _ in Encoder().rows(facts))
            self._journal.add((space.notes.prefix(NAMESPACE), origin, version))

    def _add(self, name: str, version: int, origin: Origin | None) -> Namespace:
        journal = self._journal
        tenant = self.tenant(tenant_of(name))
        tenant.usage.bytes += NAMESPACE_BYTES
        add = journal.add if journal is not None else None
        if origin is None:
            notes = Notes(add, self._count)
        else:
            notes = Notes(add, self._count, origin.parent.notes, origin.base)
        if journal is not None:
            notes.delete, notes.past = journal.delete, journal.past
            journal.add((notes.prefix(NAMESPACE), version, name, origin))
        self._count += 1
        space = self.by_name[name] = Namespace(name, tenant, notes, origin)
        if origin is not None:
            origin.parent.forks[name] = space
            # As of the version that it shows, not as its parent is by now.
            self.note_receipts(name, space.settings is not None and space.settings.receipts_ttl_ms > 0)
        if self.made is not None:
            self.made(space)
        return space


def fork_name(parent: str, name: str) -> str:
    """Returns the whole name of a fork."""
    return f"{parent}{FORK_MARK}{name}"


def refuse_missing_fork(namespace: str) -> None:
    """Raises Refused (`NO_SUCH_FORK`) where a namespace that does not exist has the name of a fork."""
    if FORK_MARK in namespace:
        parent, _, name = namespace.rpartition(FORK_MARK)
        raise Refused("NO_SUCH_FORK", f"namespace: {parent!r} has no fork {name!r}", {"fork": name})


def refuse_unrelated(namespace: str, other: str) -> None:
    """Refuses (`UNRELATED`) to compare namespaces that are no forks of one another nor of a third."""
    if unforked(namespace) != unforked(other):
        raise Refused(
            "UNRELATED",
            f"{namespace!r} and {other!r} have nothing in common to compare: neither is a fork of the other, "
            "nor both of a third",
        )


def refuse_too_many_forks(parent: Namespace) -> None:
    """Refuses a fork of what is as many forks deep as may be, or has as many forks as may be."""
    depth = parent.name.count(FORK_MARK) + 1
    if depth > FORK_DEPTH_MAX:
        raise invalid(
            f"fork: it would be {depth} forks deep, at most {FORK_DEPTH_MAX}", limit=str(FORK_DEPTH_MAX)
        )
    if len(parent.forks) >= FORKS_MAX:
        raise invalid(
            f"fork: {parent.name!r} has {len(parent.forks)} forks, at most {FORKS_MAX}", limit=str(FORKS_MAX)
        )
