"""Reads a state store from end to end and changes nothing: every row's checksum, every label, every count.

The database is opened read-only, which takes no lock: it may belong to a node that runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from rocksdict import AccessType, Options, Rdict

from memraft_cluster.raft import SnapshotMeta
from memraft_server.machine.facts import CRC_BYTES, ceiling_of, is_beyond, is_intact
from memraft_server.store import _LABEL as LABEL_KEY
from memraft_server.store import _POINTER as POINTER_KEY
from memraft_server.store import _STAMP as STAMP_KEY
from memraft_server.store import FORMAT, SavedState, Stamp

_NOT_NEEDED = frozenset({"LOG", "LOCK", "rocksdict-config.json"})
PROGRESS_ROWS = 10_000
DAMAGES_MAX = 20
"""More are counted, not listed."""


@dataclass(slots=True)
class StateCheck:
    """What a state store holds. ``bases`` is what the states cover, by group."""

    stamp: Stamp | None = None
    bases: dict[int, SnapshotMeta] = field(default_factory=dict)
    damages: list[tuple[int | None, str]] = field(default_factory=list)
    """(group where it is known, what is wrong)"""
    rows: int = 0
    more: int = 0

    def note(self, group: int | None, detail: str) -> None:
        if len(self.damages) < DAMAGES_MAX:
            self.damages.append((group, detail))
        else:
            self.more += 1


def check_state(path: Path, progress: Callable[[int], None] | None = None) -> StateCheck:
    """Check the store in a directory.

    Args:
        path: the directory.
        progress: called now and then with the count of rows so far.
    """
    check = StateCheck()
    with tempfile.TemporaryDirectory() as name:
        # The binding and RocksDB write files of their own wherever they open a database, so they get a
        # directory of links.
        view = Path(name)
        for each in path.iterdir():
            if each.name not in _NOT_NEEDED:
                (view / each.name).symlink_to(each.absolute())
        options = Options(raw_mode=True)
        options.create_if_missing(False)
        options.set_paranoid_checks(True)
        try:
            db: Any = Rdict(name, options, access_type=AccessType.read_only())
        except Exception as error:
            check.note(None, f"it cannot be opened: {str(error).replace(name, str(path))}")
            return check
        try:
            _check(db, check, progress)
        finally:
            db.close()
        check.damages = [(group, detail.replace(name, str(path))) for group, detail in check.damages]
    return check


def _check(db: Any, check: StateCheck, progress: Callable[[int], None] | None) -> None:
    saved: dict[tuple[int, int], SavedState] = {}
    pointers: dict[int, int] = {}
    counts: dict[tuple[int, int], int] = {}
    rows = db.iter()
    rows.seek_to_first()
    while rows.valid():
        key, value = rows.key(), rows.value()
        kind = key[:1]
        if kind == b"r" and len(key) >= LABEL_KEY.size:
            check.rows += 1
            if progress is not None and check.rows % PROGRESS_ROWS == 0:
                progress(check.rows)
            _check_row(check, saved, counts, key, value)
        elif key == STAMP_KEY:
            check.stamp = _decoded(check, None, key, value, Stamp, msgspec.json.decode)
        elif kind == b"m" and len(key) == LABEL_KEY.size:
            _, group, generation = LABEL_KEY.unpack(key)
            label = _decoded(check, group, key, value, SavedState, msgspec.msgpack.decode)
            if label is not None:
                saved[group, generation] = label
        elif kind == b"p" and len(key) == POINTER_KEY.size:
            group = POINTER_KEY.unpack(key)[1]
            generation = _decoded(check, group, key, value, int, msgspec.msgpack.decode)
            if generation is not None:
                pointers[group] = generation
        else:
            check.note(None, f"row {key.hex()} is of no known kind")
        rows.next()
    try:
        rows.status()
    except Exception as error:
        check.note(None, str(error))
    _compare(check, saved, pointers, counts)


def _check_row(
    check: StateCheck,
    saved: dict[tuple[int, int], SavedState],
    counts: dict[tuple[int, int], int],
    key: bytes,
    value: bytes,
) -> None:
    _, group, generation = LABEL_KEY.unpack_from(key)
    own = key[LABEL_KEY.size :]
    if not is_intact(own, value):
        check.note(group, f"row {key.hex()}: its checksum does not fit")
    label = saved.get((group, generation))  # labels come before rows
    if label is not None and not is_beyond(own, ceiling_of(label.label)):
        counts[group, generation] = counts.get((group, generation), 0) + 1


def _decoded(check: StateCheck, group: int | None, key: bytes, value: bytes, kind: Any, decode: Any) -> Any:
    if not is_intact(key, value):
        check.note(group, f"row {key.hex()}: its checksum does not fit")
        return None
    try:
        found = decode(value[:-CRC_BYTES], type=kind)
    except msgspec.MsgspecError as error:
        check.note(group, f"row {key.hex()} cannot be read: {error}")
        return None
    return found


def _compare(
    check: StateCheck,
    saved: dict[tuple[int, int], SavedState],
    pointers: dict[int, int],
    counts: dict[tuple[int, int], int],
) -> None:
    if check.stamp is None and (pointers or counts):
        check.note(None, "it has rows but no stamp that says whose they are")
    elif check.stamp is not None and check.stamp.format != FORMAT:
        check.note(None, f"it has format {check.stamp.format}; this version reads format {FORMAT}")
    for group, generation in sorted(pointers.items()):
        state = saved.get((group, generation))
        if state is None:
            check.note(group, f"the label of generation {generation} is missing")
            continue
        check.bases[group] = state.meta
        held = counts.get((group, generation), 0)
        if held != state.label.rows:
            check.note(group, f"its label counts {state.label.rows} rows, {held} are there")
