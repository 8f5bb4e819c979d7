"""Examines a data directory without opening anything for writing: the log, its marks, the states beside it.

Works beside a node that runs, too. What is written meanwhile may look unfinished; so what seems damaged then
is looked at again before it is reported.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from memraft_cluster.errors import LogCorrupted
from memraft_cluster.groups import META_GROUP, group_name
from memraft_cluster.log_cover import cover
from memraft_cluster.log_files import LOCK_NAME, lost_entries, scan_log
from memraft_cluster.log_group import GroupLog
from memraft_cluster.log_head import FILE_NAME as HEAD_NAME
from memraft_cluster.log_head import LogHead, head_file, read_head
from memraft_cluster.log_scan import Scan
from memraft_cluster.marks import FILE_NAME as MARKS_NAME
from memraft_cluster.raft import SnapshotMeta
from memraft_cluster.segments import segment_files
from memraft_server.bootstrap import FILE as BOOTSTRAP_FILE
from memraft_server.bootstrap import check_pinned
from memraft_server.cluster_record import read_record_file
from memraft_server.state_check import check_state

__all__ = ["GroupReport", "NotADataDirectory", "Report", "examine"]

LOG_DIRECTORY = "log"
STATE_DIRECTORY = "state"
RECORD_FILE = "record"
_LOOKS_MAX = 3
"""How often a log that is being written to is looked at before damage is believed."""

COVERED = "log: the states cover what is damaged in it: it does no harm, and goes with the next cut"
Progress = Callable[[str, int], None]
"""(what is being read, entries or rows so far)"""


class NotADataDirectory(Exception):
    """There is no log there."""


class GroupReport(msgspec.Struct, frozen=True):
    """One group: its log from ``first`` to ``last`` behind ``base``, its hard state, and the index that its
    state on disk covers; None for what is not there. ``verdict``: "sound", "damaged", or "recovering" where
    it is intact but still lacks what it lost before."""

    group: int
    base: int
    first: int
    last: int
    term: int | None
    vote: int | None
    commit: int | None
    state: int | None
    verdict: str


class Report(msgspec.Struct, frozen=True):
    """What was found. ``damages`` are told with file, group and index; ``notes`` are no damage."""

    path: str
    owner: str
    is_running: bool
    is_sound: bool
    entries: int
    rows: int
    groups: list[GroupReport]
    damages: list[str]
    notes: list[str]


def examine(path: Path, progress: Progress | None = None) -> Report:
    """Check a node's data directory, its log alone, or an embedded memory's directory.

    Raises:
        NotADataDirectory: there is no log in it.
        FormatUnsupported: another version wrote it.
        OSError: it cannot be read.
    """
    told = progress or _silent
    directory = _find_log(path)
    is_running = _is_locked(directory)
    damages: list[str] = []
    notes: list[str] = []
    owner, scan = "", Scan({})
    for _ in range(_LOOKS_MAX if is_running else 1):
        damages, notes = [], []
        owner, scan = _examine_log(directory, damages, notes, lambda count: told("entries", count))
        if not damages:
            break
    if wrong := check_pinned(path):
        damages.append(f"{BOOTSTRAP_FILE}: {wrong}: copy it from another node that began with the cluster")
    damaged = {each.group for each in scan.damages} | {group for group, _, _ in lost_entries(scan)}
    if scan.damages:
        damaged |= {None}
    found = len(damages)
    states, rows = _examine_states(path, is_running, damages, damaged, lambda count: told("rows", count))
    is_state_damaged = len(damages) > found
    may_lack = path == directory and not states  # a log alone: its states may be elsewhere
    groups = [
        _report_group(group, scan, states.get(group), may_lack, damages, damaged, notes)
        for group in sorted({*scan.groups, *scan.marks, *states})
    ]
    if scan.damages and not is_state_damaged and cover(scan, states):
        notes.append(COVERED)
    return Report(str(path), owner, is_running, not damages, scan.entries, rows, groups, damages, notes)


def _silent(what: str, count: int) -> None:
    pass


def _find_log(path: Path) -> Path:
    for directory in (path, path / LOG_DIRECTORY):
        if not directory.is_dir():
            continue
        names = [each.name for each in directory.iterdir()]
        if segment_files(directory) or {HEAD_NAME, MARKS_NAME, "CURRENT"} & set(names):
            return directory
    if not path.exists():
        raise NotADataDirectory(f"{path} does not exist")
    raise NotADataDirectory(
        f"{path} is no data directory: neither a node's, with its log in {LOG_DIRECTORY}/, nor that of an "
        "embedded memory"
    )


def _is_locked(directory: Path) -> bool:
    try:
        lock = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


# -- the log -----------------------------------------------------------------------------------------------


def _examine_log(
    directory: Path, damages: list[str], notes: list[str], progress: Callable[[int], None]
) -> tuple[str, Scan]:
    head = _read_head(directory, damages)
    if head is None:
        return "", Scan({})
    scan = scan_log(directory, head, lambda group: GroupLog(group, _read_nothing), progress)
    damages += [f"log: {each}" for each in scan.damages]
    damages += [
        f"log: {group_name(group)}: entries {first} to {last} cannot be read"
        for group, first, last in lost_entries(scan)
        if scan.damages
    ]
    if scan.mark_problem:
        damages.append(f"log: {scan.mark_problem}; the log is whole as far as it goes")
    if scan.torn_offset is not None:
        where = f"{scan.paths[scan.last_segment].name}, offset {scan.torn_offset}"
        notes.append(f"log: {where}: a write that a crash tore, acknowledged to nobody")
    return str(head.stamp), scan


def _read_head(directory: Path, damages: list[str]) -> LogHead | None:
    file = head_file(directory)
    try:
        return read_head(directory, file, for_writing=False)
    except LogCorrupted as error:
        damages.append(f"log: {HEAD_NAME}: {error}")
        return None
    finally:
        file.close()


def _read_nothing(group: int, lo: int, hi: int, bytes_max: int) -> NoReturn:
    raise AssertionError("the doctor reads no entries twice")


def _report_group(
    group: int,
    scan: Scan,
    state: SnapshotMeta | None,
    may_lack_state: bool,
    damages: list[str],
    damaged: set[int | None],
    notes: list[str],
) -> GroupReport:
    log = scan.groups.get(group) or GroupLog(group, _read_nothing)
    hard = log.hard_state
    base = log.base()
    base_index = base.index if base is not None else 0
    reached = state.index if state is not None else 0
    if reached < base_index and not may_lack_state:
        damaged.add(group)
        damages.append(
            f"state: {group_name(group)}: it reaches to index {reached}, "
            f"but the log begins behind {base_index}"
        )
    elif reached > log.last_index():
        notes.append(f"state: {group_name(group)}: it is newer than the log, at index {reached}")
    verdict = "damaged" if group in damaged else "sound"
    if verdict == "sound" and hard is not None and not hard.is_whole:
        verdict = "recovering"
    return GroupReport(
        group,
        base_index,
        log.first_index(),
        log.last_index(),
        hard.term if hard is not None else None,
        hard.vote if hard is not None else None,
        hard.commit if hard is not None else None,
        state.index if state is not None else None,
        verdict,
    )


# -- the states --------------------------------------------------------------------------------------------


def _examine_states(
    path: Path,
    is_running: bool,
    damages: list[str],
    damaged: set[int | None],
    progress: Callable[[int], None],
) -> tuple[dict[int, SnapshotMeta], int]:
    """What the states cover, by group: of the shards in the store, of the cluster's record in its file."""
    bases: dict[int, SnapshotMeta] = {}
    rows, looks = 0, _LOOKS_MAX
    if (path / STATE_DIRECTORY).is_dir():
        check = check_state(path / STATE_DIRECTORY, progress)
        while check.damages and is_running and (looks := looks - 1):
            check = check_state(path / STATE_DIRECTORY, progress)
        for group, detail in check.damages:
            where = "state" if group is None else f"state: {group_name(group)}"
            damages.append(f"{where}: {detail}")
            damaged.add(group)
        if check.more:
            damages.append(f"state: {check.more} more")
        bases.update(check.bases)
        rows = check.rows
    try:
        record = read_record_file(path / RECORD_FILE)
    except (ValueError, msgspec.MsgspecError) as error:
        damages.append(f"{RECORD_FILE}: {error}")
        damaged.add(META_GROUP)
    else:
        if record is not None:
            bases[META_GROUP] = record[0]
    return bases, rows
