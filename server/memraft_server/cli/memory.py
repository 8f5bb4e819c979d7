"""`memraft memory`: what agents remember, and finding it again by meaning."""

import argparse
import sys
from typing import Any

import msgspec

from memraft_server.cli import forgetting
from memraft_server.cli.connection import (
    add_action,
    add_read,
    given,
    open_memory,
    parse_json_object,
    parse_when,
    read_options,
)
from memraft_server.cli.embedders import add_embedder, fitting
from memraft_server.cli.errors import CliError
from memraft_server.cli.output import cut, moment, print_json, table, without_empty

K_DEFAULT = 5


def register(commands: Any) -> None:
    """Adds `memory` and its subcommands."""
    group = commands.add_parser("memory", help="what agents remember", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")
    _add_writes(actions)
    _add_reads(actions)
    forgetting.add_actions(actions)


def _add_writes(actions: Any) -> None:
    remember = add_action(actions, "remember", _remember, "store a memory")
    remember.add_argument("text", help="what is remembered; - reads standard input")
    remember.add_argument("--about", help="the entity it is about, such as user:4321")
    remember.add_argument("--kind", help="what kind of memory, such as fact")
    remember.add_argument("--salience", type=float, help="how much it matters, from 0 to 1")
    remember.add_argument("--metadata", metavar="JSON", help="an object to filter by")
    remember.add_argument("--id", help="replace the memory with this id")
    remember.add_argument("--thread", help="the conversation that it is a turn of")
    remember.add_argument("--speaker", help="who said it")
    remember.add_argument("--pin", action="store_true", default=None, help="never forget it to make room")
    remember.add_argument("--ttl-ms", type=int, metavar="MS", help="milliseconds until it is forgotten")
    _add_validity(remember)
    add_embedder(remember, "what embeds the text")

    update = add_action(actions, "update", _update, "change what is known of a memory; its text stays")
    update.add_argument("id")
    update.add_argument("--about", help="the entity it is about; '': none")
    update.add_argument("--kind", help="what kind of memory; '': none")
    update.add_argument("--salience", type=float, help="how much it matters, from 0 to 1")
    update.add_argument("--metadata", metavar="JSON", help="an object in place of the one that it has")
    update.add_argument("--pin", action=argparse.BooleanOptionalAction, help="never forget it to make room")
    update.add_argument(
        "--ttl-ms", type=int, metavar="MS", help="milliseconds from now until it is forgotten; 0: never"
    )
    _add_validity(update)

    forget = add_action(actions, "forget", _forget, "forget a memory; it stays readable with --at")
    forgetting.add_wanted(forget)


def _add_reads(actions: Any) -> None:
    get = add_action(actions, "get", _get, "print a memory's text; --json: all there is to it")
    get.add_argument("id")
    _add_valid_at(get)
    add_read(get)

    recall = add_action(actions, "recall", _recall, "find the memories that answer a query")
    recall.add_argument("query")
    recall.add_argument("-k", "--k", type=int, help="how many at most (5; with --tokens as many as fit)")
    recall.add_argument(
        "--tokens", type=int, metavar="N", help="only so many as have at most N tokens together"
    )
    recall.add_argument("--why", action="store_true", help="say of each why it was found")
    recall.add_argument(
        "--parameters",
        metavar="JSON",
        help='what signals count for, such as {"recency": 0.2, "diversity": 0.3}',
    )
    recall.add_argument("--about", help="only memories about this entity")
    recall.add_argument(
        "--about-hops", type=int, metavar="N", help="and about entities at most N edges from it in the graph"
    )
    recall.add_argument("--turn", help="for which turn; receipts are found by it")
    recall.add_argument("--kind", help="only memories of this kind")
    recall.add_argument("--filter", metavar="JSON", help='over metadata, such as {"lang": "en"}')
    _add_valid_at(recall)
    add_read(recall)
    add_embedder(recall, "what embeds the query")

    listing = add_action(actions, "list", _list, "list memories, newest first")
    listing.add_argument("--about", help="only memories about this entity")
    _add_valid_at(listing)
    listing.add_argument("--limit", type=int, default=20, help="at most this many (20)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)


def _add_validity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="valid_from", type=parse_when, metavar="WHEN", help="it is true from then on"
    )
    parser.add_argument(
        "--until", dest="valid_until", type=parse_when, metavar="WHEN", help="it is true until then"
    )


def _add_valid_at(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--valid-at", type=parse_when, metavar="WHEN", help="only memories that are true in the world then"
    )


def _object(text: str | None, what: str) -> dict[str, Any] | None:
    return None if text is None else parse_json_object(text, what)


def _remember(arguments: argparse.Namespace) -> int:
    options = given(
        about=arguments.about,
        kind=arguments.kind,
        salience=arguments.salience,
        metadata=_object(arguments.metadata, "--metadata"),
        id=arguments.id,
        valid_from=arguments.valid_from,
        valid_until=arguments.valid_until,
        thread=arguments.thread,
        speaker=arguments.speaker,
        pinned=arguments.pin,
        ttl_ms=arguments.ttl_ms,
    )
    text = sys.stdin.read().strip() if arguments.text == "-" else arguments.text
    with open_memory(arguments, makes=True) as memory:
        written = fitting(memory, arguments).remember(text, **options)
    if arguments.json:
        print_json(_fields(written))
    else:
        print(f"remembered as {written.id}: log index {written.log_index}, {moment(written.at)}")
    return 0


def _update(arguments: argparse.Namespace) -> int:
    changes = given(
        about=arguments.about,
        kind=arguments.kind,
        salience=arguments.salience,
        metadata=_object(arguments.metadata, "--metadata"),
        valid_from=arguments.valid_from,
        valid_until=arguments.valid_until,
        pinned=arguments.pin,
        ttl_ms=arguments.ttl_ms,
    )
    if not changes:
        raise CliError(
            "nothing to change: give --about, --kind, --salience, --metadata, --from, --until, --pin "
            "or --ttl-ms"
        )
    with open_memory(arguments) as memory:
        written = memory.update_memory(arguments.id, **changes)
    if arguments.json:
        print_json(_fields(written))
    else:
        print(f"updated: {written.id}, log index {written.log_index}, {moment(written.at)}")
    return 0


def _fields(item: Any) -> dict[str, Any]:
    fields = without_empty(msgspec.to_builtins(item))
    return {**fields, "log_index": item.log_index, "at": moment(item.at)}


def _get(arguments: argparse.Namespace) -> int:
    options = given(valid_at=arguments.valid_at) | read_options(arguments)
    with open_memory(arguments) as memory:
        found = memory.memory(arguments.id, **options)
    if found is None:
        raise CliError(f"no memory with id {arguments.id!r} in {arguments.namespace}")
    if arguments.json:
        print_json(_fields(found))
    else:
        print(found.text)
    return 0


def _recall(arguments: argparse.Namespace) -> int:
    options = given(
        about=arguments.about,
        kind=arguments.kind,
        filter=_object(arguments.filter, "--filter"),
        valid_at=arguments.valid_at,
        tokens=arguments.tokens,
        parameters=_object(arguments.parameters, "--parameters"),
        about_hops=arguments.about_hops,
        turn=arguments.turn,
    ) | read_options(arguments)
    k = arguments.k if arguments.k is not None or arguments.tokens is not None else K_DEFAULT
    with open_memory(arguments) as opened:
        memory = fitting(opened, arguments, **read_options(arguments))
        hits = memory.recall(arguments.query, k=k, **options)
    if arguments.json:
        receipt = hits.receipt.id if hits.receipt is not None else ""
        items = [_fields(hit) for hit in hits]
        print_json({"items": items, "log_index": hits.log_index, "receipt": receipt})
        return 0
    rows = [[f"{hit.score:.3f}", moment(hit.at), hit.agent, hit.about, cut(hit.text)] for hit in hits]
    if not arguments.why:
        print(table(["SCORE", "AT", "AGENT", "ABOUT", "TEXT"], rows, right="r"))
    for hit in hits if arguments.why else ():
        print(f"{cut(hit.text)}\n  {hit.why()}")
    return 0


def _forget(arguments: argparse.Namespace) -> int:
    options = given(reason=arguments.reason)
    if arguments.id is None:
        return forgetting.forget_where(arguments, options)
    with open_memory(arguments) as memory:
        forgotten = memory.forget(arguments.id, **options)
    if not forgotten.found:
        raise CliError(f"no memory with id {arguments.id!r} in {arguments.namespace}")
    if arguments.json:
        print_json(_fields(forgotten))
    else:
        print(f"forgotten: {arguments.id}, log index {forgotten.log_index}, {moment(forgotten.at)}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    options = given(
        about=arguments.about, cursor=arguments.cursor, valid_at=arguments.valid_at
    ) | read_options(arguments)
    with open_memory(arguments) as memory:
        memories = memory.memories(limit=arguments.limit, **options)
    if arguments.json:
        items = [_fields(item) for item in memories]
        print_json({"items": items, "log_index": memories.log_index, "next_cursor": memories.next_cursor})
        return 0
    rows = [[item.id, moment(item.at), item.agent, item.about, cut(item.text)] for item in memories]
    print(table(["ID", "AT", "AGENT", "ABOUT", "TEXT"], rows))
    if memories.next_cursor:
        print(f"more: --cursor {memories.next_cursor}")
    return 0
