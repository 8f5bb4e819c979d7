"""Finds every acknowledged write again: read from the leaders, linearizable, and compared byte for byte."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from memraft import AsyncMemory
from memraft.types import Event
from memraft_server.cli.demo.ledger import Acknowledged

READS_AT_ONCE_MAX = 16
KEYS_PER_READ = 500
EVENTS_PER_READ = 1_000
MISSING_SHOWN_MAX = 10


class Audit(msgspec.Struct, frozen=True):
    """What was found again, by kind of write. `written_twice` counts events that nobody was told of."""

    acknowledged: dict[str, int]
    found: dict[str, int]
    missing: list[str]
    written_twice: int

    @property
    def complete(self) -> bool:
        """Whether every acknowledged write was found, and none of them twice."""
        return self.acknowledged == self.found and self.written_twice == 0


Check = Callable[[AsyncMemory, list[Acknowledged]], Awaitable[list[bool]]]


async def audit(
    writes: Sequence[Acknowledged],
    memories: dict[str, AsyncMemory],
    report: Callable[[str], None],
    count_twice: bool,
) -> Audit:
    """Reads back all `writes`.

    memories: a client for each namespace. report: told how far it is.
    count_twice: whether a stream longer than its acknowledged events counts as written twice; False where a
    write failed, for that one may have been stored all the same.
    """
    slots = asyncio.Semaphore(READS_AT_ONCE_MAX)
    done = 0

    async def run(check: Check, namespace: str, group: list[Acknowledged]) -> list[bool]:
        nonlocal done
        async with slots:
            answers = await check(memories[namespace], group)
        done += len(group)
        report(f"reading back: {done:,} of {len(writes):,} acknowledged writes")
        return answers

    groups = list(_groups(writes))
    answers = await asyncio.gather(*(run(_CHECKS[g[0].kind], g[0].namespace, g) for g in groups))
    acknowledged: dict[str, int] = defaultdict(int)
    found: dict[str, int] = defaultdict(int)
    missing: list[str] = []
    for group, verdicts in zip(groups, answers, strict=True):
        for write, verdict in zip(group, verdicts, strict=True):
            acknowledged[write.kind] += 1
            found[write.kind] += verdict
            if not verdict and len(missing) < MISSING_SHOWN_MAX:
                missing.append(f"{write.kind} {write.name} in {write.namespace}, version {write.version}")
    twice = await _written_twice(writes, memories) if count_twice else 0
    return Audit(acknowledged=dict(acknowledged), found=dict(found), missing=missing, written_twice=twice)


def _groups(writes: Sequence[Acknowledged]) -> Iterable[list[Acknowledged]]:
    """Writes that a few reads answer together: documents by hundreds, events by stream, others alone."""
    together: dict[tuple[str, str, str], list[Acknowledged]] = defaultdict(list)
    for write in writes:
        if write.kind == "document":
            together[write.kind, write.namespace, ""].append(write)
        elif write.kind == "event":
            together[write.kind, write.namespace, write.name].append(write)
        else:
            yield [write]
    for (kind, _, _), group in together.items():
        step = KEYS_PER_READ if kind == "document" else len(group)
        for start in range(0, len(group), step):
            yield group[start : start + step]


async def _documents(memory: AsyncMemory, group: list[Acknowledged]) -> list[bool]:
    found = await memory.get_many([write.name for write in group], consistency="linearizable")
    return [
        found.versions.get(write.name) == write.version and found.values[write.name] == write.value
        for write in group
    ]


async def _events(memory: AsyncMemory, group: list[Acknowledged]) -> list[bool]:
    stored: dict[int, Event] = {}
    start = 1
    while True:
        events = await memory.events(
            group[0].name, from_sequence=start, limit=EVENTS_PER_READ, consistency="linearizable"
        )
        stored |= {event.sequence: event for event in events}
        if len(events) == 0:
            break
        start = events[-1].sequence + 1
    return [
        write.sequence in stored
        and stored[write.sequence].hash == write.hash
        and stored[write.sequence].payload == write.value
        for write in group
    ]


async def _records(memory: AsyncMemory, group: list[Acknowledged]) -> list[bool]:
    """Records were replaced since: each is read as of its own log index."""
    answers = []
    for write in group:
        record = await memory.state(write.name, at=write.version >> 20, consistency="linearizable")
        answers.append(record is not None and record.version == write.version and record.value == write.value)
    return answers


async def _memories(memory: AsyncMemory, group: list[Acknowledged]) -> list[bool]:
    """Memories were replaced since: each is read as of its own log index."""
    answers = []
    for write in group:
        item = await memory.memory(write.name, at=write.version >> 20, consistency="linearizable")
        answers.append(item is not None and item.version == write.version and item.text == write.value)
    return answers


_CHECKS: dict[str, Check] = {
    "document": _documents,
    "event": _events,
    "record": _records,
    "memory": _memories,
}


async def _written_twice(writes: Sequence[Acknowledged], memories: dict[str, AsyncMemory]) -> int:
    """How many more events the streams hold than were acknowledged."""
    acknowledged: dict[tuple[str, str], int] = defaultdict(int)
    for write in writes:
        if write.kind == "event":
            acknowledged[write.namespace, write.name] += 1
    surplus = 0
    for namespace in {namespace for namespace, _ in acknowledged}:
        for stream in await memories[namespace].streams(limit=10_000, consistency="linearizable"):
            surplus += stream.last_sequence - acknowledged[namespace, stream.name]
    return surplus
