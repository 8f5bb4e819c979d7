"""What of the past a namespace keeps, who still needs it, and what leaders let go.

What is forgotten is said in the log, version by version, so that all replicas forget the same. Leaders look
for it a little at a time (`Trimmer`): nothing that is applied depends on when or in which order they look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import nsmallest
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from memraft_proto.methods import KIND_TRIM
from memraft_proto.v1.log_pb2 import TrimCommand
from memraft_server.machine.commands import Command
from memraft_server.machine.contents import lineage
from memraft_server.machine.entries import EntryTable
from memraft_server.machine.limits import POSITION_BITS, POSITIONS_MAX
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused
from memraft_server.machine.tables import RECORD_TABLES
from memraft_server.projections import notes
from memraft_server.projections.floors import FloorsProjection
from memraft_server.projections.memories import MemoryStore
from memraft_server.projections.streams import HIDDEN, Stream, StreamsProjection
from memraft_server.projections.vectors import VectorStore
from memraft_server.projections.versions import NOW, VersionedRecords

if TYPE_CHECKING:
    from memraft_server.machine.machine import Machine

RETENTION = "retention"
"""The name of the setting."""
TRIMMED_MAX = 500
"""Versions that one command forgets: a millisecond or two, between other commands."""
LOOKED_MAX = 1_000
"""Names that one step of a leader looks at."""
NAMESPACE_NAMES = 20
"""Looking into a namespace takes as long as looking at so many names."""
HOLDERS_MAX = 20
"""Names of forks that a reply tells as those that retention waits for."""
SEPARATOR = "\1"
"""Between the collection and the id of a vector in a TrimCommand."""
_DAY_MS = 86_400_000
_UNITS_MS = ((_DAY_MS, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"), (1, "ms"))


class Retention(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How much of the past is kept; each limit holds by itself, 0 is none.

    Attributes:
        versions: Of each record, the newest ones.
        age_ms: What a newer version has replaced stays that long.
        events: Of each stream, the newest ones.
    """

    versions: int = 0
    age_ms: int = 0
    events: int = 0

    def __str__(self) -> str:
        parts = [_many(self.versions, "version")] if self.versions else []
        if self.age_ms:
            unit_ms, unit = next(each for each in _UNITS_MS if self.age_ms % each[0] == 0)
            parts.append(_many(self.age_ms // unit_ms, unit))
        if self.events:
            parts.append(_many(self.events, "event") + " of a stream")
        return " / ".join(parts) or "all"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 or what == "ms" else f"{count} {what}s"


KEEP_ALL = Retention()
encode_retention: Callable[[Retention], bytes] = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Retention).decode


def retention_of(space: Namespace, ceiling: int = NOW) -> Retention:
    """Returns what a namespace keeps, as of a version."""
    record = RECORD_TABLES[notes.SETTING](space)[0].at(RETENTION, ceiling)
    return _decode(record.value) if record is not None and record.value is not None else KEEP_ALL


def floor_of(space: Namespace) -> int:
    """Returns the version from which on reads of a namespace are as they were; 0: nothing was forgotten."""
    return space.projection(FloorsProjection).floor


def is_before(space: Namespace, ceiling: int) -> bool:
    """Whether a version is from before what is kept, here or in what this is a fork of."""
    return any(highest < floor_of(each) for each, highest in lineage(space, ceiling))


def refuse_before(entries: EntryTable, space: Namespace, ceiling: int) -> None:
    """Refuses (`BEFORE_RETENTION`) a read as of a version from before what is kept, here or in what this is a
    fork of."""
    for each, highest in lineage(space, ceiling):
        floor = floor_of(each)
        if highest < floor:
            index, time_us, rule = floor >> POSITION_BITS, entries.time_at(floor), retention_of(each)
            reason = (
                f"retention keeps {rule}" if rule != KEEP_ALL else "retention had forgotten what was before"
            )
            raise Refused(
                "BEFORE_RETENTION",
                f"reads of {each.name} reach back to index {index} (time {time_us}): {reason}",
                {"floor_index": str(index), "floor_time_us": str(time_us)},
            )


def pin_of(space: Namespace) -> int:
    """Returns the lowest version of a namespace that a fork shows: what was replaced above it must stay."""
    return min((base for base, _ in _bases(space)), default=NOW)


def holders_of(space: Namespace) -> list[str]:
    """Returns the names of the forks that retention waits for, the one with the oldest base first."""
    return [name for _, name in nsmallest(HOLDERS_MAX, _bases(space))]


def _bases(space: Namespace) -> Iterator[tuple[int, str]]:
    """Yields the base and the name of each fork of a namespace, and of each fork of one."""
    waiting = list(space.forks.values())
    while waiting:
        fork = waiting.pop()
        if fork.origin is not None:
            yield fork.origin.base, fork.name
        waiting += fork.forks.values()


class _Source(NamedTuple):
    """Where versions of one kind are.

    Attributes:
        kind: Of them.
        names: Those that may have some to let go, in no order that lasts.
        count: Of a name: how many versions of it are not the latest, or ended.
        ends: Of a name: when each of the first so many of these was replaced or ended, oldest first.
        through: Of a name: what a TrimCommand says to let go of the first so many of them.
    """

    kind: bytes
    names: Callable[[], Iterable[str]]
    count: Callable[[str], int]
    ends: Callable[[str, int], list[int]]
    through: Callable[[str, int], int]


def _of_records(kind: bytes, records: VersionedRecords) -> _Source:
    def through(name: str, count: int) -> int:
        head = records.heads[name]
        # Nothing older is left of a deletion: it goes, too.
        is_all = count == records.count_replaced(name) and head.value is None
        return head.version if is_all else records.oldest(name, count)[-1]

    return _Source(
        kind,
        lambda: [*records.past, *(name for name in records.cold if name not in records.past)],
        records.count_replaced,
        lambda name, count_max: records.oldest(name, count_max + 1)[1:],
        through,
    )


def _of_ended(
    kind: bytes, names: Iterable[str], count: Callable[[str], int], ends: Callable[[str, int], list[int]]
) -> _Source:
    return _Source(kind, lambda: names, count, ends, lambda name, count: ends(name, count)[-1])


def _sources(space: Namespace) -> Iterator[_Source]:
    for kind, table in RECORD_TABLES.items():
        if kind != notes.FLOOR:
            yield _of_records(kind, table(space)[0])
    memories = space.projection(MemoryStore)
    yield _of_ended(notes.MEMORY, memories.ids(), memories.count_ended, memories.ended_of)
    collections = {each.name: each for each in space.projection(VectorStore).all()}

    def count(name: str) -> int:
        collection, _, id = name.partition(SEPARATOR)
        return collections[collection].count_ended(id)

    def ends(name: str, count_max: int) -> list[int]:
        collection, _, id = name.partition(SEPARATOR)
        return collections[collection].ended_of(id, count_max)

    for name, each in collections.items():
        names = (f"{name}{SEPARATOR}{id}" for id in each.ids_ended())
        yield _of_ended(notes.VECTOR, names, count, ends)


class _Over(NamedTuple):
    """So many versions of a name may go."""

    kind: bytes
    name: str
    versions: int
    through: int


class Trimmer:
    """Looks for what namespaces need not keep any more, for whoever proposes that it goes.

    Args:
        machine: Whose. What is found is to be applied before the next step.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._steps: Iterator[Command | None] = iter(())

    def step(self, now_us: int) -> Command | None:
        """Looks at some more names; returns a command that forgets what was found, or None."""
        if not self.machine.spaces.retained:
            return None
        found = next(self._steps, self)
        if found is self:  # all was looked at: begin again
            self._steps = self._looking(now_us)
            return next(self._steps, None)
        return found if isinstance(found, Command) else None

    def _looking(self, now_us: int) -> Iterator[Command | None]:
        looked = 0
        for namespace in tuple(self.machine.spaces.retained):
            looked += NAMESPACE_NAMES
            space = self.machine.space(namespace)
            rule = retention_of(space) if space is not None else KEEP_ALL
            if space is None or space.origin is not None or rule == KEEP_ALL:
                continue
            command, room = TrimCommand(namespace=namespace), TRIMMED_MAX
            for over in self._over(space, rule, now_us):
                looked += 1
                if over is not None:
                    command.kinds += over.kind
                    command.names.append(over.name)
                    command.through.append(over.through)
                    room -= over.versions
                if room <= 0:
                    yield Command(KIND_TRIM, "", command)
                    command, room = TrimCommand(namespace=namespace), TRIMMED_MAX
                elif looked >= LOOKED_MAX:
                    yield None
                else:
                    continue
                looked = 0
            if command.names:
                yield Command(KIND_TRIM, "", command)
            elif looked >= LOOKED_MAX:
                yield None
            else:
                continue
            looked = 0

    def _over(self, space: Namespace, rule: Retention, now_us: int) -> Iterator[_Over | None]:
        """Yields what of each name may go; up to `TRIMMED_MAX` of a name at a time, until it is gone."""
        pin = pin_of(space)
        cutoff = min(pin, self._cutoff(rule.age_ms, now_us))
        for source in _sources(space):
            for name in source.names():
                while True:
                    count, ends = source.count(name), source.ends(name, TRIMMED_MAX)
                    over = count + 1 - rule.versions if rule.versions else 0
                    part = max(_up_to(ends, pin, over), _up_to(ends, cutoff, len(ends)))
                    yield _Over(source.kind, name, part, source.through(name, part)) if part else None
                    if part < TRIMMED_MAX or source.count(name) == count:
                        break
        yield from self._events_over(space.projection(StreamsProjection), rule, pin, cutoff)

    def _events_over(
        self, streams: StreamsProjection, rule: Retention, pin: int, cutoff: int
    ) -> Iterator[_Over | None]:
        for name in list(streams.streams):
            while True:
                stream = streams.streams[name]
                last, gone = len(stream.events), stream.forgotten
                if name.startswith(HIDDEN):  # the recording of a run, of which a part is of no use
                    end = last - 1 if last and stream.events[-1].version <= cutoff else gone
                else:
                    end = max(stream.count_at(cutoff), last - rule.events if rule.events else 0)
                end = stream.whole_until(min(end, stream.count_at(pin)))
                part = _part_of(stream, gone, end)
                yield _Over(notes.EVENT, name, part, gone + part) if part > 0 else None
                if gone + part >= end or streams.streams[name].forgotten == gone:
                    break

    def _cutoff(self, age_ms: int, now_us: int) -> int:
        """Returns the highest version that is older than what is kept; 0 where age is no matter."""
        if not age_ms:
            return 0
        index = max(0, self.machine.index_at(now_us - 1000 * age_ms))
        return index << POSITION_BITS | (POSITIONS_MAX - 1)


def _part_of(stream: Stream, gone: int, end: int) -> int:
    """Returns how many events of a stream go at a time: about `TRIMMED_MAX`, and at least the first block."""
    count_max = TRIMMED_MAX
    while (part := stream.whole_until(min(end, gone + count_max)) - gone) <= 0 and gone + count_max < end:
        count_max *= 2
    return part


def _up_to(ends: list[int], highest: int, count_max: int) -> int:
    """Returns how many of the first `count_max` are not above a version."""
    count = 0
    for end in ends[: max(0, count_max)]:
        if end > highest:
            break
        count += 1
    return count
