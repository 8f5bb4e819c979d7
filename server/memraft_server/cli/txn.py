"""`memraft txn`: writes of any kind from a file, all of them or none."""

import argparse
import inspect
import sys
from pathlib import Path
from typing import Any

import msgspec

from memraft_server.cli.connection import add_connection, add_json, open_memory
from memraft_server.cli.errors import UsageError
from memraft_server.cli.output import print_json

CALLS = (
    "put", "delete", "append", "cas", "cas_remove", "add", "open_gate", "close_gate", "remember",
    "update_memory", "forget", "upsert", "delete_vector", "put_node", "delete_node", "put_edge",
    "delete_edge",
)  # fmt: skip
"""What a line may be: calls of a transaction in the client."""


def register(commands: Any) -> None:
    """Adds `txn`."""
    parser = commands.add_parser(
        "txn",
        help="writes of any kind from a file, all of them or none",
        description='Each line is one write, such as {"put": {"key": "a", "value": 1, "if_version": 0}}: '
        "a call of the client and its arguments. Where one cannot be done, as where an if_version does not "
        f"hold, none is. Calls: {', '.join(CALLS)}.",
    )
    parser.set_defaults(run=_txn)
    parser.add_argument("--file", default="-", help="JSON lines; - reads standard input (-)")
    add_connection(parser)
    add_json(parser)


def _txn(arguments: argparse.Namespace) -> int:
    is_input = arguments.file == "-"
    text = sys.stdin.read() if is_input else Path(arguments.file).read_text(encoding="utf-8")
    writes = [_parsed(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not writes:
        raise UsageError(
            f'{arguments.file}: no writes; each line is one, such as {{"delete": {{"key": "a"}}}}'
        )
    with open_memory(arguments, makes=True) as memory, memory.txn() as t:
        for number, call, fields in writes:
            try:
                write = getattr(t, call)
                inspect.signature(write).bind(**fields)  # it names the argument, and not our classes
                write(**fields)
            except TypeError as error:
                raise UsageError(f"line {number}: {call}: {error}") from error
    if arguments.json:
        print_json({"writes": len(writes), "log_index": t.log_index})
    else:
        print(f"done: {len(writes)} writes, log index {t.log_index}")
    return 0


def _parsed(number: int, line: str) -> tuple[int, str, dict[str, Any]]:
    try:
        found = msgspec.json.decode(line.encode(), type=dict[str, dict[str, Any]])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise UsageError(f"line {number}: {error}") from error
    if len(found) != 1 or next(iter(found)) not in CALLS:
        raise UsageError(f"line {number}: one of {', '.join(CALLS)}, not {', '.join(found) or 'nothing'}")
    [(call, fields)] = found.items()
    return number, call, fields
