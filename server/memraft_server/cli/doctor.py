"""`memraft doctor`: examines a data directory that no node has to run for. It changes nothing."""

import argparse
from pathlib import Path
from typing import Any

from memraft_server.cli.connection import add_json
from memraft_server.cli.errors import CliError
from memraft_server.cli.output import count, print_json, progress, table

EXIT_DAMAGED = 1


class CannotTell(CliError):
    """There is nothing to examine, or nothing this version can read."""

    exit_status = 2


def register(commands: Any) -> None:
    """Adds `doctor`."""
    text = "examine a data directory: every checksum of its log, its marks and its states"
    parser = commands.add_parser("doctor", help=text, description=f"{text}. Nothing is changed.")
    parser.set_defaults(run=_run)
    parser.add_argument(
        "directory", metavar="DIR", help="a node's data_dir, or the directory of an embedded memory"
    )
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    from memraft_cluster.errors import FormatUnsupported
    from memraft_server.doctor import NotADataDirectory, examine

    with progress(quiet=arguments.json) as shown:

        def told(what: str, done: int) -> None:
            shown.update(f"reading {what}: {count(done)}")

        try:
            report = examine(Path(arguments.directory), told)
        except (NotADataDirectory, FormatUnsupported, OSError) as error:
            raise CannotTell(str(error)) from error
    if arguments.json:
        print_json(report)
    else:
        _show(report)
    return 0 if report.is_sound else EXIT_DAMAGED


def _show(report: Any) -> None:
    from memraft_cluster.groups import group_label

    print(f"{report.path}: {report.owner or 'whose it is cannot be read'}")
    if report.is_running:
        print("a process has it open: what is being written now is not examined")
    if report.groups:
        headers = ("GROUP", "BASE", "FIRST", "LAST", "TERM", "VOTE", "COMMIT", "STATE", "VERDICT")
        rows = [
            (
                group_label(each.group),
                each.base,
                each.first,
                each.last,
                *(
                    "-" if field is None else field
                    for field in (each.term, each.vote, each.commit, each.state)
                ),
                each.verdict,
            )
            for each in report.groups
        ]
        print(f"\n{table(headers, rows, 'rrrrrrrr')}")
    print(f"\n{count(report.entries)} entries and {count(report.rows)} rows of state were read")
    for note in report.notes:
        print(f"note: {note}")
    for damage in report.damages:
        print(f"DAMAGED: {damage}")
    print("sound" if report.is_sound else _advice(report))


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def _advice(report: Any) -> str:
    from memraft_server.embedded_storage import CLUSTER

    found = "1 damage" if len(report.damages) == 1 else f"{len(report.damages)} damages"
    if report.owner.endswith(f"of cluster {CLUSTER!r}"):
        return f"{found} found: an embedded memory has no others to be mended from; see docs/cli.md"
    return f"{found} found: a node of a cluster mends itself from the others when it starts; see docs/cli.md"
