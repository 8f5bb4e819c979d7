"""`memraft counter`: numbers that many add to."""

import argparse
from typing import Any

from memraft_server.cli.connection import add_connection, add_json, add_read, open_memory, read_options
from memraft_server.cli.output import print_json


def register(commands: Any) -> None:
    """Adds `counter` and its subcommands."""
    group = commands.add_parser("counter", help="counters: get, add", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")
    get = _action(actions, "get", _get, "print a counter; 0 where nothing was ever added")
    add_read(get)
    add = _action(actions, "add", _add, "add to a counter and print what it is now")
    add.add_argument("delta", type=int, nargs="?", default=1, help="how much (1)")


def _action(actions: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("name")
    add_connection(parser)
    add_json(parser)
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
