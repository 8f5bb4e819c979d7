"""What all parts of a group share, and what the driver is told about one.

A group is built in layers, each knowing only those below it, as the core is::

    Group        group.py        what the driver does in a turn: finish, apply, status
    Reads        reads.py        reads that wait for a round or an index
    Proposals    proposals.py    commands and changes of membership on their way
    GroupState   group_state.py  fields
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from . import raft
from .agreement import Agreement
from .errors import DiskFull
from .freshness import Freshness
from .raft import Membership
from .state_machine import Answer, EntryBuilder, StateMachine, answer_applied


class GroupSpec(msgspec.Struct, frozen=True):
    """What a group is made of.

    ``preferred_leader`` is a node id, 0 for no preference. ``voters`` and ``learners`` are those the group
    begins with, not looked at once its log or its state says who belongs to it; a node that joins a group
    later gives none and waits to be contacted. ``answer`` tells those who proposed what became of it.
    """

    machine: StateMachine
    builder: EntryBuilder
    preferred_leader: int = 0
    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    answer: Answer = answer_applied


class PeerProgress(msgspec.Struct, frozen=True):
    """A follower or learner as its leader sees it: last entry durable there and last one applied, whether it
    was heard lately, whether it may have lost entries and has not all of them again, and how it is sent
    entries: "probe", "replicate", "snapshot"."""

    match: int
    applied: int
    active: bool
    is_recovering: bool = False
    state: str = "replicate"


class GroupStatus(msgspec.Struct, frozen=True):
    """A group on this node.

    ``peers`` is empty unless this node leads; ``leader`` 0 means unknown; ``queued_commands`` wait to become
    an entry; the totals count what was proposed here. ``membership`` is in force and stands at
    ``membership_index``, which is committed when ``commit`` has reached it. The log holds the entries after
    ``base_index``; ``saved_index`` is the last one in the state store. ``is_whole`` is False while this
    replica may lack entries that it has acknowledged, and so does not vote.
    """

    group: int
    role: raft.Role
    term: int
    leader: int
    preferred_leader: int
    commit: int
    applied: int
    last_index: int
    base_index: int
    saved_index: int
    queued_commands: int
    entries_proposed_total: int
    commands_applied_total: int
    membership: Membership
    membership_index: int
    is_whole: bool
    peers: Mapping[int, PeerProgress]


class GroupLimits(msgspec.Struct, frozen=True):
    """See ``DriverConfig``, where these are set and explained."""

    entry_bytes_target: int
    entry_commands_max: int
    entries_inflight_target: int
    command_bytes_max: int
    queued_commands_max: int
    queued_bytes_max: int
    waiters_max: int
    outcome_wait_ms: int


class Shared(msgspec.Struct):
    """What the groups of a node have in common. ``disk_full`` says why no more is written, None while there
    is room."""

    limits: GroupLimits
    disk_full: DiskFull | None = None


class GroupState:
    """Owned by the driver's task; what callers do runs between its turns."""

    def __init__(
        self,
        group: int,
        spec: GroupSpec,
        core: raft.Core,
        shared: Shared,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.id = group
        self.spec = spec
        self.machine = spec.machine
        self.core = core
        self.preferred_leader = spec.preferred_leader
        self.role = raft.Role.FOLLOWER
        self.leader = 0
        self.term = core.term
        status = core.status()
        self.membership = status.membership
        self.applied = status.applied
        self.freshness = Freshness(core.id, self.membership.voters, time.monotonic())
        self.agreement = Agreement(core.id)
        self.agreement.applied(self.applied, self.machine.fingerprint)
        self.wrong: frozenset[int] = frozenset()
        """On a leader: peers whose machine became another than that of a majority."""
        self.must_stop = False
        """This replica's machine became another than that of a majority."""
        self.told = 0
        """The highest index that a leader said is committed."""
        self.is_dirty = False
        self.is_round_timed = False
        """A timer runs for the next round of reads."""
        self.is_installing = False
        """A snapshot is being put into force: nothing is applied and nothing saved."""
        self.unsaved_commit: raft.HardState | None = None
        self.commands_applied_total = 0
        self.entries_proposed_total = 0
        self._shared = shared
        self._limits = shared.limits
        self._loop = loop


def fail(futures: Sequence[asyncio.Future[Any]], make_error: Callable[[], Exception]) -> None:
    """Each future gets an exception of its own: raising one that is shared would grow its traceback."""
    for future in futures:
        if not future.done():
            future.set_exception(make_error())
            # Whoever gave up waiting must not cause a log line about an exception never retrieved.
            future.exception()
