"""What a node's log says last about why it ended, in one line."""

from pathlib import Path
from typing import Any

import msgspec

TAIL_BYTES = 64 * 1024
"""As much of the end of a log is looked at."""

_ERRORS = frozenset({"error", "critical"})


def last_error(path: Path, begin: int = 0) -> str:
    """The message of the last error in a log; of a traceback its last line; empty where there is none.

    begin: bytes of the log that were there before the node was started: they tell of an earlier life.
    """
    try:
        with path.open("rb") as log:
            end = log.seek(0, 2)
            is_cut = end - TAIL_BYTES > begin
            log.seek(end - TAIL_BYTES if is_cut else begin)
            lines = log.read().decode("utf-8", "replace").splitlines()[is_cut:]
    except OSError:
        return ""
    for line in reversed(lines):
        message = _message(line)
        if message:
            return message
    return ""


def _message(line: str) -> str:
    if not line.startswith("{"):
        return line.strip().removeprefix("memraft: ")
    try:
        record = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        return line  # cut off while it was written
    if record.get("level") not in _ERRORS:
        return ""
    event, error = record.get("event", ""), record.get("error", "")
    if error:
        return f"{event}: {error}"
    trace = str(record.get("exception", "")).strip().splitlines()
    return f"{event}: {trace[-1]}" if trace else str(event)
