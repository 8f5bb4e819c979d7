"""`memraft vector`: vectors in named collections."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import (
    add_action,
    add_read,
    given,
    open_memory,
    parse_json_object,
    read_options,
)
from memraft_server.cli.errors import CliError, UsageError
from memraft_server.cli.output import json_text, print_json, record_fields, table

METRICS = ("cosine", "dot", "l2")
"""Those of `memraft.types.Metric`, which would bring the client before a command is chosen."""


def register(commands: Any) -> None:
    """Adds `vector` and its subcommands."""
    group = commands.add_parser("vector", help="vectors in named collections", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    create = add_action(
        actions, "create", _create, "create a collection; again with the same settings: nothing"
    )
    create.add_argument("collection")
    create.add_argument("dimension", type=int, help="components of its vectors")
    create.add_argument("--metric", choices=METRICS, help="how nearness is measured (cosine)")
    create.add_argument("--fingerprint", help="what makes its vectors: model, normalisation")

    listing = add_action(actions, "list", _list, "list the collections")
    add_read(listing)

    put = add_action(actions, "put", _put, "store a vector")
    put.add_argument("collection")
    put.add_argument("id")
    put.add_argument("vector", help="a JSON list of numbers")
    put.add_argument("--metadata", metavar="JSON", help="an object to filter by")
    put.add_argument("--fingerprint", help="what made the vector; it must be the collection's")

    search = add_action(actions, "search", _search, "find the nearest vectors")
    search.add_argument("collection")
    search.add_argument("vector", help="a JSON list of numbers")
    search.add_argument("-k", "--k", type=int, default=10, help="how many (10)")
    search.add_argument("--filter", metavar="JSON", help='over metadata, such as {"lang": "en"}')
    search.add_argument("--fingerprint", help="what made the vector; it must be the collection's")
    add_read(search)

    delete = add_action(actions, "delete", _delete, "delete a vector; searches with --at still find it")
    delete.add_argument("collection")
    delete.add_argument("id")


def _vector(arguments: argparse.Namespace) -> list[float]:
    try:
        return msgspec.json.decode(arguments.vector.encode(), type=list[float])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise UsageError(f"the vector must be a JSON list of numbers: {error}") from error


def _object(text: str | None, what: str) -> dict[str, Any] | None:
    return None if text is None else parse_json_object(text, what)


def _written(arguments: argparse.Namespace, written: Any, text: str) -> int:
    if arguments.json:
        print_json(record_fields(written))
    else:
        print(f"{text}: log index {written.log_index}")
    return 0


def _create(arguments: argparse.Namespace) -> int:
    options = given(metric=arguments.metric, fingerprint=arguments.fingerprint)
    with open_memory(arguments, makes=True) as memory:
        created = memory.create_collection(arguments.collection, arguments.dimension, **options)
    what = "created" if created.created else "there is already"
    return _written(arguments, created, f"{what} {arguments.collection}")


def _list(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.collections(**read_options(arguments))
    if arguments.json:
        print_json({"items": [msgspec.to_builtins(each) for each in found], "log_index": found.log_index})
        return 0
    rows = [[each.name, each.dimension, each.metric, each.count, each.fingerprint] for each in found]
    print(table(["COLLECTION", "DIMENSION", "METRIC", "VECTORS", "FINGERPRINT"], rows, right="lrlr"))
    return 0


def _put(arguments: argparse.Namespace) -> int:
    vector = _vector(arguments)
    metadata = _object(arguments.metadata, "--metadata")
    options = given(metadata=metadata, fingerprint=arguments.fingerprint)
    with open_memory(arguments) as memory:
        stored = memory.upsert(arguments.collection, arguments.id, vector, **options)
    return _written(arguments, stored, f"{'replaced' if stored.replaced else 'stored'} {arguments.id}")


def _search(arguments: argparse.Namespace) -> int:
    vector = _vector(arguments)
    options = given(filter=_object(arguments.filter, "--filter"), fingerprint=arguments.fingerprint)
    with open_memory(arguments) as memory:
        found = memory.search(
            arguments.collection, vector, k=arguments.k, **options, **read_options(arguments)
        )
    if arguments.json:
        print_json({"items": [msgspec.to_builtins(each) for each in found], "log_index": found.log_index})
        return 0
    rows = [[f"{each.score:.3f}", each.id, json_text(each.metadata)] for each in found]
    print(table(["SCORE", "ID", "METADATA"], rows, right="r"))
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        deleted = memory.delete_vector(arguments.collection, arguments.id)
    if not deleted.found:
        raise CliError(f"no vector {arguments.id!r} in collection {arguments.collection!r}")
    return _written(arguments, deleted, f"deleted {arguments.id}")
