"""`memraft bench`: speed and memory, each figure beside what it should reach."""

import argparse
from functools import partial
from importlib import import_module
from typing import Any

from memraft_server.cli.connection import add_json


def register(commands: Any) -> None:
    """Adds `bench` and its subcommands."""
    group = commands.add_parser("bench", help="measure speed and memory", description=__doc__)
    actions = group.add_subparsers(metavar="WHAT", required=True, dest="action")
    for name, text in (
        ("kv", "documents: embedded, over gRPC on one and on three nodes, memory per record"),
        ("stream", "events: appended many and one at a time, read and verified, in process"),
        ("vector", "nearest vectors: latency, and recall against the exact answer"),
        ("graph", "neighbours in a graph and its index, in process"),
        ("fork", "forks of namespaces small and large, replays, reads of the past from the disk, in process"),
    ):
        parser = actions.add_parser(name, help=text, description=text)
        parser.set_defaults(run=partial(_run, name))
        parser.add_argument("--quick", action="store_true", help="few and short rounds: shows that it works")
        add_json(parser)


def _run(name: str, arguments: argparse.Namespace) -> int:
    status: int = import_module(f"memraft_server.cli.bench.{name}").run(arguments)
    return status
