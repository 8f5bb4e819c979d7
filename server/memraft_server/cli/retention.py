"""`memraft retention`: how much of the past of a namespace is kept."""

import argparse
from datetime import timedelta
from typing import Any

from memraft_server.cli.connection import (
    add_action,
    add_read,
    open_memory,
    parse_age,
    read_options,
)
from memraft_server.cli.errors import UsageError
from memraft_server.cli.output import moment, print_json, table


def register(commands: Any) -> None:
    """Adds `retention` and its subcommands."""
    about = "how much of the past of a namespace is kept"
    group = commands.add_parser("retention", help=about, description=about)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")
    show = add_action(actions, "show", _show, "print what is kept, and how far back reads reach")
    add_read(show)
    change = add_action(
        actions, "set", _set, "change limits, leave the others; what is over one is forgotten for ever"
    )
    change.add_argument("--versions", type=int, metavar="N", help="of each record the newest N; 0: all")
    change.add_argument(
        "--age", type=parse_age, metavar="AGE", help="what was replaced or deleted for so long (12h, 30d)"
    )
    change.add_argument("--events", type=int, metavar="N", help="of each stream the newest N; 0: all")
    change.add_argument("--all", action="store_true", help="no limit: keep everything from now on")


def _set(arguments: argparse.Namespace) -> int:
    age: timedelta | None = arguments.age
    age_ms = age // timedelta(milliseconds=1) if age is not None else None
    limits = {"versions": arguments.versions, "age_ms": age_ms, "events": arguments.events}
    if arguments.all == any(limit is not None for limit in limits.values()):
        raise UsageError("give at least one of --versions, --age and --events, or else --all")
    with open_memory(arguments, makes=True) as memory:
        memory.set_retention(**dict.fromkeys(limits, 0) if arguments.all else limits)
        return _print(arguments, memory.retention())


def _show(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        return _print(arguments, memory.retention(**read_options(arguments)))


def _print(arguments: argparse.Namespace, found: Any) -> int:
    if arguments.json:
        print_json(found)
        return 0
    age = str(timedelta(milliseconds=found.age_ms)).removesuffix(", 0:00:00") if found.age_ms else "for ever"
    reach = f"log index {found.floor_index}, {moment(found.floor)}" if found.floor_index else "the beginning"
    rows = [
        ["versions of a record", f"{found.versions:,}" if found.versions else "all"],
        ["what was replaced", age],
        ["events of a stream", f"{found.events:,}" if found.events else "all"],
        ["reads reach back to", reach],
    ]
    if found.held_back_by:
        rows.append(["held back by", ", ".join(found.held_back_by)])
    print(table(["KEPT", ""], rows))
    return 0
