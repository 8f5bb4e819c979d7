"""Trying operations out: on a fork that is thrown away, so that what is refused half way was never done.

A handler refuses before it has changed anything, but of several operations the later ones may be refused when
the earlier ones are done; and what they may refuse, only they know. A fork of the namespace copies nothing,
and every primitive can be written to in it, so the operations are simply done there first. What they answer
there is what they would answer here: both begin with the same state, version, time and ids.
"""

from __future__ import annotations

from typing import Any

from memraft_server.machine.namespaces import Namespace, Origin, Tenant
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Turn
from memraft_server.projections.notes import Notes


class TrialNotes(Notes):
    """Also inherits what a fork does not: leases."""

    __slots__ = ()

    def join(self, kind: bytes, keeper: Any) -> Any:
        self.joined[kind] = keeper
        return self.parent.joined.get(kind) if self.parent is not None else None


class _NoSpaces:
    """Stands where a command finds the namespaces of the shard: a trial has only its own."""

    def __getattr__(self, name: str) -> Any:
        raise invalid("makes or drops namespaces, which cannot be part of a transaction")


def trial_of(turn: Turn, space: Namespace) -> tuple[Turn, Namespace]:
    """Returns a turn and a namespace to do operations with that leave no trace, and start where these are."""
    spaces: Any = _NoSpaces()
    trial_turn = Turn(turn.entries, spaces)
    trial_turn.begin_entry(0, turn.time_us, turn.seed)
    trial_turn.version, trial_turn.author = turn.version, turn.author
    base = turn.version - 1
    notes = TrialNotes(None, 0, space.notes, base)
    origin = Origin(space, base, turn.version, turn.author)
    return trial_turn, Namespace(space.name, Tenant(), notes, origin)
