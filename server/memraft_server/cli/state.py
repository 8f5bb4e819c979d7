"""`memraft state`: named records, each change of which says which version it replaces."""

import argparse
from typing import Any

from memraft_server.cli.connection import (
    add_action,
    add_read,
    add_value,
    given,
    open_memory,
    read_options,
    value_of,
)
from memraft_server.cli.errors import CliError
from memraft_server.cli.output import json_text, print_json, print_records, print_written, record_fields
from memraft_server.cli.timeline import print_happenings


def register(commands: Any) -> None:
    """Adds `state` and its subcommands."""
    group = commands.add_parser(
        "state", help="named records: read, list, compare and swap, history", description=__doc__
    )
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    get = add_action(actions, "get", _get, "print a record")
    get.add_argument("name")
    add_read(get)

    listing = add_action(actions, "list", _list, "list records in order of name")
    listing.add_argument("--prefix", default="", help="only names that begin with this")
    listing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)

    cas = add_action(
        actions, "cas", _cas, "replace a record if it has the version that you saw; exit status 1 if not"
    )
    cas.add_argument("name")
    add_value(cas, "value")
    _add_version(cas, "the version that it must have; 0: there must be none")

    remove = add_action(
        actions, "remove", _remove, "remove a record if it has the version that you saw; exit status 1 if not"
    )
    remove.add_argument("name")
    _add_version(remove, "the version that it must have")

    history = add_action(actions, "history", _history, "list the versions of a record, newest first")
    history.add_argument("name")
    history.add_argument("--limit", type=int, default=20, help="at most this many (20)")
    history.add_argument("--cursor", help="continue a listing")
    add_read(history)


def _add_version(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--if-version", type=int, metavar="V", required=True, help=text)


def _get(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        record = memory.state(arguments.name, **read_options(arguments))
    if record is None:
        raise CliError(f"no record {arguments.name!r} in {arguments.namespace}")
    if arguments.json:
        print_json(record_fields(record))
    else:
        print(json_text(record.value))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    options = given(cursor=arguments.cursor) | read_options(arguments)
    with open_memory(arguments) as memory:
        found = memory.states(arguments.prefix, limit=arguments.limit, **options)
    return print_records(arguments, found, "NAME")


def _cas(arguments: argparse.Namespace) -> int:
    value = value_of(arguments, "value")
    with open_memory(arguments, makes=True) as memory:
        swap = memory.cas(arguments.name, value, expected_version=arguments.if_version)
    return _swapped(arguments, swap, f"stored {arguments.name}")


def _remove(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        swap = memory.cas_remove(arguments.name, expected_version=arguments.if_version)
    return _swapped(arguments, swap, f"removed {arguments.name}")


def _swapped(arguments: argparse.Namespace, swap: Any, text: str) -> int:
    if swap.swapped or arguments.json:
        print_written(arguments, swap, text)
        return 0 if swap.swapped else 1
    if not swap.version:
        raise CliError(f"there is no record {arguments.name!r}, so it has no version {arguments.if_version}")
    raise CliError(
        f"record {arguments.name!r} has version {swap.version}, not {arguments.if_version}; "
        f"it is {json_text(swap.current)} now"
    )


def _history(arguments: argparse.Namespace) -> int:
    options = given(cursor=arguments.cursor) | read_options(arguments)
    with open_memory(arguments) as memory:
        found = memory.history_of("state", arguments.name, limit=arguments.limit, **options)
    return print_happenings(arguments, found)
