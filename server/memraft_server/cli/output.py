"""How results look: tables and durations for a person, JSON for a program, progress while one waits."""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

PROGRESS_INTERVAL_S = 0.1
"""A terminal is redrawn at most this often."""

TEXT_WIDTH = 72
"""Texts are cut to this in tables; --json shows them whole."""

_CLEAR_LINE = "\r\x1b[2K"


def print_json(value: Any) -> None:
    """Prints `value` (anything msgspec can encode) as indented JSON on standard output."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def json_text(value: Any) -> str:
    """`value` as JSON in one line."""
    return msgspec.json.encode(value).decode()


def record_fields(record: Any) -> dict[str, Any]:
    """A record as JSON shows it: with the log index that `--at` takes, and its time readable."""
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return {**fields, "log_index": record.log_index, "at": moment(record.at)}


def cut(text: str, width: int = TEXT_WIDTH) -> str:
    """A text as a table shows it: in one line, and not all of a long one."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def print_written(arguments: argparse.Namespace, written: Any, text: str) -> None:
    """Prints what was done (`text`), and when; with --json the result."""
    if arguments.json:
        print_json(record_fields(written))
    else:
        print(f"{text}: version {written.version}, log index {written.log_index}, {moment(written.at)}")


def duration(seconds: float) -> str:
    """A duration in the unit that suits its size: `850 ns`, `2.40 µs`, `13.0 ms`, `1.60 s`, `3 min`."""
    size = abs(seconds)
    if size >= 120:
        return f"{seconds / 60:.0f} min"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if size >= scale:
            return f"{_short(seconds / scale)} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def _short(number: float) -> str:
    if abs(number) >= 100:
        return f"{number:.0f}"
    return f"{number:.1f}" if abs(number) >= 10 else f"{number:.2f}"


def count(number: float) -> str:
    """A number with thousands apart: `12,345`."""
    return f"{number:,.0f}"


def size(number_bytes: float) -> str:
    """A size in bytes with a binary unit: `812 B`, `1.4 KiB`, `230 MiB`."""
    amount = float(number_bytes)
    for unit in ("B", "KiB", "MiB"):
        if abs(amount) < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{_short(amount)} {unit}"
        amount /= 1024
    return f"{_short(amount)} GiB"


def moment(at: datetime) -> str:
    """A moment in UTC to the millisecond, in the form that `--at` takes."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], right: str = "", indent: int = 0) -> str:
    """Columns lined up under their headers.

    right: a letter for each column, `r` where it is set to the right; shorter than the row: the rest left.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [
        max([len(header), *(len(row[column]) for row in cells)]) for column, header in enumerate(headers)
    ]
    lines = [headers, *cells]
    margin = " " * indent
    return "\n".join(
        margin
        + "  ".join(
            cell.rjust(width) if right[column : column + 1] == "r" else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


class Progress:
    """A line on standard error that says what is going on, for as long as it goes on.

    Shown on a terminal only, and not beside JSON: logs and programs get the results alone.
    """

    def __init__(self, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self.shown = not quiet and self._stream.isatty()
        self._drawn_at = 0.0

    def update(self, text: str) -> None:
        """Replaces the line by `text`, unless it was replaced a moment ago."""
        now = time.monotonic()
        if self.shown and now - self._drawn_at >= PROGRESS_INTERVAL_S:
            self._drawn_at = now
            self._stream.write(f"{_CLEAR_LINE}{text}")
            self._stream.flush()

    def step(self, text: str) -> None:
        """Replaces the line by `text` in any case: a new phase begins."""
        self._drawn_at = 0.0
        self.update(text)

    def clear(self) -> None:
        """Removes the line."""
        if self.shown and self._drawn_at:
            self._stream.write(_CLEAR_LINE)
            self._stream.flush()
            self._drawn_at = 0.0


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """A Progress that is removed at the end, however it ends."""
    shown = Progress(quiet)
    try:
        yield shown
    finally:
        shown.clear()


def without_empty(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` without those that are None, empty text or an empty container: JSON without noise."""
    return {name: value for name, value in fields.items() if value not in (None, "", b"", [], {}, ())}


def print_floor(found: Any) -> None:
    """Says under a history what of it may be missing."""
    if found.floor_index:
        print(f"what was replaced before log index {found.floor_index} may have been forgotten by retention")


def print_records(arguments: argparse.Namespace, found: Any, key: str, keys_only: bool = False) -> int:
    """Prints a page of records, whose keys are called `key`; returns the exit status."""
    if arguments.json:
        items = [record_fields(item) for item in found]
        print_json({"items": items, "log_index": found.log_index, "next_cursor": found.next_cursor})
        return 0
    headers = [key, "LOG INDEX", "AT", *([] if keys_only else ["VALUE"])]
    rows = [
        [item.key, item.log_index, moment(item.at), *([] if keys_only else [json_text(item.value)])]
        for item in found
    ]
    print(table(headers, rows, right="lr"))
    if found.next_cursor:
        print(f"more: --cursor {found.next_cursor}")
    return 0
