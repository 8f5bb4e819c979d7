"""Runs of agents: begun once, ended once."""

from __future__ import annotations

from bisect import bisect_right

import msgspec

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


def _began_version_of(run: RunRecord) -> int:
    return run.began_version


class RunsProjection:
    """The runs of one namespace, by id and in order of beginning."""

    __slots__ = ("_add", "_prefix", "_usage", "by_id", "in_order")

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self._usage = usage
        self._add = notes.add if notes is not None else None
        self._prefix = notes.prefix(RUN) if notes is not None else b""
        self.by_id: dict[str, RunRecord] = {}
        self.in_order: list[RunRecord] = []

    def begin(self, run_id: str, version: int, author: Author, inputs: bytes) -> RunRecord:
        """Begins the run `run_id`, which must not exist."""
        run = self.by_id[run_id] = RunRecord(run_id, author, version, inputs)
        self.in_order.append(run)
        if self._add is not None:
            self._add((self._prefix, run))
        self._usage.records += 1
        self._usage.bytes += RUN_BYTES + 2 * len(run_id) + len(inputs)
        return run

    def end(self, run: RunRecord, version: int, status: int, outputs: bytes) -> None:
        """Ends a run that has not ended."""
        run.ended_version = version
        run.status = status
        run.outputs = outputs
        if self._add is not None:
            self._add((self._prefix, run, version))
        self._usage.bytes += len(outputs)

    def at(self, run_id: str, ceiling: int) -> RunRecord | None:
        """Returns the run if it had begun as of version `ceiling`, included."""
        run = self.by_id.get(run_id)
        return run if run is not None and run.began_version <= ceiling else None

    def newest(self, below: int, ceiling: int, count_max: int) -> list[RunRecord]:
        """Returns up to `count_max` runs begun below version `below` and as of `ceiling`, newest first."""
        end = bisect_right(self.in_order, min(below - 1, ceiling), key=_began_version_of)
        return self.in_order[max(0, end - count_max) : end][::-1]
