"""`memraft timeline` and `memraft history`: what happened with an entity, or with one record."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import (
    add_connection,
    add_json,
    add_read,
    given,
    open_memory,
    parse_when,
    read_options,
)
from memraft_server.cli.errors import UsageError
from memraft_server.cli.output import moment, print_floor, print_json, table


def register(commands: Any) -> None:
    """Adds `timeline` and `history`."""
    timeline = _command(commands, "timeline", _timeline, "all that happened with an entity, in commit order")
    timeline.add_argument("entity", help="its name, as in `memory remember --about`")
    timeline.add_argument("--since", type=parse_when, metavar="WHEN", help="only from then on")
    history = _command(commands, "history", _history, "the versions of one record of any kind, newest first")
    history.add_argument("kind", help="document, state, counter, gate, node, edge or memory")
    history.add_argument("name", nargs="+", help="its key, name or id; of an edge SOURCE TYPE TARGET")


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--limit", type=int, default=100, help="at most about this many (100)")
    parser.add_argument("--cursor", help="continue a listing")
    add_connection(parser)
    add_json(parser)
    add_read(parser)
    return parser


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"limit": arguments.limit, **given(cursor=arguments.cursor), **read_options(arguments)}


def _timeline(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.timeline(arguments.entity, **given(since=arguments.since), **_options(arguments))
    return print_happenings(arguments, found)


def _history(arguments: argparse.Namespace) -> int:
    parts = 3 if arguments.kind == "edge" else 1
    if len(arguments.name) != parts:
        raise UsageError("an edge is named by SOURCE TYPE TARGET, everything else by one name")
    name = tuple(arguments.name) if parts == 3 else arguments.name[0]
    with open_memory(arguments) as memory:
        found = memory.history_of(arguments.kind, name, **_options(arguments))
    return print_happenings(arguments, found)


def print_happenings(arguments: argparse.Namespace, found: Any) -> int:
    """Prints a page of what happened; returns the exit status."""
    if arguments.json:
        items = [
            {**msgspec.to_builtins(item), "log_index": item.log_index, "at": moment(item.at)}
            for item in found
        ]
        print_json({"items": items, "log_index": found.log_index, "next_cursor": found.next_cursor})
        return 0
    rows = [
        [
            item.log_index,
            moment(item.at),
            item.agent,
            item.run,
            f"{item.kind} {' '.join(item.name) if isinstance(item.name, tuple) else item.name}",
            item.what,
            msgspec.json.encode(item.value).decode() if item.value is not None else "",
        ]
        for item in found
    ]
    print(table(["LOG INDEX", "AT", "AGENT", "RUN", "WHAT", "HAPPENED", "VALUE"], rows, right="r"))
    if found.next_cursor:
        print(f"more: --cursor {found.next_cursor}")
    print_floor(found)
    return 0
