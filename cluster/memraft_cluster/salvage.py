"""Opens a node's log where it is damaged, too: the votes are saved, the entries come back from the other
nodes.

A replica that lost entries which it had acknowledged must not vote as if it had them (Alagappan et al.,
Protocol-Aware Recovery, FAST'18), and must not forget a vote that it gave. So the damaged directory is set
aside as it is, and a new log begins in its place, in which every group has the term and vote of the intact
copy, is not whole (``HardState.is_whole``), and begins behind the state that the node still has. The groups'
leaders bring the rest. A vote of which no copy can be read is not guessed: the node does not start.

The new log is made beside the old one and takes its place by renaming, so a crash in between starts it over
or finds it done.
"""

from __future__ import annotations

import datetime
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from .errors import DiskError, LogCorrupted, VoteUnknown
from .layout import Layout
from .log import Durability, DurableLog
from .marks import GroupMark, SlotsUnreadable, read_marks
from .raft import HardState, SnapshotMeta
from .slots import sync_directory

__all__ = ["GroupSalvage", "SalvageReport", "begin_again", "open_or_salvage"]

logger = logging.getLogger("memraft.log")

SET_ASIDE_MAX = 2
"""Damaged directories kept for people to look at; older ones are removed."""
_MADE = ".salvage"


class GroupSalvage(msgspec.Struct, frozen=True):
    """What became of one group.

    ``term`` and ``vote`` are those of the intact copy, ``base_index`` is where its state stands, 0 without
    one, and ``last_index`` is the last entry that the log had: what lies between comes from the group's
    leader.
    """

    group: int
    term: int
    vote: int
    base_index: int
    last_index: int


class SalvageReport(msgspec.Struct, frozen=True):
    """What was damaged, where it is kept, and how each group begins again."""

    path: str
    damage: str
    set_aside: str
    groups: tuple[GroupSalvage, ...]


def open_or_salvage(
    path: str | Path,
    *,
    cluster: str,
    node: str,
    node_id: int = 1,
    layout: Layout = Layout(),  # noqa: B008  (frozen)
    durability: Durability = Durability.COMMIT,
    progress: Callable[[int], None] | None = None,
    state_bases: Mapping[int, SnapshotMeta],
    can_heal: bool = True,
) -> tuple[DurableLog, SalvageReport | None]:
    """Open a node's log; when it is damaged, begin another with its votes.

    Args:
        path, cluster, node, node_id, layout, durability, progress: as of :class:`DurableLog`.
        state_bases: what the node's state store holds durably, by group. Damage that they cover is passed
            over.
        can_heal: False where no other node has the entries; damage is raised then.

    Returns:
        The open log, and what was done to it when it was damaged.

    Raises:
        VoteUnknown: the log is damaged or gone, and the second copy of its votes, too.
        LogCorrupted: damage, and ``can_heal`` is False.
        WrongDirectory, LayoutChanged, DirectoryLocked, FormatUnsupported, DiskError
    """
    directory = Path(path)

    def open_log(at: Path) -> DurableLog:
        return DurableLog(
            at,
            cluster=cluster,
            node=node,
            node_id=node_id,
            layout=layout,
            durability=durability,
            progress=progress,
            state_bases=state_bases,
        )

    try:
        _finish(directory)
        if state_bases and not _has_log(directory):
            raise VoteUnknown(str(directory), "there is no log beside the node's state")
        try:
            return open_log(directory), None
        except LogCorrupted as error:
            if not can_heal:
                raise
            damage = error
        logger.error("the log is damaged", extra={"fields": {"path": str(directory), "damage": str(damage)}})
        groups = _salvage(directory, damage, state_bases, open_log)
        set_aside = _replace(directory)
    except OSError as error:
        raise DiskError(str(directory), str(error)) from error
    report = SalvageReport(str(directory), str(damage), str(set_aside), groups)
    fields = {"set_aside": report.set_aside, "groups": len(groups)}
    logger.warning("a new log has the votes; entries will come from the others", extra={"fields": fields})
    return open_log(directory), report


def _has_log(directory: Path) -> bool:
    return directory.is_dir() and any(each.name != "LOCK" for each in directory.iterdir())


def _salvage(
    directory: Path,
    damage: LogCorrupted,
    state_bases: Mapping[int, SnapshotMeta],
    open_log: Callable[[Path], DurableLog],
) -> tuple[GroupSalvage, ...]:
    """Make the new log beside the damaged one."""
    try:
        marks = read_marks(directory)[2]
    except (FileNotFoundError, SlotsUnreadable) as error:
        detail = f"{damage}; and the second copy of its votes cannot be read: {error}"
        raise VoteUnknown(str(directory), detail) from damage
    for group, base in state_bases.items():
        if base.index and not (group in marks and marks[group].has_state):
            # A state comes with a vote or later, and goes before it: the copy is older than that vote.
            detail = (
                f"{damage}; and group {group} has a state up to index {base.index} and no vote in the copy"
            )
            raise VoteUnknown(str(directory), detail) from damage
    made = _made_beside(directory)
    shutil.rmtree(made, ignore_errors=True)
    log = open_log(made)
    try:
        return begin_again(log, marks, state_bases)
    finally:
        log.close()


def begin_again(
    log: DurableLog, marks: Mapping[int, GroupMark], state_bases: Mapping[int, SnapshotMeta]
) -> tuple[GroupSalvage, ...]:
    """Give each group in a log that lost it the term and vote of its mark, behind the state it has.

    A group that had none gets none. Term 0 without a vote would say that it never voted, where only this log
    did not: the disk may be a new one, and the replica begins as one that does not know (`raft.recovery`).
    """
    return tuple(
        _begin_group(log, mark, state_bases.get(group))
        for group, mark in sorted(marks.items())
        if mark.has_state
    )


def _begin_group(log: DurableLog, mark: GroupMark, base: SnapshotMeta | None) -> GroupSalvage:
    index = base.index if base is not None else 0
    term, vote = mark.term, mark.vote
    if base is not None and base.term > term:
        term, vote = base.term, 0  # the state came in a later term, in which no vote was given
    log.reset(mark.group, base)
    log.append(mark.group, (), HardState(term, vote, index, is_whole=False))
    return GroupSalvage(mark.group, term, vote, index, mark.last_index)


# -- putting it in place -----------------------------------------------------------------------------------


def _made_beside(directory: Path) -> Path:
    return directory.with_name(directory.name + _MADE)


def _set_aside(directory: Path) -> list[Path]:
    """Damaged directories, oldest first."""
    return sorted(directory.parent.glob(f"{directory.name}.damaged-*"))


def _replace(directory: Path) -> Path:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S%fZ")
    target = directory.with_name(f"{directory.name}.damaged-{now}")
    for old in _set_aside(directory)[: 1 - SET_ASIDE_MAX or None]:
        shutil.rmtree(old, ignore_errors=True)
    directory.rename(target)
    sync_directory(directory.parent)
    _finish(directory)
    return target


def _finish(directory: Path) -> None:
    """Put a new log into place whose predecessor was set aside; one that has it still was not done."""
    made = _made_beside(directory)
    if not made.is_dir():
        return
    if directory.exists():
        shutil.rmtree(made)
        return
    made.rename(directory)
    sync_directory(directory.parent)
