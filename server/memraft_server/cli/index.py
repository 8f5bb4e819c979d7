"""`memraft index`: a namespace in a few words, as Markdown for an agent's context."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import add_connection, add_json, add_read, open_memory, read_options
from memraft_server.cli.output import print_json


def register(commands: Any) -> None:
    """Adds `index`."""
    parser = commands.add_parser(
        "index", help="a namespace in a few words, for an agent", description=__doc__
    )
    parser.set_defaults(run=_index)
    parser.add_argument("--tokens", type=int, default=1_500, help="at most so many, 500 to 2000 (1500)")
    add_connection(parser)
    add_json(parser)
    add_read(parser)


def _index(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        index = memory.index(tokens=arguments.tokens, **read_options(arguments))
    if arguments.json:
        print_json(msgspec.to_builtins(index))
    else:
        print(index.text, end="")
    return 0
