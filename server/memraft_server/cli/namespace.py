"""`memraft namespace`: how long a namespace keeps documents and memories, and how many."""

import argparse
from collections.abc import Mapping
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
from memraft_server.cli.errors import UsageError
from memraft_server.cli.forgetting import add_settings, given_settings, settings_rows
from memraft_server.cli.output import print_json, print_written, table


def register(commands: Any) -> None:
    """Adds `namespace` and its subcommands."""
    about = "how long a namespace keeps documents and memories, and how many"
    group = commands.add_parser("namespace", help=about, description=about)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")
    add_read(add_action(actions, "show", _show, "print the settings of a namespace"))
    change = add_action(actions, "set", _set, "change settings; what is not given stays as it is")
    change.add_argument(
        "--default-ttl-ms",
        type=int,
        metavar="MS",
        help="milliseconds until a document expires that is written without a time to live; 0: never",
    )
    change.add_argument(
        "--entries-max",
        type=int,
        metavar="N",
        help="most documents, those used last; 0: any number",
    )
    change.add_argument(
        "--bytes-max", type=int, metavar="N", help="most bytes of keys and documents, likewise; 0: any number"
    )
    change.add_argument(
        "--recall",
        metavar="JSON",
        help='what signals count for in recalls, such as {"recency": 0.1}, in place of what was set; {}: as '
        "measured best",
    )
    change.add_argument(
        "--receipts-ttl-ms", type=int, metavar="MS", help="milliseconds that receipts are kept; 0: for good"
    )
    add_settings(change)


def _show(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.settings(**read_options(arguments))
    if arguments.json:
        fields = (
            "default_ttl_ms", "entries_max", "bytes_max", "receipts_ttl_ms", "schemas", "entries", "bytes",
            "memories_entries", "memories_bytes", "version",
        )  # fmt: skip
        shown = {name: getattr(found, name) for name in fields}
        print_json({**shown, "recall": found.recall, "memories": msgspec.to_builtins(found.memories)})
        return 0
    ttl = f"{found.default_ttl_ms:,} ms" if found.default_ttl_ms else "never"
    rows = [
        ["documents expire after", ttl],
        ["documents", _of_most(found.entries, found.entries_max)],
        ["bytes", _of_most(found.bytes, found.bytes_max)],
        ["receipts are kept for", f"{found.receipts_ttl_ms:,} ms" if found.receipts_ttl_ms else "ever"],
        ["schemas", str(found.schemas)],
        ["recall", _weights(found.recall)],
        *settings_rows(found),
    ]
    print(table(["SETTING", "VALUE"], rows))
    return 0


def _weights(recall: Mapping[str, Any]) -> str:
    shown = (
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in recall.items()
    )
    return ", ".join(shown) or "as measured best"


def _of_most(count: int, count_max: int) -> str:
    return f"{count:,} of at most {count_max:,}" if count_max else "any number"


def _set(arguments: argparse.Namespace) -> int:
    settings = given(
        default_ttl_ms=arguments.default_ttl_ms,
        entries_max=arguments.entries_max,
        bytes_max=arguments.bytes_max,
        receipts_ttl_ms=arguments.receipts_ttl_ms,
        recall=parse_json_object(arguments.recall, "--recall") if arguments.recall is not None else None,
        memories=given_settings(arguments) or None,
    )
    if not settings:
        raise UsageError(
            "nothing to change: give --default-ttl-ms, --entries-max, --bytes-max, --recall, "
            "--receipts-ttl-ms or one of --memories-..."
        )
    with open_memory(arguments, makes=True) as memory:
        written = memory.set_settings(**settings)
    print_written(arguments, written, f"changed {arguments.namespace}")
    return 0
