"""`memraft kv query` and `memraft kv index`: documents by what is in them."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import (
    add_connection,
    add_json,
    add_read,
    given,
    open_memory,
    parse_json_object,
    read_options,
)
from memraft_server.cli.errors import CliError
from memraft_server.cli.output import moment, print_json, table


def register(actions: Any) -> None:
    """Adds `query` and `index` to the actions on documents."""
    text = "find documents by what is in them; docs/queries.md tells the language"
    query = actions.add_parser("query", help=text, description=text)
    query.set_defaults(run=_query)
    query.add_argument(
        "filter", nargs="?", metavar="FILTER", help='such as {"status": "open", "age": {"$gte": 18}}; all: {}'
    )
    query.add_argument("--prefix", help="only keys that begin with this")
    query.add_argument("--start", metavar="KEY", help="only keys at or after this one")
    query.add_argument("--end", metavar="KEY", help="only keys before this one")
    query.add_argument(
        "--sort", action="append", metavar="FIELD", help="--sort=-FIELD for the last first; may be repeated"
    )
    query.add_argument("--field", action="append", metavar="FIELD", help="only this one; may be repeated")
    query.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    query.add_argument("--cursor", help="continue a query; give the same one again")
    query.add_argument(
        "--explain", action="store_true", help="tell which index was used and how much was looked at"
    )
    add_read(query)
    add_connection(query)
    add_json(query)

    text = "indexes that queries use"
    index = actions.add_parser("index", help=text, description=text)
    of_index = index.add_subparsers(metavar="INDEX_ACTION", required=True, dest="index_action")
    for name, run, text in (
        ("declare", _declare, "have an index of documents by a field"),
        ("drop", _drop, "have it no more"),
    ):
        parser = of_index.add_parser(name, help=text, description=text)
        parser.set_defaults(run=run)
        parser.add_argument("field", metavar="FIELD", help="a path with dots, such as customer.city")
        add_connection(parser)
        add_json(parser)
    listing = of_index.add_parser("list", help="list indexes", description="list indexes and how they stand")
    listing.set_defaults(run=_list)
    add_read(listing)
    add_connection(listing)
    add_json(listing)


def _query(arguments: argparse.Namespace) -> int:
    wanted = given(
        prefix=arguments.prefix,
        start=arguments.start,
        end=arguments.end,
        sort=arguments.sort,
        fields=arguments.field,
        cursor=arguments.cursor,
    )
    filter = None if arguments.filter is None else parse_json_object(arguments.filter, "FILTER")
    with open_memory(arguments) as memory:
        found = memory.query(filter, limit=arguments.limit, **wanted, **read_options(arguments))
    if arguments.json:
        items = [
            {"key": each.key, "value": each.value, "log_index": each.log_index, "at": moment(each.at)}
            for each in found
        ]
        about = {"at_index": found.at_index, "scanned": found.scanned, "index_used": found.index_used}
        print_json({"items": items, "next_cursor": found.next_cursor, **about})
        return 0
    rows = [
        [each.key, each.log_index, moment(each.at), msgspec.json.encode(each.value).decode()]
        for each in found
    ]
    print(table(["KEY", "LOG INDEX", "AT", "VALUE"], rows, right="lr"))
    if arguments.explain:
        used = f"index on {found.index_used}" if found.index_used else "no index"
        print(f"{used}, looked at {found.scanned} documents, as of log index {found.at_index}")
    if found.next_cursor:
        print(f"more: --cursor {found.next_cursor}")
    return 0


def _declare(arguments: argparse.Namespace) -> int:
    with open_memory(arguments, makes=True) as memory:
        declared = memory.declare_index(arguments.field)
    if arguments.json:
        print_json({"field": declared.id, "created": declared.created, "log_index": declared.log_index})
    else:
        print(f"{'declared' if declared.created else 'was declared already'}: {declared.id}")
    return 0


def _drop(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        dropped = memory.drop_index(arguments.field)
    if not dropped.found:
        raise CliError(f"no index on {arguments.field!r} in {arguments.namespace}")
    if arguments.json:
        print_json({"field": dropped.id, "log_index": dropped.log_index})
    else:
        print(f"dropped: {dropped.id}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.indexes(**read_options(arguments))
    if arguments.json:
        print_json({"items": [{**msgspec.to_builtins(each), "at": moment(each.at)} for each in found]})
        return 0
    rows = [[each.field, each.state, each.entries, moment(each.at), each.agent] for each in found]
    print(table(["FIELD", "STATE", "ENTRIES", "DECLARED", "AGENT"], rows, right="llr"))
    return 0
