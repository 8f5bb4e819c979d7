"""`memraft stream`: append-only events, chained by their hashes."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import (
    add_connection,
    add_json,
    add_read,
    add_value,
    given,
    open_memory,
    read_options,
    value_of,
)
from memraft_server.cli.output import moment, print_json, table


def register(commands: Any) -> None:
    """Adds `stream` and its subcommands."""
    group = commands.add_parser("stream", help="append-only events, chained by hashes", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    append = _action(actions, "append", _append, "append an event")
    append.add_argument("stream")
    add_value(append, "payload")
    append.add_argument("--type", help="what kind of event")

    read = _action(actions, "read", _read, "print events in order")
    read.add_argument("stream")
    read.add_argument("--from-sequence", type=int, default=1, metavar="N", help="the first to print")
    read.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    add_read(read)

    verify = _action(actions, "verify", _verify, "recompute the hash chain; exit status 1 where it is broken")
    verify.add_argument("stream")
    add_read(verify)

    listing = _action(actions, "list", _list, "list the streams")
    listing.add_argument("prefix", nargs="?", default="", help="only names that begin with this")
    listing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)


def _action(actions: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    add_connection(parser)
    add_json(parser)
    return parser


def _append(arguments: argparse.Namespace) -> int:
    payload = value_of(arguments, "payload")
    with open_memory(arguments, makes=True) as memory:
        event = memory.append(arguments.stream, payload, **given(type=arguments.type))
    if arguments.json:
        print_json(_with_hex(event))
    else:
        print(
            f"appended to {arguments.stream}: sequence {event.sequence}, log index {event.log_index}, "
            f"{moment(event.at)}, hash {event.hash.hex()[:16]}…"
        )
    return 0


def _with_hex(item: Any) -> dict[str, Any]:
    """The fields of `item` with hashes in hexadecimal, as people and other tools write them."""
    fields: dict[str, Any] = msgspec.structs.asdict(item)
    for name, value in fields.items():
        if isinstance(value, bytes):
            fields[name] = value.hex()
    if hasattr(item, "at"):
        fields |= {"log_index": item.log_index, "at": moment(item.at)}
    return fields


def _read(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        events = memory.events(
            arguments.stream,
            from_sequence=arguments.from_sequence,
            limit=arguments.limit,
            **read_options(arguments),
        )
    if arguments.json:
        print_json({"items": [_with_hex(event) for event in events], "log_index": events.log_index})
        return 0
    rows = [
        [
            event.sequence,
            moment(event.at),
            event.agent,
            event.type,
            msgspec.json.encode(event.payload).decode(),
        ]
        for event in events
    ]
    print(table(["SEQUENCE", "AT", "AGENT", "TYPE", "PAYLOAD"], rows, right="r"))
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        verdict = memory.verify(arguments.stream, **read_options(arguments))
    if arguments.json:
        print_json(_with_hex(verdict))
    elif verdict.intact:
        print(f"intact: {verdict.count} events, last hash {verdict.last_hash.hex() or '(none)'}")
    else:
        print(f"broken at sequence {verdict.first_broken_sequence}: {verdict.count} events checked")
    return 0 if verdict.intact else 1


def _list(arguments: argparse.Namespace) -> int:
    options = given(cursor=arguments.cursor) | read_options(arguments)
    with open_memory(arguments) as memory:
        streams = memory.streams(arguments.prefix, limit=arguments.limit, **options)
    if arguments.json:
        items = [msgspec.to_builtins(stream) for stream in streams]
        print_json({"items": items, "log_index": streams.log_index, "next_cursor": streams.next_cursor})
        return 0
    print(table(["STREAM", "EVENTS"], [[each.name, each.last_sequence] for each in streams], right="lr"))
    if streams.next_cursor:
        print(f"more: --cursor {streams.next_cursor}")
    return 0
