"""What is over: finds documents, leases and memories whose time has come, or that there is no room for, for
commands that say so in the log.

A heap holds (expires_at_us, version, namespace, name) of records as they were written. An item whose record
has another version by now was replaced or deleted since, and is dropped when it comes to the top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush

from memraft_proto.methods import KIND_EXPIRE, KIND_EXPIRE_LEASES
from memraft_proto.v1.forgetting_pb2 import FORGET_REASON_EXPIRED
from memraft_proto.v1.log_pb2 import ExpireCommand, ExpireLeasesCommand
from memraft_server.machine import forgetting
from memraft_server.machine.commands import Command
from memraft_server.machine.forgetting import commands_for, evicted_due, is_over, prune_due_us, pruned_due
from memraft_server.machine.handlers_leases import NAMES_MAX
from memraft_server.machine.handlers_settings import eviction
from memraft_server.machine.limits import ITEMS_MAX
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.turn import Turn
from memraft_server.projections.forgetting import Worth
from memraft_server.projections.leases import LeasesProjection, lease_of
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.versions import NOW, Record

Item = tuple[int, int, str, str]
Spaces = Mapping[str, Namespace]
VersionOf = Callable[[Namespace, str], int]
"""The version of what stands under a name now; 0: nothing does."""


def _document(space: Namespace, key: str) -> int:
    return _version(space.kv.records.heads.get(key))


def _lease(space: Namespace, name: str) -> int:
    return _version(space.projection(LeasesProjection).records.heads.get(name))


def _memory(space: Namespace, id: str) -> int:
    item = space.projection(MemoryStore).get(id, NOW)
    return item.version if item is not None else 0


def _version(head: Record | None) -> int:
    return head.version if head is not None and head.value is not None else 0


def due(turn: Turn, spaces: Spaces, now_us: int, count_max: int) -> Iterator[Command]:
    """Yields commands that end what is over at `now_us`, of each kind up to `count_max`, and what there is no
    room for."""
    yield from _documents_due(turn.expiries, spaces, now_us, count_max)
    yield from _leases_due(turn.lease_expiries, spaces, now_us, count_max)
    yield from _memories_due(turn.memory_expiries, spaces, now_us, count_max)
    for name, space in sorted(turn.crowded.items()):
        if spaces.get(name) is space:
            if (command := eviction(space)) is not None:
                yield command
            yield from evicted_due(space, now_us)
    for name, space in sorted(turn.pruned.items()):
        if spaces.get(name) is space:
            yield from pruned_due(space, now_us)


def count_on(turn: Turn, spaces: Spaces) -> None:
    """Counts more of the memories of namespaces that may have more than room: `due` does, too."""
    for name, space in turn.crowded.items():
        if spaces.get(name) is space:
            forgetting.count_on(space)


def next_due_us(turn: Turn, spaces: Spaces) -> int | None:
    """Returns when the next of all that is over, in microseconds since the epoch; None: nothing will be. 0:
    there is no room for some already."""
    if turn.crowded and _is_crowded(turn.crowded, spaces):
        return 0
    found = []
    for heap, version_of in (
        (turn.expiries, _document),
        (turn.lease_expiries, _lease),
        (turn.memory_expiries, _memory),
    ):
        if heap and (next_us := _next(heap, spaces, version_of)):
            found.append(next_us)
    for name, space in list(turn.pruned.items()):
        due_us = prune_due_us(space) if spaces.get(name) is space else None
        if due_us is None:
            del turn.pruned[name]
        elif due_us < NOW:
            found.append(due_us)
    return min(found, default=None)


def _documents_due(heap: list[Item], spaces: Spaces, now_us: int, count_max: int) -> Iterator[Command]:
    by_namespace: dict[str, ExpireCommand] = {}
    for _, version, namespace, key in _over(heap, spaces, _document, now_us, count_max):
        command = by_namespace.get(namespace)
        if command is None:
            command = by_namespace[namespace] = ExpireCommand(namespace=namespace)
        if len(command.keys) < ITEMS_MAX:
            command.keys.append(key)
            command.versions.append(version)
    for command in by_namespace.values():
        yield Command(KIND_EXPIRE, "", command)


def _leases_due(heap: list[Item], spaces: Spaces, now_us: int, count_max: int) -> Iterator[Command]:
    by_namespace: dict[str, dict[str, None]] = {}
    for _, _, namespace, name in _over(heap, spaces, _lease, now_us, count_max):
        by_namespace.setdefault(namespace, {})[lease_of(name)] = None
    for namespace, names in by_namespace.items():
        listed = list(names)
        for start in range(0, len(listed), NAMES_MAX):
            part = listed[start : start + NAMES_MAX]
            yield Command(KIND_EXPIRE_LEASES, "", ExpireLeasesCommand(namespace=namespace, names=part))


def _memories_due(heap: list[Item], spaces: Spaces, now_us: int, count_max: int) -> Iterator[Command]:
    by_namespace: dict[str, list[tuple[str, int, Worth | None]]] = {}
    for _, version, namespace, id in _over(heap, spaces, _memory, now_us, count_max):
        by_namespace.setdefault(namespace, []).append((id, version, None))
    for namespace, found in by_namespace.items():
        yield from commands_for(namespace, FORGET_REASON_EXPIRED, found)


def _is_crowded(crowded: dict[str, Namespace], spaces: Spaces) -> bool:
    """Whether any of some namespaces has more than room; forgets those that have not."""
    for name, space in list(crowded.items()):
        settings = space.settings
        if spaces.get(name) is space and settings is not None and (settings.is_over or is_over(space)):
            return True
        del crowded[name]
    return False


def _next(heap: list[Item], spaces: Spaces, version_of: VersionOf) -> int | None:
    while heap:
        expires_at_us, version, namespace, name = heap[0]
        space = spaces.get(namespace)  # a fork may have been dropped
        if space is not None and version_of(space, name) == version:
            return expires_at_us
        heappop(heap)
    return None


def _over(heap: list[Item], spaces: Spaces, version_of: VersionOf, now_us: int, count_max: int) -> list[Item]:
    """The first items that are over. They stay in the heap."""
    found: list[Item] = []
    while len(found) < count_max and (next_us := _next(heap, spaces, version_of)) and next_us <= now_us:
        found.append(heappop(heap))
    for item in found:
        heappush(heap, item)
    return found
