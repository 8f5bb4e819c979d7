"""Which memories a namespace has to forget, and how they are forgotten: with why, whoever does it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from memraft_proto.methods import KIND_EVICT_MEMORIES
from memraft_proto.v1 import forgetting_pb2
from memraft_proto.v1.log_pb2 import EvictMemoriesCommand
from memraft_server.machine.commands import Command
from memraft_server.machine.entries import EntryTable
from memraft_server.machine.handlers_vectors import want_index
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.turn import Turn
from memraft_server.projections.forgetting import ForgettingProjection, Why, Worth, Worths
from memraft_server.projections.memories import NO_ROW, MemoryStore, Remembered, size_of
from memraft_server.projections.receipts import InfluencesProjection, ReceiptsProjection
from memraft_server.projections.rows import ROW_BYTES
from memraft_server.projections.versions import EVICTED, EXPIRED, NOW, PRUNED, Author

COUNTED_MAX = 2_000
"""Memories that are counted at a time: some milliseconds."""
EVICTION_BYTES_MAX = 256 << 10
"""Of one command that forgets memories, about: a log may take no longer ones."""
EVICTED_BYTES = 48
"""What a memory takes in it beside its id."""
EVICTED_MAX = 500
"""Memories that one command forgets: to apply it takes some 15 ms, between other commands."""
_LOOKED_MAX = 2 * EVICTED_MAX
"""Memories that one look finds to be forgotten."""

AUTHORS: dict[int, Author] = {
    forgetting_pb2.FORGET_REASON_EXPIRED: EXPIRED,
    forgetting_pb2.FORGET_REASON_EVICTED: EVICTED,
    forgetting_pb2.FORGET_REASON_PRUNED: PRUNED,
}
"""Why the machine forgets a memory by itself -> who it is then."""


def forget_memory(turn: Turn, space: Namespace, version: int, why: Why, author: Author) -> bool:
    """Forgets a memory at a version and notes why; returns whether there was one."""
    store = space.projection(MemoryStore)
    if not store.forget(why.id, version, author):
        return False
    for rows in store.all_rows():
        want_index(turn, rows)
    space.projection(ForgettingProjection).note(version, why, author)
    note_memory(turn, space, why.id)
    return True


def note_memory(turn: Turn, space: Namespace, id: str) -> None:
    """A memory was written or forgotten: some may have to go for what they are worth, or when its time is
    over."""
    settings = space.settings
    if settings is None or not settings.memories.is_limited:
        return
    worths = note_limits(turn, space)
    item = space.projection(MemoryStore).get(id, NOW)
    if worths is None:
        return
    if item is None or not _is_own(space, item.version):
        worths.drop(id)
    else:
        _put(turn.entries, space, worths, item)
        if worths.is_over:
            turn.crowded[space.name] = space


def note_limits(turn: Turn, space: Namespace) -> Worths | None:
    """Begins or ends to keep in mind what the memories of a namespace are worth, as its settings are now."""
    rules = space.settings.memories if space.settings is not None else None
    projection = space.projection(ForgettingProjection)
    worths = projection.worths
    if rules is None or not rules.is_limited:
        projection.worths = projection.counting = None
        return None
    if worths is None:
        worths = projection.worths = Worths(rules)
        projection.counting = _counting(turn.entries, space, worths)
        count_on(space)
    elif worths.rules != rules:
        worths.change(rules)
    if is_over(space):
        turn.crowded[space.name] = space
    if rules.prune_below:
        turn.pruned[space.name] = space
    return worths


def count_on(space: Namespace) -> None:
    """Counts some more of the memories that were there before what they are worth mattered. It takes
    microseconds each, so many are counted a portion at a time, by replicas on their own."""
    projection = space.projection(ForgettingProjection)
    if projection.counting is not None and next(projection.counting, _COUNTED) is _COUNTED:
        projection.counting = None


_COUNTED = object()


def _counting(entries: EntryTable, space: Namespace, worths: Worths) -> Iterator[None]:
    newest = space.projection(MemoryStore).newest("", NOW, NOW)
    for number, (version, item) in enumerate(newest, 1):
        if not _is_own(space, version):
            return  # all further ones are older
        if item is not None:
            _put(entries, space, worths, item)
        if number % COUNTED_MAX == 0:
            yield


def note_uses(turn: Turn, space: Namespace, ids: Iterable[str]) -> None:
    """Memories were recalled, or led to an answer, or it is no longer known that they did."""
    if space.settings is not None and space.settings.memories.is_limited:
        for id in ids:
            note_memory(turn, space, id)


def is_over(space: Namespace) -> bool:
    """Whether a namespace has more memories than room, or may have, as they are not all counted."""
    projection = space.projection(ForgettingProjection)
    worths = projection.worths
    return worths is not None and (worths.is_over or projection.counting is not None)


def prune_due_us(space: Namespace) -> int | None:
    """Returns when to look whether memories of a namespace are worth too little, in microseconds since the
    epoch; None where it does not matter what they are worth."""
    projection = space.projection(ForgettingProjection)
    worths = projection.worths
    if worths is None or not worths.rules.prune_below:
        return None
    return worths.prune_due_us if projection.counting is None else NOW


def evicted_due(space: Namespace, now_us: int) -> Iterator[Command]:
    """Yields commands that make room among the memories of a namespace, if there is not enough."""
    count_on(space)
    projection = space.projection(ForgettingProjection)
    worths = projection.worths
    if worths is not None and projection.counting is None:
        found = worths.victims(now_us, _LOOKED_MAX)
        yield from _commands(space, worths, forgetting_pb2.FORGET_REASON_EVICTED, found)


def pruned_due(space: Namespace, now_us: int) -> Iterator[Command]:
    """Yields commands that forget memories of a namespace that are worth too little, if some are."""
    projection = space.projection(ForgettingProjection)
    worths = projection.worths
    if worths is not None and projection.counting is None:
        found = worths.worthless(now_us, _LOOKED_MAX)
        yield from _commands(space, worths, forgetting_pb2.FORGET_REASON_PRUNED, found)


def _commands(
    space: Namespace,
    worths: Worths,
    reason: forgetting_pb2.ForgetReason,
    found: list[tuple[str, Worth]],
) -> Iterator[Command]:
    store = space.projection(MemoryStore)
    standing: list[tuple[str, int, Worth | None]] = []
    for id, worth in found:
        item = store.get(id, NOW)
        if item is None:
            worths.drop(id)
        else:
            standing.append((id, item.version, worth))
    return commands_for(space.name, reason, standing)


def commands_for(
    namespace: str, reason: forgetting_pb2.ForgetReason, found: Iterable[tuple[str, int, Worth | None]]
) -> Iterator[Command]:
    """Yields the commands, each of a bounded size, that forget memories: (id, version, worth) of each."""
    request = EvictMemoriesCommand(namespace=namespace, reason=reason)
    size = 0
    for id, version, worth in found:
        bytes_more = len(id.encode()) + EVICTED_BYTES
        if request.ids and (len(request.ids) == EVICTED_MAX or size + bytes_more > EVICTION_BYTES_MAX):
            yield Command(KIND_EVICT_MEMORIES, "", request)
            request, size = EvictMemoriesCommand(namespace=namespace, reason=reason), 0
        size += bytes_more
        request.ids.append(id)
        request.versions.append(version)
        if worth is not None:
            request.worths.add(**worth._asdict())
    if request.ids:
        yield Command(KIND_EVICT_MEMORIES, "", request)


def _is_own(space: Namespace, version: int) -> bool:
    """Whether a version was written in the namespace, and not in what it is a fork of."""
    return space.origin is None or version > space.origin.base


def _put(entries: EntryTable, space: Namespace, worths: Worths, item: Remembered) -> None:
    """Takes in a memory as it is, with how it was used so far."""
    store = space.projection(MemoryStore)
    embedding = 4 * store.dimension + ROW_BYTES if item.row != NO_ROW else 0
    recalled = space.projection(ReceiptsProjection).accesses.of(item.id)
    answered = space.projection(InfluencesProjection).influences.of(item.id)
    used = max(item.version, recalled.last_version)
    worths.put(
        item.id,
        entries.time_us(used),
        size_of(item) + embedding,
        item.salience if 0 <= item.salience <= 1 else 0.0,
        item.pinned,
        recalled.count,
        answered.count,
    )
