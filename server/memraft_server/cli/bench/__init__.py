"""`memraft bench`: speed and memory, each figure beside what it should reach."""

import argparse
import os
from functools import partial
from importlib import import_module
from typing import Any

from memraft_server.cli.connection import add_json
from memraft_server.cli.embedders import add_embedder
from memraft_server.cli.serve import BLAS_THREADS


def register(commands: Any) -> None:
    """Adds `bench` and its subcommands."""
    group = commands.add_parser("bench", help="measure speed and memory", description=__doc__)
    actions = group.add_subparsers(metavar="WHAT", required=True, dest="action")
    for name, text in (
        ("kv", "documents: embedded, over gRPC on one and on three nodes, memory per record"),
        ("stream", "events: appended many and one at a time, read and verified, in process"),
        ("vector", "nearest vectors: latency, and recall against the exact answer"),
        (
            "recall",
            "recall: nearest vectors, with a hop of graph, all of it, in process and on three nodes;"
            " with --input, how much it finds in real conversations",
        ),
        ("graph", "neighbours in a graph and its index, in process"),
        ("fork", "forks of namespaces small and large, replays, reads of the past from the disk, in process"),
    ):
        parser = actions.add_parser(name, help=text, description=text)
        parser.set_defaults(run=partial(_run, name))
        parser.add_argument("--quick", action="store_true", help="few and short rounds: shows that it works")
        add_json(parser)
        if name == "kv":
            parser.add_argument("--embedded", action="store_true", help="in process only")
        if name == "recall":
            _recall_arguments(parser)


def _run(name: str, arguments: argparse.Namespace) -> int:
    os.environ.setdefault(BLAS_THREADS, "1")  # as a node has it, and before numpy is loaded
    status: int = import_module(f"memraft_server.cli.bench.{name}").run(arguments)
    return status


def _recall_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input", metavar="FILE", help="a LoCoMo JSON file: how much recall finds in its conversations"
    )
    add_embedder(parser, "with --input: what embeds (static)")
    parser.add_argument("--cluster", action="store_true", help="with --input: on three nodes, over gRPC")
    parser.add_argument(
        "--memories", type=int, metavar="N", help="without --input: over so many, in process only (10,000)"
    )
