"""`memraft kv schema`: what documents must be like."""

import argparse
from typing import Any

from memraft_server.cli.connection import (
    add_action,
    add_read,
    given,
    open_memory,
    read_options,
    value_of,
)
from memraft_server.cli.errors import CliError
from memraft_server.cli.output import json_text, moment, print_json, print_written, record_fields, table


def register(kv_actions: Any) -> None:
    """Adds `schema` and its subcommands to those of `kv`."""
    about = "the JSON Schema that documents under a prefix must be like"
    group = kv_actions.add_parser("schema", help=about, description=about)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="schema_action")
    new = add_action(actions, "set", _set_schema, "set the schema of a prefix; documents that are there stay")
    new.add_argument("prefix", help="of the keys; '' for all that no longer prefix is set for")
    new.add_argument("schema", help="JSON Schema; - reads standard input")
    new.set_defaults(string=False)
    remove = add_action(actions, "remove", _remove_schema, "remove the schema of a prefix")
    remove.add_argument("prefix")
    listing = add_action(actions, "list", _list_schemas, "list schemas in the order of their prefixes")
    listing.add_argument("prefix", nargs="?", default="", help="only prefixes that begin with this")
    listing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)


def _set_schema(arguments: argparse.Namespace) -> int:
    schema = value_of(arguments, "schema")
    with open_memory(arguments, makes=True) as memory:
        written = memory.set_schema(arguments.prefix, schema)
    print_written(arguments, written, f"set the schema of {arguments.prefix!r}")
    return 0


def _remove_schema(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        removed = memory.remove_schema(arguments.prefix)
    if not removed.found:
        raise CliError(f"no schema for prefix {arguments.prefix!r} in {arguments.namespace}")
    print_written(arguments, removed, f"removed the schema of {arguments.prefix!r}")
    return 0


def _list_schemas(arguments: argparse.Namespace) -> int:
    options = given(cursor=arguments.cursor) | read_options(arguments)
    with open_memory(arguments) as memory:
        found = memory.schemas(arguments.prefix, limit=arguments.limit, **options)
    if arguments.json:
        items = [{**record_fields(each), "schema": each.schema} for each in found]
        print_json({"items": items, "log_index": found.log_index, "next_cursor": found.next_cursor})
        return 0
    rows = [[repr(each.prefix), moment(each.at), each.agent, json_text(each.schema)] for each in found]
    print(table(["PREFIX", "AT", "AGENT", "SCHEMA"], rows))
    if found.next_cursor:
        print(f"more: --cursor {found.next_cursor}")
    return 0
