"""`memraft kv`: documents under keys."""

import argparse
from typing import Any

from memraft_server.cli import query, schema
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
from memraft_server.cli.output import (
    json_text,
    moment,
    print_floor,
    print_json,
    print_records,
    print_written,
    record_fields,
    table,
)


def register(commands: Any) -> None:
    """Adds `kv` and its subcommands."""
    group = commands.add_parser("kv", help="documents under keys", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    get = add_action(actions, "get", _get, "print a document")
    get.add_argument("key")
    add_read(get)

    put = add_action(actions, "put", _put, "store a document")
    put.add_argument("key")
    add_value(put, "value")
    put.add_argument("--ttl-ms", type=int, metavar="MS", help="milliseconds until it expires")
    put.add_argument(
        "--if-version", type=int, metavar="V", help="only if the key has this version; 0: if it is absent"
    )

    delete = add_action(actions, "delete", _delete, "delete a document; its past stays readable with --at")
    delete.add_argument("key")
    delete.add_argument("--if-version", type=int, metavar="V", help="only if the key has this version")

    listing = add_action(actions, "list", _list, "list documents in key order")
    listing.add_argument("prefix", nargs="?", default="", help="only keys that begin with this")
    listing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    listing.add_argument("--cursor", help="continue a listing")
    listing.add_argument("--keys-only", action="store_true", help="leave the values out")
    add_read(listing)

    query.register(actions)
    schema.register(actions)

    history = add_action(actions, "history", _history, "list the versions of a document, newest first")
    history.add_argument("key")
    history.add_argument("--limit", type=int, default=20, help="at most this many (20)")
    history.add_argument("--cursor", help="continue a listing")
    add_read(history)


def _get(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        record = memory.record(arguments.key, **read_options(arguments))
    if record is None:
        raise CliError(f"no document under key {arguments.key!r} in {arguments.namespace}")
    if arguments.json:
        print_json(record_fields(record))
    else:
        print(json_text(record.value))
    return 0


def _put(arguments: argparse.Namespace) -> int:
    value = value_of(arguments, "value")
    options = given(ttl_ms=arguments.ttl_ms, if_version=arguments.if_version)
    with open_memory(arguments, makes=True) as memory:
        written = memory.put(arguments.key, value, **options)
    print_written(arguments, written, f"stored {arguments.key}")
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        deleted = memory.delete(arguments.key, **given(if_version=arguments.if_version))
    if not deleted.found:
        raise CliError(f"no document under key {arguments.key!r} in {arguments.namespace}")
    print_written(arguments, deleted, f"deleted {arguments.key}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    options = given(cursor=arguments.cursor) | read_options(arguments)
    with open_memory(arguments) as memory:
        found = memory.list(arguments.prefix, limit=arguments.limit, keys_only=arguments.keys_only, **options)
    return print_records(arguments, found, "KEY", arguments.keys_only)


def _history(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        options = given(cursor=arguments.cursor) | read_options(arguments)
        versions = memory.history(arguments.key, limit=arguments.limit, **options)
    if arguments.json:
        items = [record_fields(item) for item in versions]
        print_json({"items": items, "next_cursor": versions.next_cursor})
        return 0
    rows = [
        [
            item.log_index,
            moment(item.at),
            item.agent,
            f"({item.reason or 'deleted'})" if item.deleted else json_text(item.value),
        ]
        for item in versions
    ]
    print(table(["LOG INDEX", "AT", "AGENT", "VALUE"], rows, right="r"))
    if versions.next_cursor:
        print(f"more: --cursor {versions.next_cursor}")
    print_floor(versions)
    return 0
