"""Runs of agents: begun once, ended once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from heapq import merge
from itertools import islice

import msgspec
from msgspec.structs import replace

from memraft_server.projections.notes import RUN, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import Author

RUN_BYTES = 400
"""What a run takes beside its id, inputs and outputs."""


class RunRecord(msgspec.Struct, gc=False):
    """One run. `ended_version` is 0 while it runs; `status` and `outputs` count from then on."""

    run_id: str
    author: Author
    began_version: int
    inputs: bytes
    ended_version: int = 0
    status: int = 0
    outputs: bytes = b""
    recorded: bool = False


def _began_version_of(run: RunRecord) -> int:
    return run.began_version


class RunsProjection:
    """The runs of one namespace, by id and in order of beginning."""

    __slots__ = ("_add", "_base", "_parent", "_prefix", "_usage", "by_id", "in_order")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self._usage = usage
        self._add = notes.add if notes is not None else None
        self._prefix = notes.prefix(RUN) if notes is not None else b""
        self.by_id: dict[str, RunRecord] = {}
        """Those that were begun, or in a fork ended, here."""
        self.in_order: list[RunRecord] = []
        self._parent: RunsProjection | None = notes.join(RUN, self) if notes is not None else None
        self._base = notes.base if notes is not None else 0

    def find(self, run_id: str) -> RunRecord | None:
        """Returns a run as it stands now."""
        run = self.by_id.get(run_id)
        return run if run is not None or self._parent is None else self._inherited(run_id)

    def begin(
        self, run_id: str, version: int, author: Author, inputs: bytes, recorded: bool = False
    ) -> RunRecord:
        """Begins the run `run_id`, which must not exist; `recorded`: with a recording of its commands."""
        run = self.by_id[run_id] = RunRecord(run_id, author, version, inputs, recorded=recorded)
        self.in_order.insert(bisect_right(self.in_order, version, key=_began_version_of), run)
        if self._add is not None:
            self._add((self._prefix, run))
        self._usage.records += 1
        self._usage.bytes += RUN_BYTES + 2 * len(run_id) + len(inputs)
        return run

    def end(self, run: RunRecord, version: int, status: int, outputs: bytes) -> None:
        """Ends a run that `find` gave and that has not ended."""
        if (
            self.by_id.get(run.run_id) is not run
        ):  # begun before the fork: it ends here, and not in the parent
            run = self.begin(run.run_id, run.began_version, run.author, run.inputs, run.recorded)
        run.ended_version = version
        run.status = status
        run.outputs = outputs
        if self._add is not None:
            self._add((self._prefix, run, version))
        self._usage.bytes += len(outputs)

    def at(self, run_id: str, ceiling: int) -> RunRecord | None:
        """Returns the run if it had begun as of version `ceiling`, included."""
        run = self.find(run_id)
        return run if run is not None and run.began_version <= ceiling else None

    def newest(self, below: int, ceiling: int, count_max: int) -> list[RunRecord]:
        """Returns up to `count_max` runs begun below version `below` and as of `ceiling`, newest first."""
        end = bisect_right(self.in_order, min(below - 1, ceiling), key=_began_version_of)
        own = self.in_order[max(0, end - count_max) : end][::-1]
        if self._parent is None:
            return own
        spare = count_max + len(self.by_id)  # as many of the parent's at most are continued here
        older = self._parent.newest(below, min(ceiling, self._base), spare)
        inherited = [self._before(run) for run in older if run.run_id not in self.by_id]
        return list(islice(merge(own, inherited, key=_began_version_of, reverse=True), count_max))

    def changed(self, low: int, high: int) -> Iterator[str]:
        """Yields the ids of the runs that began or ended here above version `low` and up to `high`."""
        for run in self.in_order:
            if low < run.began_version <= high or low < run.ended_version <= high:
                yield run.run_id

    def _inherited(self, run_id: str) -> RunRecord | None:
        run = self._parent.at(run_id, self._base) if self._parent is not None else None
        return self._before(run) if run is not None else None

    def _before(self, run: RunRecord) -> RunRecord:
        """A run of the parent as it stood when the fork was made."""
        if run.ended_version <= self._base:
            return run
        return replace(run, ended_version=0, status=0, outputs=b"")
