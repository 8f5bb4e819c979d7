"""`memraft watch`: changes of documents, named records, memories and traces as they happen, until Ctrl-C."""

import argparse
from itertools import islice
from typing import Any

from memraft_server.cli.connection import CONSISTENCIES, add_connection, add_json, given, open_memory
from memraft_server.cli.errors import UsageError
from memraft_server.cli.output import json_text, moment, record_fields
from memraft_server.cli.trace import KINDS, what_it_tells


def register(commands: Any) -> None:
    """Adds `watch` and its subcommands."""
    group = commands.add_parser("watch", help="changes as they happen", description=__doc__)
    things = group.add_subparsers(metavar="WHAT", required=True, dest="what")

    documents = _thing(things, "kv", _kv, "print changes of documents")
    documents.add_argument("prefix", nargs="?", default="", help="only keys that begin with this")

    records = _thing(things, "state", _state, "print changes of named records")
    records.add_argument("prefix", nargs="?", default="", help="only names that begin with this")

    memories = _thing(things, "memory", _memory, "print what is remembered, changed and forgotten")
    memories.add_argument("--about", default="", help="only memories about this entity")
    memories.add_argument("--kind", default="", help="only memories of this kind")

    traces = _thing(things, "trace", _trace, "print traces as they are written")
    # `--run` must not be stored under `run`, which is the function that runs the command.
    traces.add_argument("--run", default="", dest="run_id", help="only those of this run")
    traces.add_argument("--kind", choices=KINDS, help="only those of this kind")


def _thing(things: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = things.add_parser(
        name, help=text, description=f"{text}, until Ctrl-C; with --json each as JSON in a line of its own"
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "--after-version", type=int, metavar="V", help="begin above this version; 0: with all there ever was"
    )
    parser.add_argument("--limit", type=int, help="end after so many")
    parser.add_argument("--idle-s", type=float, metavar="S", help="end where there was none for so long")
    parser.add_argument("--consistency", choices=CONSISTENCIES, help="how fresh the replica must be to begin")
    add_connection(parser)
    add_json(parser)
    return parser


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.limit is not None and arguments.limit < 1:
        raise UsageError(f"--limit must be at least 1, not {arguments.limit}")
    return given(
        after_version=arguments.after_version, idle_s=arguments.idle_s, consistency=arguments.consistency
    )


def _print(arguments: argparse.Namespace, feed: Any, line: Any) -> int:
    """Prints what comes. line: what a person sees of a change, behind when it was and whose."""
    for change in islice(feed, arguments.limit):
        if arguments.json:
            print(json_text(record_fields(change)), flush=True)
        else:
            print(change.log_index, moment(change.at), change.agent, line(change), flush=True)
    return 0


def _value(change: Any) -> str:
    shown = f"({change.reason or 'deleted'})" if change.deleted else json_text(change.value)
    return f"{change.key} {shown}"


def _kv(arguments: argparse.Namespace) -> int:
    options = _options(arguments)
    with open_memory(arguments) as memory:
        return _print(arguments, memory.watch(arguments.prefix, **options), _value)


def _state(arguments: argparse.Namespace) -> int:
    options = _options(arguments)
    with open_memory(arguments) as memory:
        return _print(arguments, memory.watch_state(arguments.prefix, **options), _value)


def _memory(arguments: argparse.Namespace) -> int:
    def line(change: Any) -> str:
        text = "(gone)" if change.memory is None else " ".join(change.memory.text.split())
        return f"{change.id} {text}"

    options = _options(arguments)
    with open_memory(arguments) as memory:
        feed = memory.watch_memories(about=arguments.about, kind=arguments.kind, **options)
        return _print(arguments, feed, line)


def _trace(arguments: argparse.Namespace) -> int:
    def line(trace: Any) -> str:
        return f"{trace.run} {trace.kind} {trace.name} {what_it_tells(trace)}".rstrip()

    options = _options(arguments)
    with open_memory(arguments) as memory:
        feed = memory.watch_traces(run=arguments.run_id, **given(kind=arguments.kind), **options)
        return _print(arguments, feed, line)
