"""`memraft trace`: what agents did and thought in their runs; to and from OpenTelemetry."""

import argparse
import sys
from pathlib import Path
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
from memraft_server.cli.output import moment, print_json, record_fields, table
from memraft_server.cli.run import plain

_SHOWN_CHARACTERS = 100

KINDS = ("tool_call", "model_input", "model_output", "citation", "decision", "confidence", "assumption")
"""Those of `memraft.types.TraceKind`, which would bring the client before a command is chosen."""


def register(commands: Any) -> None:
    """Adds `trace` and its subcommands."""
    group = commands.add_parser(
        "trace", help="traces: record, list, tree, export, import", description=__doc__
    )
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    _register_record(actions)
    listing = add_action(actions, "list", _list, "list traces in the order in which they were written")
    listing.add_argument("--run", default="", dest="run_id", help="only those of this run")
    listing.add_argument("--kind", action="append", choices=KINDS, help="only these; may repeat")
    listing.add_argument("--by", metavar="AGENT", help="only those that this agent wrote")
    listing.add_argument("--name", help="only those that are known as this")
    listing.add_argument("--parent", metavar="ID", help="only the children of this one; '': only roots")
    listing.add_argument("--filter", metavar="JSON", help="only those whose attributes pass this filter")
    listing.add_argument("--newest-first", action="store_true", help="begin with the newest")
    listing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)

    tree = add_action(actions, "tree", _tree, "print the traces of a run as trees")
    tree.add_argument("run_id")
    tree.add_argument("--limit", type=int, default=1_000, help="at most this many (1000)")
    add_read(tree)

    export = add_action(actions, "export", _export, "write the traces of a run as OTLP/JSON")
    export.add_argument("run_id")
    export.add_argument("file", nargs="?", default="-", help="where to; - or nothing: standard output")
    add_read(export)

    importing = add_action(actions, "import", _import, "store the spans of an OTLP/JSON file as traces")
    importing.add_argument("file", help="which file; - reads standard input")
    importing.add_argument("--into", default="", metavar="RUN", help="the run that all of them belong to")


def _register_record(actions: Any) -> None:
    record = add_action(actions, "record", _record, "record a trace, and print its id")
    record.add_argument("kind", choices=KINDS)
    record.add_argument("content", help='a JSON object, such as {"choice": "wait", "because": "rain"}')
    record.add_argument("--run", required=True, dest="run_id", help="the run that it belongs to")
    record.add_argument("--parent", metavar="ID", help="a trace of the same run")
    record.add_argument(
        "--name", help="what it is known as; else the tool, the model, the choice, the source"
    )
    record.add_argument("--attributes", metavar="JSON", help="more about it, to filter by")
    record.add_argument("--stream", help="the stream of the event that it belongs to; else the run's")
    record.add_argument("--sequence", type=int, metavar="N", help="the event's place in it; else the last")
    record.add_argument("--id", help="its id; else a new one")


def _record(arguments: argparse.Namespace) -> int:
    content = _content(arguments.kind, parse_json_object(arguments.content, "the content"))
    options = given(
        parent=arguments.parent,
        name=arguments.name,
        stream=arguments.stream,
        sequence=arguments.sequence,
        id=arguments.id,
    )
    if arguments.attributes is not None:
        options["attributes"] = parse_json_object(arguments.attributes, "--attributes")
    with open_memory(arguments) as memory:
        recorded = memory.record_trace(content, run=arguments.run_id, **options)
    if arguments.json:
        print_json(record_fields(recorded))
    else:
        print(recorded.id)
    return 0


def _content(kind: str, fields: dict[str, Any]) -> Any:
    """What a trace tells, of the type of `memraft.types` that its kind has; UsageError where it is none."""
    import memraft.types as types

    type_of_kind = getattr(types, kind.title().replace("_", ""))
    known: tuple[str, ...] = type_of_kind.__struct_fields__
    for name in fields:
        if name not in known:
            raise UsageError(f"{kind} has no field {name!r}: it has {', '.join(known)}")
    try:
        return msgspec.convert(fields, type_of_kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{kind}: {error}") from error


def _list(arguments: argparse.Namespace) -> int:
    passes = parse_json_object(arguments.filter, "--filter") if arguments.filter is not None else None
    with open_memory(arguments) as memory:
        found = memory.traces(
            run=arguments.run_id,
            newest_first=arguments.newest_first,
            limit=arguments.limit,
            **given(
                kind=arguments.kind,
                agent=arguments.by,
                name=arguments.name,
                parent=arguments.parent,
                filter=passes,
                cursor=arguments.cursor,
            ),
            **read_options(arguments),
        )
    if arguments.json:
        print_json({"items": [plain(trace) for trace in found], "next_cursor": found.next_cursor})
        return 0
    rows = [
        [trace.id, trace.run, trace.kind, trace.name, trace.agent, moment(trace.at), what_it_tells(trace)]
        for trace in found
    ]
    print(table(["TRACE", "RUN", "KIND", "NAME", "AGENT", "AT", "WHAT"], rows))
    if found.next_cursor:
        print(f"more: --cursor {found.next_cursor}")
    return 0


def what_it_tells(trace: Any) -> str:
    """What a trace tells in one line."""
    fields = ("value", "statement", "because", "quote", "error_type")
    found = [
        str(getattr(trace.content, field)) for field in fields if getattr(trace.content, field, "") != ""
    ]
    text = " ".join("; ".join(found).split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def _tree(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.trace_tree(arguments.run_id, limit=arguments.limit, **read_options(arguments))
        if not found.traces and memory.run_info(arguments.run_id, **read_options(arguments)) is None:
            raise CliError(f"no run {arguments.run_id!r} in {arguments.namespace}")
    if arguments.json:
        print_json([{"depth": depth, **plain(trace)} for depth, trace in found])
        return 0
    for depth, trace in found:
        said = what_it_tells(trace)
        label = f"{trace.kind} {trace.name}".rstrip()
        print(f"{'  ' * depth}{label}{': ' if said else ''}{said}")
    if found.is_truncated:
        print("there are more: --limit")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        data = memory.export_traces(arguments.run_id, **read_options(arguments))
    if arguments.file == "-":
        sys.stdout.write(data.decode() + "\n")
        return 0
    Path(arguments.file).write_bytes(data + b"\n")
    if arguments.json:
        print_json({"file": arguments.file, "bytes": len(data) + 1})
    else:
        print(f"wrote {arguments.file}, {len(data) + 1:,} bytes")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    if arguments.file == "-":
        data = sys.stdin.buffer.read()
    else:
        file = Path(arguments.file)
        if not file.is_file():
            raise CliError(f"there is no file {file}")
        data = file.read_bytes()
    with open_memory(arguments, makes=True) as memory:
        done = memory.import_traces(data, run=arguments.into)
    if arguments.json:
        print_json(done)
        return 0
    left = f", {done.left_out} other spans left out" if done.left_out else ""
    print(f"{done.count} traces into {', '.join(done.runs)}{left}")
    return 0
