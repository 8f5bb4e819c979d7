"""`memraft run`: runs of agents, from their beginning to their end, their replay, and how two compare."""

import argparse
from typing import Any, Literal

import msgspec

from memraft_server.cli.connection import (
    add_action,
    add_read,
    given,
    open_memory,
    parse_value,
    read_options,
)
from memraft_server.cli.errors import CliError
from memraft_server.cli.output import moment, print_json, record_fields, table
from memraft_server.cli.sides import record_table, step_table


def register(commands: Any) -> None:
    """Adds `run` and its subcommands."""
    group = commands.add_parser(
        "run", help="runs of agents: begin, end, list, replay, compare", description=__doc__
    )
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    begin = add_action(actions, "begin", _begin, "begin a run, and print its id")
    begin.add_argument("run_id", nargs="?", default="", help="its id; left out: a new one")
    begin.add_argument("--inputs", metavar="JSON", help="what it is given; text that is not JSON is a string")
    begin.add_argument(
        "--record", action="store_true", help="keep all that is written in it, so that it can be replayed"
    )

    end = add_action(actions, "end", _end, "end a run")
    end.add_argument("run_id")
    end.add_argument("--failed", action="store_true", help="it failed; else it succeeded")
    end.add_argument("--outputs", metavar="JSON", help="what it gave; text that is not JSON is a string")

    listing = add_action(actions, "list", _list, "list the runs, newest first")
    listing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)

    show = add_action(actions, "show", _show, "print a run and the calls that it recorded")
    show.add_argument("run_id")
    add_read(show)

    replay = add_action(
        actions,
        "replay",
        _replay,
        "apply a recorded run's commands again, to an empty fork; exit status 1 where they do something else",
    )
    replay.add_argument("run_id")

    diff = add_action(actions, "diff", _diff, "compare two recorded runs, step by step")
    diff.add_argument("run_id")
    diff.add_argument("other_run_id")
    diff.add_argument(
        "--other-namespace", default="", metavar="NAMESPACE", help="of the other run: a fork, ..."
    )


def plain(item: Any) -> dict[str, Any]:
    """The fields of a result for JSON, hashes in hexadecimal."""
    fields: dict[str, Any] = msgspec.structs.asdict(item)
    return {name: each.hex() if isinstance(each, bytes) else each for name, each in fields.items()}


def _begin(arguments: argparse.Namespace) -> int:
    inputs = None if arguments.inputs is None else parse_value(arguments.inputs)
    with open_memory(arguments, makes=True) as memory:
        begun = memory.begin_run(arguments.run_id, inputs=inputs, record=arguments.record)
    if arguments.json:
        print_json(record_fields(begun))
    else:
        print(begun.id)
    return 0


def _end(arguments: argparse.Namespace) -> int:
    outputs = None if arguments.outputs is None else parse_value(arguments.outputs)
    status: Literal["succeeded", "failed"] = "failed" if arguments.failed else "succeeded"
    with open_memory(arguments) as memory:
        ended = memory.end_run(arguments.run_id, status, outputs=outputs)
    if arguments.json:
        print_json(record_fields(ended))
    else:
        print(f"{arguments.run_id} {status}: log index {ended.log_index}, {moment(ended.at)}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        runs = memory.runs(limit=arguments.limit, **given(cursor=arguments.cursor), **read_options(arguments))
    if arguments.json:
        print_json({"items": [plain(run) for run in runs], "next_cursor": runs.next_cursor})
        return 0
    rows = [
        [run.id, run.status, run.agent, moment(run.began_at), run.steps if run.recorded else "-"]
        for run in runs
    ]
    print(table(["RUN", "STATUS", "AGENT", "BEGAN", "STEPS"], rows, right="    r"))
    if runs.next_cursor:
        print(f"more: --cursor {runs.next_cursor}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        run = memory.run_info(arguments.run_id, **read_options(arguments))
        if run is None:
            raise CliError(f"there is no run {arguments.run_id!r} in {arguments.namespace}")
        calls = memory.events(f"run/{run.id}", **read_options(arguments))
    if arguments.json:
        print_json({**plain(run), "calls": [plain(call) for call in calls]})
        return 0
    recorded = f"{run.steps} commands recorded" if run.recorded else "not recorded"
    print(f"{run.id}: {run.status}, {run.agent}, began {moment(run.began_at)}, {recorded}")
    print(f"inputs  {_json(run.inputs)}")
    print(f"outputs {_json(run.outputs)}")
    rows = [[call.sequence, moment(call.at), call.type, _json(call.payload)] for call in calls]
    if rows:
        print(table(["CALL", "AT", "TYPE", "WHAT"], rows, right="r"))
    return 0


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _replay(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.replay(arguments.run_id)
    if arguments.json:
        print_json(plain(found))
        return 0 if found else 1
    print(
        f"{found.verdict}: {found.steps} of {found.recorded_steps} commands, hash {found.replayed_hash.hex()}"
    )
    if found.outside_steps:
        print(f"{found.outside_steps} did something else only because of writes from outside the run")
    print_difference(found.first_difference, "recorded", "replayed")
    return 0 if found else 1


def print_difference(difference: Any, left: str, right: str) -> None:
    """Prints both sides of a step that differs, if there is one."""
    if difference is None:
        return
    print(f"first difference: step {difference.step}, {difference.call}")
    print(step_table(difference, left.upper(), right.upper()))


def _diff(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        found = memory.diff_runs(
            arguments.run_id, arguments.other_run_id, other_namespace=arguments.other_namespace
        )
    if arguments.json:
        print_json(found)
        return 0
    print(f"{found.common_steps} steps in common, of {found.steps} and {found.other_steps}")
    print_difference(found.first_difference, arguments.run_id, arguments.other_run_id)
    print_records(found.records)
    if found.is_truncated:
        print("there are more")
    return 0


def print_records(records: Any) -> None:
    """Prints what is not the same on two sides."""
    if records:
        print(record_table(list(records), "LEFT", "RIGHT"))
