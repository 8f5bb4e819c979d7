"""`memraft reembed`: moves the memories of a namespace to another embedding model, while they are written and
recalled. It may be broken off: the same command goes on."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import add_connection, add_json, open_memory
from memraft_server.cli.embedders import add_embedder, embedder_of
from memraft_server.cli.errors import UsageError
from memraft_server.cli.output import print_json, progress


def register(commands: Any) -> None:
    """Adds `reembed`."""
    parser = commands.add_parser(
        "reembed", help="move memories to another embedding model, online", description=__doc__
    )
    parser.set_defaults(run=_run)
    parser.add_argument("place", metavar="NAMESPACE", nargs="?", help="which memories; or --namespace")
    add_embedder(parser, "what embeds them from now on")
    parser.add_argument(
        "--texts", type=int, default=256, metavar="N", help="texts that are embedded together (256)"
    )
    other = parser.add_mutually_exclusive_group()
    other.add_argument(
        "--show", action="store_true", help="only tell which models there are, and what is left"
    )
    other.add_argument("--cancel", action="store_true", help="give up the move that is under way")
    add_connection(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    arguments.namespace = arguments.place or arguments.namespace
    if not (arguments.show or arguments.cancel or arguments.embedder):
        raise UsageError("say what embeds the memories from now on: --embedder; see --help")
    if arguments.show:
        return _show(arguments)
    if arguments.cancel:
        return _cancel(arguments)
    embedder = embedder_of(arguments.embedder)
    with open_memory(arguments) as memory, progress(quiet=arguments.json) as shown:
        done = memory.reembed(
            embedder,
            texts_together=arguments.texts,
            progress=lambda so_far: shown.update(f"{so_far.stored} embedded, {so_far.remaining} left"),
        )
    if arguments.json:
        print_json(msgspec.to_builtins(done))
    else:
        print(f"{arguments.namespace} is by {done.fingerprint}: {done.stored} memories embedded")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        models = memory.embedding_models()
    if arguments.json:
        print_json(msgspec.to_builtins(models))
        return 0
    if not models.fingerprint:
        print(f"{arguments.namespace} has no embeddings")
    elif models.next_fingerprint:
        print(
            f"{arguments.namespace} moves from {models.fingerprint} to {models.next_fingerprint}: "
            f"{models.remaining} memories left"
        )
    else:
        print(
            f"{arguments.namespace} is by {models.fingerprint}: {models.remaining} memories without embedding"
        )
    return 0


def _cancel(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        cancelled = memory.cancel_reembed()
    if arguments.json:
        print_json({"cancelled": cancelled})
    else:
        print("given up" if cancelled else "no move was under way")
    return 0
