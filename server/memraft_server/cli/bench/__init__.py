"""`memraft bench`: speed and memory, each figure beside what it should reach."""

import argparse
from typing import Any

from memraft_server.cli.connection import add_json


def register(commands: Any) -> None:
    """Adds `bench` and its subcommands."""
    group = commands.add_parser("bench", help="measure speed and memory", description=__doc__)
    actions = group.add_subparsers(metavar="WHAT", required=True, dest="action")
    for name, run, text in (
        ("kv", _kv, "documents: embedded, over gRPC on one and on three nodes, memory per record"),
        ("vector", _vector, "nearest vectors: latency, and recall against the exact answer"),
        ("graph", _graph, "neighbours in a graph and its index, in process"),
        ("fork", _fork, "forks of namespaces small and large, and replays, in process"),
    ):
        parser = actions.add_parser(name, help=text, description=text)
        parser.set_defaults(run=run)
        parser.add_argument("--quick", action="store_true", help="few and short rounds: shows that it works")
        add_json(parser)


def _kv(arguments: argparse.Namespace) -> int:
    from memraft_server.cli.bench.kv import run

    return run(arguments)


def _graph(arguments: argparse.Namespace) -> int:
    from memraft_server.cli.bench.graph import run

    return run(arguments)


def _fork(arguments: argparse.Namespace) -> int:
    from memraft_server.cli.bench.fork import run

    return run(arguments)


def _vector(arguments: argparse.Namespace) -> int:
    from memraft_server.cli.bench.vector import run

    return run(arguments)
