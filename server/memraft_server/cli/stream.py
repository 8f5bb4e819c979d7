"""`memraft stream`: append-only events, chained by their hashes."""

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from memraft_server.cli.connection import (
    CONSISTENCIES,
    add_action,
    add_read,
    add_value,
    given,
    open_memory,
    parse_at,
    read_options,
    value_of,
)
from memraft_server.cli.errors import CliError, UsageError
from memraft_server.cli.output import moment, print_json, table


def register(commands: Any) -> None:
    """Adds `stream` and its subcommands."""
    group = commands.add_parser("stream", help="append-only events, chained by hashes", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    append = add_action(actions, "append", _append, "append an event")
    append.add_argument("stream")
    add_value(append, "payload")
    append.add_argument("--type", help="what kind of event")

    read = add_action(actions, "read", _read, "print events in order")
    read.add_argument("stream")
    read.add_argument("--from-sequence", type=int, default=1, metavar="N", help="the first to print")
    read.add_argument("--until-sequence", type=int, metavar="N", help="the last to print")
    read.add_argument("--since", type=_time, metavar="WHEN", help="only those at or after this time")
    read.add_argument("--until", type=_time, metavar="WHEN", help="only those before this time")
    read.add_argument("--newest-first", action="store_true", help="begin with the newest and go back")
    read.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    read.add_argument("--cursor", help="continue a listing")
    add_read(read)

    _register_whole(actions)
    listing = add_action(actions, "list", _list, "list the streams")
    listing.add_argument("prefix", nargs="?", default="", help="only names that begin with this")
    listing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)


def _register_whole(actions: Any) -> None:
    """Adds what works on a stream as a whole."""
    verify = add_action(
        actions, "verify", _verify, "recompute the hash chain; exit status 1 where it is broken"
    )
    verify.add_argument("stream", nargs="?", help="a stream, recomputed where it is stored")
    verify.add_argument("--file", metavar="FILE", help="or an export, recomputed here, without a server")
    verify.add_argument("--head", metavar="HEX", help="with --file: the hash that the last event has to have")
    add_read(verify)

    export = add_action(
        actions, "export", _export, "write a stream to a file that is verified without a server"
    )
    export.add_argument("stream")
    export.add_argument("--out", metavar="FILE", required=True, help="where to; it must not exist")
    add_read(export)

    tail = add_action(actions, "tail", _tail, "print events as they happen, until Ctrl-C")
    tail.add_argument("stream")
    tail.add_argument("--from-sequence", type=int, metavar="N", help="the first to print; else what comes")
    tail.add_argument("--idle-s", type=float, metavar="S", help="end where there was no event for so long")
    tail.add_argument("--consistency", choices=CONSISTENCIES, help="how fresh the replica must be to begin")


def _time(text: str) -> datetime:
    found = parse_at(text)
    if isinstance(found, int):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time (2026-03-01T12:00:00Z) or an age (5m, 2h)")
    return found


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
            newest_first=arguments.newest_first,
            **given(
                until_sequence=arguments.until_sequence,
                since=arguments.since,
                until=arguments.until,
                cursor=arguments.cursor,
            ),
            **read_options(arguments),
        )
    if arguments.json:
        items = [_with_hex(event) for event in events]
        print_json({"items": items, "log_index": events.log_index, "next_cursor": events.next_cursor})
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
    if events.next_cursor:
        print(f"more: --cursor {events.next_cursor}")
    return 0


def _tail(arguments: argparse.Namespace) -> int:
    options = given(
        from_sequence=arguments.from_sequence, idle_s=arguments.idle_s, consistency=arguments.consistency
    )
    with open_memory(arguments) as memory:
        for event in memory.tail(arguments.stream, **options):
            payload = msgspec.json.encode(event.payload).decode()
            if arguments.json:
                print(msgspec.json.encode(_with_hex(event)).decode(), flush=True)
            else:
                print(event.sequence, moment(event.at), event.agent, event.type, payload, flush=True)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    try:
        with Path(arguments.out).open("xb") as file, open_memory(arguments) as memory:
            count = -1  # the first line is no event
            for line in memory.export(arguments.stream, **read_options(arguments)):
                file.write(line)
                count += 1
        if not count:
            Path(arguments.out).unlink()
            raise CliError(f"no stream {arguments.stream!r} in {arguments.namespace}")
    except FileExistsError as error:
        raise CliError(f"{arguments.out} exists already; an export overwrites nothing") from error
    except OSError as error:
        raise CliError(f"{arguments.out}: {error.strerror or error}") from error
    if arguments.json:
        print_json({"out": arguments.out, "count": count})
    else:
        print(f"exported {count} events to {arguments.out}; memraft stream verify --file {arguments.out}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    if (arguments.stream is None) == (arguments.file is None):
        raise UsageError("say what to verify: a stream, or --file FILE with an export of one")
    if arguments.file is not None:
        return _verify_file(arguments)
    if arguments.head is not None:
        raise UsageError("--head goes with --file")
    with open_memory(arguments) as memory:
        verdict = memory.verify(arguments.stream, **read_options(arguments))
    if verdict.intact and not verdict.count:
        raise CliError(f"no stream {arguments.stream!r} in {arguments.namespace}")
    if arguments.json:
        print_json(_with_hex(verdict))
    elif verdict.intact:
        print(f"intact: {verdict.count} events, last hash {verdict.last_hash.hex() or '(none)'}")
    else:
        print(f"broken at sequence {verdict.first_broken_sequence}: {verdict.count} events checked")
    return 0 if verdict.intact else 1


def _verify_file(arguments: argparse.Namespace) -> int:
    from memraft.chain import verify_file
    from memraft.errors import InvalidArgument

    try:
        head = bytes.fromhex(arguments.head) if arguments.head is not None else None
        verdict = verify_file(arguments.file, head=head)
    except InvalidArgument as error:
        raise UsageError(f"--head: {error}") from error
    except ValueError as error:
        raise UsageError(f"--head: {arguments.head!r} is not hexadecimal") from error
    except OSError as error:
        raise CliError(f"{arguments.file}: {error.strerror or error}") from error
    if arguments.json:
        print_json(_with_hex(verdict))
    elif verdict.intact:
        print(f"intact: {verdict.count} events of {verdict.stream}, head {verdict.head.hex() or '(none)'}")
        if verdict.forgotten:
            print(f"the first {verdict.forgotten} events were forgotten before: nothing shows what they were")
        if head is None:
            print("compare the head with one of your own (--head): no chain shows that its end is missing")
    else:
        print(f"broken at line {verdict.line}: {verdict.reason}; {verdict.count} events before it hold")
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
