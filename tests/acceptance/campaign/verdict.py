"""What came of a run: the final state is read back and held against what the clients were told."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from memraft import AsyncMemory
from tests.acceptance.campaign.load import STREAMS
from tests.linearizability import Operation, Outcome, Recorder, check_cells

PAGE = 1_000
PAST_READS = 40
"""So many acknowledged versions of registers are read again as of their log index."""
PROBLEMS_SHOWN = 5


@dataclass(slots=True)
class Final:
    """What one namespace holds at the end.

    Args:
        ledger: key -> value.
        streams: stream -> payloads in order of their sequence numbers, from 1.
        problems: chains that are broken, past versions that are not what they were.
    """

    ledger: dict[str, str] = field(default_factory=dict)
    streams: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Tally:
    """A run in numbers. `acknowledged` counts writes and reads that were answered."""

    acknowledged: int = 0
    failed: int = 0
    unknown: int = 0
    lost: int = 0
    doubled: int = 0
    problems: list[str] = field(default_factory=list)


async def read_back(
    memory: AsyncMemory, places: Sequence[str], recorder: Recorder, seed: int
) -> dict[str, Final]:
    """Reads everything back, linearizably; reads of registers go into the history.

    Raises:
        MemraftError: the cluster does not answer.
    """
    history = recorder.history()
    found = {}
    for place in places:
        view = memory.scoped(place, consistency="linearizable")
        mine = [operation for operation in history if operation.key.startswith(f"{place}|")]
        final = found[place] = Final()
        await _read_ledger(view, mine, final)
        for number in range(STREAMS):
            await _read_stream(view, f"s{number}", final)
        await _read_registers(view, mine, recorder)
        await _read_past(view, mine, final, random.Random(seed))
    return found


def _name(operation: Operation) -> str:
    return operation.key.partition("|")[2]


async def _read_ledger(view: AsyncMemory, mine: Iterable[Operation], final: Final) -> None:
    names = [_name(each) for each in mine if _name(each).startswith("ledger:")]
    names += [f"ledger:{_name(each)}" for each in mine if each.kind == "batch"]
    for begin in range(0, len(names), PAGE):
        final.ledger |= (await view.get_many(names[begin : begin + PAGE])).values


async def _read_stream(view: AsyncMemory, stream: str, final: Final) -> None:
    payloads: list[str] = []
    while page := (await view.events(stream, from_sequence=len(payloads) + 1, limit=PAGE)).items:
        expected = range(len(payloads) + 1, len(payloads) + 1 + len(page))
        if [event.sequence for event in page] != list(expected):
            final.problems.append(
                f"stream {stream}: sequence numbers are not {expected[0]}, {expected[0] + 1}, …"
            )
        payloads += [event.payload for event in page]
    final.streams[stream] = payloads
    if payloads and not (chain := await view.verify(stream)).intact:
        final.problems.append(f"stream {stream}: its chain of hashes is broken: {chain}")


async def _read_registers(view: AsyncMemory, mine: Iterable[Operation], recorder: Recorder) -> None:
    for key in sorted({each.key for each in mine if is_register(each)}):
        name = key.partition("|")[2]
        call = recorder.invoke("at the end", "get", key)
        record = await (view.state(name) if name.startswith("state:") else view.record(name))
        recorder.ok(call, record.value if record else None, record.version if record else 0)


async def _read_past(view: AsyncMemory, mine: Iterable[Operation], final: Final, dice: random.Random) -> None:
    """Reads registers as they were: what was acknowledged last in an entry is what stood there then."""
    writes = [each for each in mine if is_register(each) and each.kind != "get"]
    # A write of unknown outcome may be in the same entry, behind the acknowledged one.
    unsure = {each.key for each in writes if each.outcome is Outcome.INFO}
    known = sorted(
        ((each.version, each) for each in writes if each.version and each.key not in unsure),
        key=lambda pair: pair[0],
    )
    newest = {(each.key, version >> 20): each for version, each in known}
    for operation in dice.sample(list(newest.values()), min(PAST_READS, len(newest))):
        name, version = _name(operation), operation.version or 0
        read = view.state if name.startswith("state:") else view.record
        record = await read(name, at=version >> 20)
        value = operation.value[1] if operation.kind == "cas_version" else operation.value
        if (record.value if record else None) != value:
            final.problems.append(f"{name} at log index {version >> 20} was {value!r} and is now {record}")


def is_register(operation: Operation) -> bool:
    """Whether it is a call on a hot key."""
    return _name(operation).startswith(("kv:", "state:"))


def judge(history: Sequence[Operation], finals: Mapping[str, Final]) -> Tally:
    """Holds the final state, and what reads saw meanwhile, against what clients were told."""
    tally = Tally()
    outcomes = Counter(each.outcome for each in history)
    tally.acknowledged = outcomes[Outcome.OK]
    tally.failed, tally.unknown = outcomes[Outcome.FAIL], outcomes[Outcome.INFO]
    by_place = defaultdict[str, list[Operation]](list)
    for operation in history:
        by_place[operation.key.partition("|")[0]].append(operation)
    for place, final in finals.items():
        tally.problems += [f"{place}: {problem}" for problem in final.problems]
        _judge_ledger(by_place[place], final, tally)
        _judge_streams(by_place[place], final, tally)
    cells = check_cells(each for each in history if is_register(each))
    if not cells.ok:
        words = "undecided" if cells.ok is None else "not linearizable"
        tally.problems += [f"registers {words}: {problem}" for problem in cells.problems]
    return tally


def _judge_ledger(history: Iterable[Operation], final: Final, tally: Tally) -> None:
    for operation in history:
        name = _name(operation)
        if operation.kind == "batch":
            name = f"ledger:{operation.value}"
        elif not name.startswith("ledger:"):
            continue
        there = final.ledger.get(name)
        if operation.outcome is Outcome.OK and there != operation.value:
            tally.lost += 1
            tally.problems.append(f"lost: {operation}; at the end {name} is {there!r}")
        elif operation.outcome is Outcome.FAIL and there is not None:
            tally.problems.append(f"refused, and there all the same: {operation}")


def _judge_streams(history: Iterable[Operation], final: Final, tally: Tally) -> None:
    places = defaultdict[str, list[tuple[str, int]]](list)
    for stream, payloads in final.streams.items():
        for sequence, payload in enumerate(payloads, 1):
            places[payload].append((stream, sequence))
    appended: dict[str, list[tuple[int, Operation]]] = defaultdict(list)
    for operation in history:
        if operation.kind not in ("append", "batch"):
            continue
        found = places.pop(operation.value, [])
        stream = "s0" if operation.kind == "batch" else _name(operation)
        if len(found) > 1:
            tally.doubled += 1
            tally.problems.append(f"doubled: {operation} is at {found}")
        if operation.outcome is Outcome.OK and not found:
            tally.lost += 1
            tally.problems.append(f"lost: {operation}; stream {stream} does not have it")
        if operation.outcome is Outcome.FAIL and found:
            tally.problems.append(f"refused, and there all the same: {operation}")
        if found and found[0][0] != stream:
            tally.problems.append(f"{operation} is in stream {found[0][0]}")
        if operation.kind == "append" and operation.outcome is Outcome.OK and found:
            if found[0][1] != operation.result:
                tally.problems.append(f"{operation} is at {found[0][1]}")
        if operation.kind == "batch" and bool(found) != (f"ledger:{operation.value}" in final.ledger):
            tally.problems.append(f"half of a batch: {operation}")
        if found:
            appended[stream].append((found[0][1], operation))
    tally.problems += [f"nobody wrote the event {payload!r}" for payload in places]
    for events in appended.values():
        _judge_order(sorted(events, key=lambda each: each[0]), tally)


def _judge_order(events: Sequence[tuple[int, Operation]], tally: Tally) -> None:
    """An append that had returned before another one began stands before it."""
    latest = None
    for (_, before), (_, after) in pairwise(events):
        if latest is None or before.invoked > latest.invoked:
            latest = before
        if after.deadline < latest.invoked:
            tally.problems.append(f"out of order: {after} stands behind {latest}")


def clock_problems(commit_times: Mapping[str, Mapping[int, int]]) -> list[str]:
    """Where commit time, in microseconds by log index, went back."""
    return [
        f"{place}: commit time went back by {before - after} us from log index {first} to {second}"
        for place, times in commit_times.items()
        for (first, before), (second, after) in pairwise(sorted(times.items()))
        if after < before
    ]


def longest_gap_s(acknowledged: Mapping[str, Sequence[float]], began_at: float, ended_at: float) -> float:
    """The longest time, in seconds, in which a shard acknowledged no write; the worst shard counts."""
    worst = 0.0
    for times in acknowledged.values():
        points = [began_at, *sorted(times), ended_at]
        worst = max(worst, *(later - sooner for sooner, later in pairwise(points)))
    return worst
