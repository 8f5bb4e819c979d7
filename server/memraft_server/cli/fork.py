"""`memraft fork`: forks of a namespace, what differs in them, and merging them."""

import argparse
from types import SimpleNamespace
from typing import Any

from memraft_server.cli.connection import (
    add_action,
    add_read,
    given,
    open_memory,
    parse_at,
    read_options,
)
from memraft_server.cli.errors import CliError, UsageError
from memraft_server.cli.output import moment, print_json, table
from memraft_server.cli.run import print_records

LEAST_VERSION = 1 << 20
"""That of what the first entry of a log wrote first: `log_index << 20 | position in the entry`."""


def register(commands: Any) -> None:
    """Adds `fork` and its subcommands."""
    group = commands.add_parser(
        "fork", help="forks of a namespace: make, compare, merge", description=__doc__
    )
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    make = add_action(actions, "make", _make, "make a fork; its namespace is NAMESPACE@NAME")
    make.add_argument("name")
    moment_of = make.add_mutually_exclusive_group()
    moment_of.add_argument(
        "--at", type=parse_at, metavar="WHEN", help="as of then: a log index, a time, an age"
    )
    moment_of.add_argument(
        "--before",
        type=int,
        metavar="VERSION",
        help="as of just before what has this version, as --json tells",
    )

    listing = add_action(actions, "list", _list, "list the forks")
    listing.add_argument("--limit", type=int, default=1000, help="at most this many (1000)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)

    drop = add_action(actions, "drop", _drop, "drop a fork and what was written in it")
    drop.add_argument("name")

    merge = add_action(actions, "merge", _merge, "take what was written in a fork over into its parent")
    merge.add_argument("name")
    merge.add_argument(
        "--on-conflict",
        choices=("fail", "ours", "theirs"),
        default="fail",
        help="where both changed the same: merge nothing, keep the parent's, take the fork's",
    )

    diff = add_action(
        actions, "diff", _diff, "list what is not the same at two moments, or in a fork and its parent"
    )
    diff.add_argument("--from-at", type=parse_at, metavar="WHEN", help="the first side as of then; else now")
    diff.add_argument("--to-at", type=parse_at, metavar="WHEN", help="the second side as of then; else now")
    diff.add_argument(
        "--from-namespace", default="", metavar="NAMESPACE", help="of the first side; else the same"
    )
    diff.add_argument("--kind", action="append", metavar="KIND", help="only of this kind; may be repeated")
    diff.add_argument("--limit", type=int, default=1000, help="at most this many (1000)")
    diff.add_argument("--cursor", help="continue a listing")


def _make(arguments: argparse.Namespace) -> int:
    before: Any = None
    if arguments.before is not None:
        if arguments.before < LEAST_VERSION:
            raise UsageError(
                f"--before {arguments.before} is no version: versions begin at {LEAST_VERSION}; "
                "--at takes a log index, and has what was written at it"
            )
        before = SimpleNamespace(version=arguments.before)
    with open_memory(arguments) as memory:
        fork = memory.fork(arguments.name, **given(at=arguments.at), before=before)
    if arguments.json:
        print_json({"namespace": fork.namespace})
    else:
        print(f"made {fork.namespace}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        options = {**given(cursor=arguments.cursor), **read_options(arguments)}
        forks = memory.list_forks(limit=arguments.limit, **options)
    if arguments.json:
        print_json({"items": list(forks), "next_cursor": forks.next_cursor})
        return 0
    rows = [[each.name, moment(each.base_at), moment(each.at), each.agent] for each in forks]
    print(table(["FORK", "AS OF", "MADE", "BY"], rows))
    if forks.next_cursor:
        print(f"more: --cursor {forks.next_cursor}")
    return 0


def _drop(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        dropped = memory.drop_fork(arguments.name)
    if not dropped.found:
        raise CliError(f"no fork {arguments.name!r} in {arguments.namespace}")
    if arguments.json:
        print_json({"fork": arguments.name, "log_index": dropped.log_index})
    else:
        print(f"dropped {arguments.name}")
    return 0


def _merge(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        merged = memory.merge(arguments.name, on_conflict=arguments.on_conflict)
    if arguments.json:
        print_json(merged)
        return 0
    decided = f", {merged.conflict_count} conflicts: {arguments.on_conflict}" if merged.conflict_count else ""
    print(f"merged {merged.merged} records and events of {arguments.name}{decided}")
    return 0


def _diff(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.diff(
            arguments.from_at,
            arguments.to_at,
            from_namespace=arguments.from_namespace,
            limit=arguments.limit,
            **given(kinds=arguments.kind, cursor=arguments.cursor),
        )
    if arguments.json:
        print_json({"items": list(found), "next_cursor": found.next_cursor})
        return 0
    print_records(found)
    if not found:
        print("nothing differs")
    if found.next_cursor:
        print(f"more: --cursor {found.next_cursor}")
    return 0
