"""What is over: finds the documents and leases whose time has come, for commands that say so in the log.

A heap holds (expires_at_us, version, namespace, name) of records as they were written. An item whose record
has another version by now was replaced or deleted since, and is dropped when it comes to the top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush

from memraft_proto.methods import KIND_EXPIRE, KIND_EXPIRE_LEASES
from memraft_proto.v1.log_pb2 import ExpireCommand, ExpireLeasesCommand
from memraft_server.machine.commands import Command
from memraft_server.machine.handlers_leases import NAMES_MAX
from memraft_server.machine.handlers_settings import eviction
from memraft_server.machine.limits import ITEMS_MAX
from memraft_server.machine.namespaces import Namespace
from memraft_server.projections.leases import LeasesProjection, lease_of
from memraft_server.projections.versions import VersionedRecords

Item = tuple[int, int, str, str]
Spaces = Mapping[str, Namespace]


def _documents(space: Namespace) -> VersionedRecords:
    return space.kv.records


def _leases(space: Namespace) -> VersionedRecords:
    return space.projection(LeasesProjection).records


def next_due_us(documents: list[Item], leases: list[Item], spaces: Spaces) -> int | None:
    """Returns when the next document or lease is over, in microseconds since the epoch; None: none is."""
    nexts = [
        next_us
        for next_us in (_next(documents, spaces, _documents), _next(leases, spaces, _leases))
        if next_us
    ]
    return min(nexts, default=None)


def documents_due(heap: list[Item], spaces: Spaces, now_us: int, count_max: int) -> Iterator[Command]:
    """Yields commands that delete up to `count_max` documents which are over at `now_us`."""
    by_namespace: dict[str, ExpireCommand] = {}
    for _, version, namespace, key in _over(heap, spaces, _documents, now_us, count_max):
        command = by_namespace.get(namespace)
        if command is None:
            command = by_namespace[namespace] = ExpireCommand(namespace=namespace)
        if len(command.keys) < ITEMS_MAX:
            command.keys.append(key)
            command.versions.append(version)
    for command in by_namespace.values():
        yield Command(KIND_EXPIRE, "", command)


def leases_due(heap: list[Item], spaces: Spaces, now_us: int, count_max: int) -> Iterator[Command]:
    """Yields commands that end up to `count_max` leases, or places in queues, which are over at `now_us`."""
    by_namespace: dict[str, dict[str, None]] = {}
    for _, _, namespace, name in _over(heap, spaces, _leases, now_us, count_max):
        by_namespace.setdefault(namespace, {})[lease_of(name)] = None
    for namespace, names in by_namespace.items():
        listed = list(names)
        for start in range(0, len(listed), NAMES_MAX):
            part = listed[start : start + NAMES_MAX]
            yield Command(KIND_EXPIRE_LEASES, "", ExpireLeasesCommand(namespace=namespace, names=part))


def is_crowded(crowded: dict[str, Namespace], spaces: Spaces) -> bool:
    """Whether any of some namespaces has more documents than room; forgets those that have not."""
    for name, space in list(crowded.items()):
        settings = space.settings
        if spaces.get(name) is space and settings is not None and settings.is_over:
            return True
        del crowded[name]
    return False


def evictions_due(crowded: dict[str, Namespace], spaces: Spaces) -> Iterator[Command]:
    """Yields commands that delete what namespaces have no room for, each up to `ITEMS_MAX` documents."""
    for name, space in sorted(crowded.items()):
        command = eviction(space) if spaces.get(name) is space else None
        if command is not None:
            yield command


def _next(
    heap: list[Item], spaces: Spaces, records_of: Callable[[Namespace], VersionedRecords]
) -> int | None:
    while heap:
        expires_at_us, version, namespace, name = heap[0]
        space = spaces.get(namespace)  # a fork may have been dropped
        head = records_of(space).heads.get(name) if space is not None else None
        if head is not None and head.value is not None and head.version == version:
            return expires_at_us
        heappop(heap)
    return None


def _over(
    heap: list[Item],
    spaces: Spaces,
    records_of: Callable[[Namespace], VersionedRecords],
    now_us: int,
    count_max: int,
) -> list[Item]:
    """The first items that are over. They stay in the heap."""
    found: list[Item] = []
    while len(found) < count_max and (next_us := _next(heap, spaces, records_of)) and next_us <= now_us:
        found.append(heappop(heap))
    for item in found:
        heappush(heap, item)
    return found
