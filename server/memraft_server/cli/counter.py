"""`memraft counter`: numbers that many add to."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import (
    add_action,
    add_read,
    given,
    open_memory,
    read_options,
)
from memraft_server.cli.output import moment, print_json, table


def register(commands: Any) -> None:
    """Adds `counter` and its subcommands."""
    group = commands.add_parser("counter", help="counters: get, add, list", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")
    get = _action(actions, "get", _get, "print a counter; 0 where nothing was ever added")
    add_read(get)
    add = _action(actions, "add", _add, "add to a counter and print what it is now")
    add.add_argument("delta", type=int, nargs="?", default=1, help="how much (1)")
    listing = _action(actions, "list", _list, "list counters in order of name", named=False)
    listing.add_argument("--prefix", default="", help="only names that begin with this")
    listing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)


def _action(actions: Any, name: str, run: Any, text: str, named: bool = True) -> argparse.ArgumentParser:
    parser = add_action(actions, name, run, text)
    if named:
        parser.add_argument("name")
    return parser


def _tell(arguments: argparse.Namespace, value: int) -> int:
    if arguments.json:
        print_json({"name": arguments.name, "value": value})
    else:
        print(value)
    return 0


def _get(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        return _tell(arguments, memory.counter(arguments.name, **read_options(arguments)))


def _add(arguments: argparse.Namespace) -> int:
    with open_memory(arguments, makes=True) as memory:
        return _tell(arguments, memory.add(arguments.name, arguments.delta))


def _list(arguments: argparse.Namespace) -> int:
    options = given(cursor=arguments.cursor) | read_options(arguments)
    with open_memory(arguments) as memory:
        found = memory.counters(arguments.prefix, limit=arguments.limit, **options)
    if arguments.json:
        items = [msgspec.to_builtins(each) for each in found]
        print_json({"items": items, "log_index": found.log_index, "next_cursor": found.next_cursor})
        return 0
    print(table(["NAME", "VALUE", "LAST ADDED TO"], [[e.name, str(e.value), moment(e.at)] for e in found]))
    if found.next_cursor:
        print(f"more: --cursor {found.next_cursor}")
    return 0
