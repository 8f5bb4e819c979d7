"""`memraft receipt` and `memraft lineage`: what was recalled, and what is behind an answer."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import (
    add_action,
    add_connection,
    add_json,
    add_read,
    given,
    open_memory,
    read_options,
)
from memraft_server.cli.errors import CliError
from memraft_server.cli.output import cut, moment, print_json, print_written, table, without_empty

TEXT_WIDTH = 60
"""Texts are cut to this in tables; --json shows them whole."""


def register(commands: Any) -> None:
    """Adds `receipt` with its subcommands, and `lineage`."""
    about = "what was recalled, by whom, and from which state"
    group = commands.add_parser("receipt", help=about, description=about)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    show = add_action(actions, "show", _show, "print a receipt: the query and what it found, with reasons")
    show.add_argument("receipt", help="its id, as a recall tells it")
    add_read(show)

    listing = add_action(actions, "list", _list, "list receipts of recalls, newest first")
    listing.add_argument("--run", dest="of_run", metavar="RUN", help="only those of this run")
    listing.add_argument("--turn", help="only those for this turn")
    listing.add_argument("--by", metavar="AGENT", help="only those of this agent")
    listing.add_argument("--limit", type=int, default=20, help="at most this many (20)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)

    tie = add_action(actions, "influence", _influence, "tie an answer to the memories it was made from")
    tie.add_argument("receipt", help="of the recall")
    tie.add_argument("answer", help="any id of the answer")
    tie.add_argument("--used", nargs="+", metavar="ID", help="memories that were used; left out: all")

    about = "walk back from an answer to its recalls, their memories and who wrote those"
    lineage = commands.add_parser("lineage", help=about, description=about)
    lineage.set_defaults(run=_lineage)
    lineage.add_argument("answer", help="its id, as `receipt influence` was given it")
    add_connection(lineage)
    add_json(lineage)
    add_read(lineage)


def _show(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.receipt(arguments.receipt, **read_options(arguments))
    if arguments.json:
        print_json(_fields(found))
        return 0
    rows = [
        ["query", found.query],
        ["by", " ".join(filter(None, (found.agent, found.run, found.turn)))],
        ["answered", moment(found.recalled_at)],
        ["searched", f"log index {found.log_index}, {moment(found.at)}"],
        ["embeddings", found.fingerprint],
    ]
    rows += [[name, str(value)] for name, value in _asked(found).items()]
    print(table(["RECEIPT", found.id], rows))
    hits = [
        [
            f"{hit.score:.3f}",
            hit.id,
            hit.log_index,
            ", ".join(f"{r.name} {r.share:+.3f}" for r in hit.reasons),
        ]
        for hit in found.hits
    ]
    print()
    print(table(["SCORE", "MEMORY", "LOG INDEX", "BECAUSE"], hits, right="r r"))
    return 0


def _asked(found: Any) -> dict[str, Any]:
    """What a recall asked for beside its text."""
    names = ("about", "about_hops", "kind", "filter", "k", "tokens", "at_index", "at_time_us", "valid_at_us")
    return {name: value for name in names if (value := getattr(found, name))}


def _list(arguments: argparse.Namespace) -> int:
    options = given(
        run=arguments.of_run, turn=arguments.turn, agent=arguments.by, cursor=arguments.cursor
    ) | read_options(arguments)
    with open_memory(arguments) as memory:
        found = memory.receipts(limit=arguments.limit, **options)
    if arguments.json:
        items = [_fields(item) for item in found]
        print_json({"items": items, "log_index": found.log_index, "next_cursor": found.next_cursor})
        return 0
    rows = [
        [
            item.id,
            moment(item.recalled_at),
            item.agent,
            item.run,
            item.turn,
            len(item.hits),
            cut(item.query, TEXT_WIDTH),
        ]
        for item in found
    ]
    print(table(["ID", "AT", "AGENT", "RUN", "TURN", "HITS", "QUERY"], rows, right="     r"))
    if found.next_cursor:
        print(f"more: --cursor {found.next_cursor}")
    return 0


def _influence(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        written = memory.influence(arguments.receipt, arguments.answer, used=arguments.used)
    print_written(arguments, written, f"tied {arguments.answer} to receipt {arguments.receipt}")
    return 0


def _lineage(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.lineage(arguments.answer, **read_options(arguments))
    if not found.receipts:
        raise CliError(f"nothing is known of answer {arguments.answer!r} in {arguments.namespace}")
    if arguments.json:
        print_json(msgspec.to_builtins(found))
        return 0
    for source in found.receipts:
        print(f"receipt {source.id}, tied by {source.agent} at {moment(source.at)}")
        if source.receipt is not None:
            asked = source.receipt
            print(f"  asked {asked.query!r} at {moment(asked.recalled_at)}, log index {asked.log_index}")
        for each in source.memories:
            _print_memory(each)
    if found.is_cut:
        print("… and more than one reply holds")
    return 0


def _print_memory(found: Any) -> None:
    now = "still so" if found.is_current else "no longer so"
    if found.memory is None:
        print(f"  {found.score:.3f} memory {found.id}, version {found.version}: retention has forgotten it")
        return
    memory = found.memory
    print(f"  {found.score:.3f} {cut(memory.text, TEXT_WIDTH)!r} ({now})")
    in_run = f" in run {memory.run}" if memory.run else ""
    print(f"        memory {found.id}, written by {memory.agent}{in_run} at {moment(memory.at)}")
    for each in found.around:
        value = msgspec.json.encode(each.value).decode() if each.value is not None else ""
        print(f"        {moment(each.at)} {each.kind} {each.name} {cut(value, TEXT_WIDTH)}")


def _fields(found: Any) -> dict[str, Any]:
    return {**without_empty(msgspec.to_builtins(found)), "at": moment(found.at)}
