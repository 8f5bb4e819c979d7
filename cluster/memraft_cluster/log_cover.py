"""Which damage of a log does no harm, because durable states cover what it hit. Pure.

An entry that a state covers is needed by nobody: a log that is sound may have it cut away. So damage before
the base of a state costs nothing where it is certain what the log holds behind that base, and how each group
voted. There are two kinds of damage:

* Only the data of an entry. Its frame was checked all the same, heads of records and all: which entry it is,
  its term, and everything else in the log are known.
* Whole frames are lost. What they held is not known: they may have replaced entries that stand before them,
  cut, emptied or dropped a group's log, or told a vote. So nothing before them counts. What counts is behind
  the last of them, where every frame is chained to the one before: the last vote, and the entries from the
  base's own on, without a gap. That the log has the base's entry, of its term, tells a state that the log
  made from one that was received just before a crash, which other entries may follow in the log. The marks
  speak for what was written last before the loss, where they were written after it: a vote that is still the
  same, and a log that ends with its base.

Whatever is not certain is refused, as if there were no state: the votes are saved, and others bring the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

from .log_group import GroupLog
from .log_scan import Scan
from .marks import GroupMark
from .raft import SnapshotMeta

__all__ = ["cover"]


def cover(scan: Scan, bases: Mapping[int, SnapshotMeta]) -> bool:
    """Whether durable states cover all that is damaged. If so, the groups it hit begin behind their states.

    Args:
        scan: of a log with damages; what cannot be proven is left as it is.
        bases: what is durable of the states, by group.
    """
    if scan.is_end_lost or scan.mark_problem:
        return False  # without the marks nobody knows whether its end is lost
    hit: set[int] = set()
    for group, index, at in scan.unreadable:
        log = scan.groups[group]
        if not _is_held(log, index, at):
            continue  # it was replaced or cut since
        base = bases.get(group)
        if base is None or index > base.index or not _is_within(log, base):
            return False
        hit.add(group)
    if scan.gap:
        hit |= scan.groups.keys() | scan.marks.keys() | bases.keys()
        if not all(_is_certain(scan, group, bases.get(group)) for group in hit):
            return False
    for group in hit & bases.keys():
        scan.groups[group].cut(bases[group])
    return True


def _is_held(log: GroupLog, index: int, at: int) -> bool:
    """Whether the entry that stands at a place is the one that the log has at its index."""
    return log.first_index() <= index <= log.last_index() and log.place_of(index)[0] == at


def _is_within(log: GroupLog, base: SnapshotMeta) -> bool:
    """Whether the log has the entry at a base, of its term."""
    return log.first_index() <= base.index <= log.last_index() and log.term(base.index) == base.term


def _is_certain(scan: Scan, group: int, base: SnapshotMeta | None) -> bool:
    """Whether the vote and all entries behind the base are known although frames are lost."""
    log = scan.groups.get(group)
    mark = scan.marks.get(group) or GroupMark(group, 0, 0, 0, 0, has_state=False)
    is_marked = scan.marked_seq >= scan.lost_seq
    if log is None:
        return base is None and is_marked and not mark.has_state and not mark.last_index
    has_vote = scan.hard_state_seqs.get(group, 0) > scan.lost_seq
    if not has_vote and not (is_marked and _has_voted(log, mark)):
        return False
    index, term = (base.index, base.term) if base is not None else (0, 0)
    began = log.base()
    began_index = began.index if began is not None else 0
    if began_index > index:
        return False  # it is the state that is lost
    if log.last_index() <= index:
        return is_marked and (mark.last_index, mark.last_term) == (index, term)
    first = index + 1 if began_index == index else index
    return log.first_index() <= first and log.place_of(first)[0] > scan.gap and log.term(index) == term


def _has_voted(log: GroupLog, mark: GroupMark) -> bool:
    state = log.hard_state
    if state is None or not mark.has_state:
        return state is None and not mark.has_state
    return (state.term, state.vote, state.is_whole) == (mark.term, mark.vote, mark.is_whole)
