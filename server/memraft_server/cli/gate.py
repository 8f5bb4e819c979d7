"""`memraft gate`: gates that the steps of a workflow wait at."""

import argparse
from typing import Any

import msgspec

from memraft_server.cli.connection import (
    add_action,
    add_read,
    open_memory,
    read_options,
)
from memraft_server.cli.errors import CliError
from memraft_server.cli.output import moment, print_json


def register(commands: Any) -> None:
    """Adds `gate` and its subcommands."""
    group = commands.add_parser("gate", help="gates: open, close, wait, show", description=__doc__)
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")
    _action(actions, "open", _open, "open a gate")
    _action(actions, "close", _close, "close a gate and forget who arrived")
    wait = _action(actions, "wait", _wait, "wait until a gate is open; exit status 1 where the time is up")
    wait.add_argument("--wait-s", type=float, help="seconds to wait; else for ever")
    add_read(_action(actions, "show", _show, "show how a gate stands"))


def _action(actions: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    parser = add_action(actions, name, run, text)
    parser.add_argument("name")
    return parser


def _open(arguments: argparse.Namespace) -> int:
    return _set(arguments, True)


def _close(arguments: argparse.Namespace) -> int:
    return _set(arguments, False)


def _set(arguments: argparse.Namespace, is_open: bool) -> int:
    with open_memory(arguments, makes=True) as memory:
        gate = memory.gate(arguments.name)
        written = gate.open() if is_open else gate.close()
    word = "open" if is_open else "closed"
    if arguments.json:
        print_json({"name": arguments.name, "open": is_open, "log_index": written.log_index})
    else:
        print(f"{word}: {arguments.name}, log index {written.log_index}, {moment(written.at)}")
    return 0


def _wait(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        is_open = memory.gate(arguments.name).wait(arguments.wait_s)
    if not is_open:
        raise CliError(f"gate {arguments.name!r} was not open within {arguments.wait_s:g} s")
    if arguments.json:
        print_json({"name": arguments.name, "open": True})
    else:
        print(f"open: {arguments.name}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        info = memory.gate(arguments.name).info(**read_options(arguments))
    if arguments.json:
        print_json(msgspec.to_builtins(info))
        return 0
    arrived = f", {info.arrived} of {info.parties} arrived" if info.parties else ""
    by = f", by {info.agent}" if info.agent else ""
    print(f"{'open' if info.is_open else 'closed'}{arrived}{by}")
    return 0
