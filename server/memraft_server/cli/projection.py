"""`memraft projection`: views that the operator's own code derives; see docs/projections.md."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import (
    add_action,
    add_read,
    open_memory,
    parse_value,
    read_options,
)
from memraft_server.cli.output import print_json, table


def register(commands: Any) -> None:
    """Adds `projection` and its subcommands."""
    group = commands.add_parser(
        "projection", help="views that registered code derives: query, list", description=__doc__
    )
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")
    query = add_action(actions, "query", _query, "ask a projection; prints JSON")
    query.add_argument("name")
    query.add_argument("argument", nargs="?", help="what is asked: JSON, or else a text")
    add_read(query)
    add_action(actions, "list", _list, "list the projections, and how far each is on the node that answers")


def _query(arguments: argparse.Namespace) -> int:
    argument = None if arguments.argument is None else parse_value(arguments.argument)
    with open_memory(arguments) as memory:
        print_json(memory.project(arguments.name, argument, **read_options(arguments)))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.projections()
    if arguments.json:
        items = [{**msgspec.to_builtins(each), "state_hash": each.state_hash.hex()} for each in found]
        print_json({"items": items, "log_index": found.log_index})
        return 0
    rows = [
        [each.name, each.state, str(each.projected_index), each.state_hash.hex()[:16], each.fault]
        for each in found
    ]
    print(table(["NAME", "STATE", "UP TO", "HASH", "FAULT"], rows))
    return 0
