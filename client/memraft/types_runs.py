"""What replays, diffs and merges return: frozen values, exported by `memraft.types`."""

from typing import Literal, TypeAlias

import msgspec

Verdict: TypeAlias = Literal["same", "outside", "differs"]
"""How a replay compares with the run.

``same``: every step did what it had done.
``outside``: some did something else, but only because of writes from outside the run that came between.
``differs``: a step did something else than it had done.
"""


class StepDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run, as two sides did it."""

    step: int
    """Which, from 1: a command, such as a write or a recorded call of a tool."""
    call: str
    """The call, such as `Put`; where the sides differ in it, `Put / Delete`."""
    left: str
    """What the first side asked for and was told: JSON text, shortened; empty where it had no such step."""
    right: str
    """The same of the other side. In a replay the run is on the left and what was replayed on the right."""
    is_outside: bool = False
    """Whether a write from outside the run explains the difference."""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a replay. True unless it differs."""

    run_id: str
    verdict: Verdict
    steps: int
    """How many steps were done again; of an agent's replay, how many did the same."""
    recorded_steps: int
    """How many steps the run has; of an agent's replay, those on locks do not count."""
    outside_steps: int = 0
    """How many did something else only because of writes from outside the run."""
    first_difference: StepDifference | None = None
    recorded_hash: bytes = b""
    """The hash (32 bytes) of the state after the last step, as recorded; empty of an agent's replay."""
    replayed_hash: bytes = b""
    """The hash that the replay came to; empty of an agent's replay."""

    def __bool__(self) -> bool:
        return self.verdict != "differs"


class RecordDifference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not the same on two sides."""

    kind: str
    """`document`, `state`, `memory`, `vector`, `stream`, `run`, `node`, `edge`, `counter`, `gate`, …"""
    name: str
    """Its key, name or id; of a vector `collection/id`, of an edge `source-[type]->target`."""
    left_version: int
    """Its version on the first side; 0: it is not there."""
    right_version: int
    """Its version on the other side; 0: it is not there."""
    left: str
    """Its value on the first side: JSON text, shortened; empty: it is not there."""
    right: str
    """Its value on the other side: JSON text, shortened; empty: it is not there."""


class RunDiff(msgspec.Struct, frozen=True, kw_only=True):
    """How two runs compare."""

    common_steps: int
    """How many steps they have in common before the first that differs."""
    steps: int
    """How many the first run has."""
    other_steps: int
    """How many the other has."""
    first_difference: StepDifference | None
    records: tuple[RecordDifference, ...]
    """What they left behind differently, by kind and name."""
    is_truncated: bool
    """There is more of that."""

    @property
    def is_same(self) -> bool:
        """Whether they did the same and left the same behind."""
        return self.first_difference is None and not self.records


class MergeConflict(msgspec.Struct, frozen=True, kw_only=True):
    """Something that changed in a fork and, differently, in its parent."""

    kind: str
    name: str
    base_version: int
    """Its version when the fork was made or last merged; 0: it was not there."""
    ours_version: int
    """Its version in the parent; 0: it was deleted there."""
    theirs_version: int
    """Its version in the fork; 0: it was deleted there."""


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """A fork that was merged."""

    merged: int
    """How many records and events were taken over."""
    version: int
    """The version of the first of them."""
    time_us: int
    """Commit time in microseconds since the Unix epoch."""
    conflict_count: int
    """How many were in conflict, and decided by `on_conflict`."""
    conflicts: tuple[MergeConflict, ...]
    """Up to 1,000 of them."""
