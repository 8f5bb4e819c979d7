"""Structured logs through the standard library's ``logging``: one JSON object a line, or text for a terminal.

What a record is about goes into ``extra={"fields": {...}}``; the message stays the same for the same event,
so that it can be counted and searched for.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

import msgspec

from memraft_cluster.groups import META_GROUP, RECORD_LABEL

LEVELS = ("debug", "info", "warning", "error")

_encode = msgspec.json.Encoder(enc_hook=str).encode


class JsonLines(logging.Formatter):
    """``{"ts", "level", "logger", "event", ...fields, "exception"}`` a line, times in UTC."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "ts": _timestamp(record),
            "level": record.levelname.lower(),
            "node": self._node,
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(_fields(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line).decode()


class Text(logging.Formatter):
    """``12:00:00.000 info  n1 event  key=value`` a line, for a person."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        pairs = "".join(f" {key}={value}" for key, value in _fields(record).items())
        clock = _timestamp(record)[11:23]
        line = f"{clock} {record.levelname.lower():<7} {self._node} {record.getMessage()}{pairs}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _fields(record: logging.LogRecord) -> dict[str, object]:
    """What it is about."""
    fields: dict[str, object] = getattr(record, "fields", {})
    if fields.get("group") == META_GROUP:
        return {**fields, "group": RECORD_LABEL}
    return fields


def _timestamp(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


def set_up(level: str, form: str, node: str, stream: TextIO | None = None) -> None:
    """Sends all records of this process to ``stream`` (standard error where left out).

    Args:
        level: one of ``LEVELS``.
        form: ``json`` or ``text``.
        node: stands in every line.
        stream: where lines go.
    """
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines(node) if form == "json" else Text(node))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
