"""What is measured: lines of systems under a load, and groups of lines that are measured in turn.

Pure. A *line* is one row of the report: one system, one kind of work, so many callers. The lines of a *group*
take turns in every round, so that what slows the machine down for a while slows all of them down.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

CALLERS = (1, 64, 256)
BATCH_CALLERS = (1, 64)
BATCH = 100
"""Operations of a batch."""
EVENTS = 500
"""Events of a call that appends many."""
EVENT_CALLERS = 8
MINOR_SHARE = 0.3
"""Rounds of what no target is about are this much shorter."""

ONE_NODE = ("memraft", "redis always", "redis everysec")
THREE_NODES = ("memraft x3", "etcd x3", "etcd x3 lean")
NAMES = {
    "memraft": "Memraft, one node, mutual TLS",
    "memraft x3": "Memraft, three nodes, mutual TLS",
    "redis always": "Redis, appendfsync always",
    "redis everysec": "Redis, appendfsync everysec",
    "etcd x3": "etcd, three nodes, grpcio",
    "etcd x3 lean": "etcd, three nodes, lean client",
    "index": "Memraft's index alone, in process",
    "hnswlib": "hnswlib alone, in process",
}


class Line(msgspec.Struct, frozen=True):
    """One row. `level`: of reads; `blocking`: through the system's client without an event loop."""

    system: str
    work: str
    callers: int
    level: str = ""
    blocking: bool = False

    @property
    def title(self) -> str:
        """The row's name within its group."""
        extra = [self.level] if self.level else []
        return ", ".join([NAMES[self.system], *extra])


class Group(msgspec.Struct, frozen=True):
    """Lines that take turns. `share`: of the seconds of a round."""

    name: str
    title: str
    lines: tuple[Line, ...]
    share: float = MINOR_SHARE


def units_of(work: str) -> int:
    """How many operations one call carries."""
    return {"put_batch": BATCH, "get_batch": BATCH, "ingest": EVENTS}.get(work, 1)


def _group(name: str, title: str, lines: Iterator[Line], share: float = MINOR_SHARE) -> Group:
    return Group(name, title, tuple(lines), share)


def callers_text(callers: int) -> str:
    """So many callers, in words."""
    return "1 caller" if callers == 1 else f"{callers} callers"


def _read_lines(systems: Sequence[str], work: str, callers: int) -> Iterator[Line]:
    levels = {
        "memraft": ("linearizable", "session"),
        "memraft x3": ("linearizable", "session", "stale"),
        "etcd x3": ("linearizable", "serializable"),
        "etcd x3 lean": ("linearizable", "serializable"),
    }
    for system in systems:
        if system != "redis everysec":  # how it syncs does not matter to its reads
            yield from (Line(system, work, callers, level) for level in levels.get(system, ("",)))


def _ycsb_line(system: str, letter: str, callers: int) -> Line:
    """Reads are linearizable wherever there is a choice: Redis and etcd do nothing less by default."""
    level = "" if system.startswith("redis") else "linearizable"
    return Line(system, f"ycsb-{letter}", callers, level)


def groups_of(systems: tuple[str, ...]) -> Iterator[Group]:
    """All groups that these systems take part in: ONE_NODE or THREE_NODES."""
    where = "one node" if systems == ONE_NODE else "three nodes"
    for callers in CALLERS:
        title = f"{where}: put of 100 bytes, {callers_text(callers)}"
        yield _group(f"put-{callers}", title, (Line(each, "put", callers) for each in systems), 1.0)
        title = f"{where}: get of 100 bytes, {callers_text(callers)}"
        yield _group(f"get-{callers}", title, _read_lines(systems, "get", callers), 1.0)
    blocking = [each for each in systems if each != "etcd x3 lean"]
    puts = [Line(each, "put", 1, "", True) for each in blocking]
    gets = [Line(line.system, "get", 1, line.level, True) for line in _read_lines(blocking, "get", 1)]
    yield _group("put-blocking", f"{where}: put of 100 bytes, 1 caller, blocking client", iter(puts))
    yield _group("get-blocking", f"{where}: get of 100 bytes, 1 caller, blocking client", iter(gets))
    for callers in BATCH_CALLERS:
        title = f"{where}: put in batches of {BATCH}, {callers_text(callers)}"
        yield _group(f"put_batch-{callers}", title, (Line(each, "put_batch", callers) for each in systems))
        title = f"{where}: get in batches of {BATCH}, {callers_text(callers)}"
        yield _group(f"get_batch-{callers}", title, _read_lines(systems, "get_batch", callers))
    events = (Line(each, "ingest", EVENT_CALLERS) for each in systems if not each.startswith("etcd"))
    title = f"{where}: events of 200 bytes, {EVENTS} a call, {callers_text(EVENT_CALLERS)}"
    yield _group("ingest", title, events)
    for letter in "abcdef":
        for callers in CALLERS:
            title = f"{where}: YCSB {letter.upper()}, {callers_text(callers)}"
            lines = (_ycsb_line(each, letter, callers) for each in systems)
            yield _group(f"ycsb-{letter}-{callers}", title, lines)


def vector_groups() -> Iterator[Group]:
    """Searches over gRPC, the index and hnswlib alone, and the call that carries nothing."""
    alone = (Line("index", "search", 1, "", True), Line("hnswlib", "search", 1, "", True))
    for callers in (1, 64):
        lines = [Line("memraft", "empty", callers), Line("memraft", "search", callers)]
        title = f"one node: the nearest 10 of many vectors, {callers_text(callers)}"
        yield Group(f"vector-{callers}", title, (*lines, *alone) if callers == 1 else tuple(lines), 1.0)
