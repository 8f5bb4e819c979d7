"""`memraft lock`: a command that only one runs at a time, and who holds which lock."""

import argparse
import os
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from memraft_server.cli.connection import (
    add_action,
    add_connection,
    add_read,
    given,
    open_memory,
    read_options,
)
from memraft_server.cli.ending import Ending
from memraft_server.cli.errors import CliError, UsageError
from memraft_server.cli.output import moment, print_json, table

if TYPE_CHECKING:
    from memraft._sync.leases import Lease

LOOK_S = 0.1
"""How often it is looked whether the lock is still held."""
GRACE_S = 10.0
"""How long a command that has to end may take before it is killed."""


def register(commands: Any) -> None:
    """Adds `lock` and its subcommands."""
    group = commands.add_parser(
        "lock", help="locks: run a command under one, show, list", description=__doc__
    )
    actions = group.add_subparsers(metavar="ACTION", required=True, dest="action")

    run = actions.add_parser(
        "run",
        help="run a command while holding a lock",
        description="Waits for the lock, runs the command, and gives the lock back. Where the lock is lost "
        "meanwhile, the command is ended. The exit status is the command's; 1 where the lock was not granted "
        "or was lost. The command finds the lock's name and fencing token in MEMRAFT_LOCK and "
        "MEMRAFT_LOCK_TOKEN.",
    )
    run.set_defaults(run=_run, parser=run, json=False)
    run.add_argument("name")
    run.add_argument(
        "--ttl", type=float, default=10.0, help="seconds until it ends if this program dies (10)"
    )
    run.add_argument("--wait-s", type=float, help="seconds to wait for it; 0: not at all; else for ever")
    add_connection(run)
    run.add_argument("command_line", nargs=argparse.REMAINDER, metavar="-- COMMAND ...", help="what to run")

    show = add_action(actions, "show", _show, "show who holds a lock, and who waits for it")
    show.add_argument("name")
    add_read(show)
    listing = add_action(
        actions, "list", _list, "list the locks that are held; leads are named election/NAME"
    )
    listing.add_argument("--prefix", default="", help="only names that begin with this")
    listing.add_argument("--limit", type=int, default=100, help="at most this many (100)")
    listing.add_argument("--cursor", help="continue a listing")
    add_read(listing)


def _run(arguments: argparse.Namespace) -> int:
    command = _command(arguments)
    if not command:
        raise UsageError("no command to run: memraft lock run NAME -- COMMAND ...")
    with Ending(at_once=True), open_memory(arguments, makes=True) as memory:
        lease = memory.lock(arguments.name, ttl=arguments.ttl)
        if not lease.acquire(timeout_s=arguments.wait_s):
            raise CliError(f"lock {arguments.name!r} was not granted within {arguments.wait_s:g} s")
        try:
            return run_under(lease, command)
        finally:
            lease.release()


def _command(arguments: argparse.Namespace) -> list[str]:
    """Returns the command; options between the lock's name and `--` are read, which argparse leaves there."""
    words: list[str] = arguments.command_line
    if not words or not words[0].startswith("-"):
        return words
    place = words.index("--") if "--" in words else len(words)
    arguments.parser.parse_args([*words[:place], arguments.name], arguments)
    return words[place + 1 :]


class _NotRun(CliError):
    def __init__(self, message: str, exit_status: int) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def run_under(lease: "Lease", command: list[str]) -> int:
    """Runs a command as long as the lock is held; returns its exit status."""
    environment = {**os.environ, "MEMRAFT_LOCK": lease.name, "MEMRAFT_LOCK_TOKEN": str(lease.token)}
    try:
        process = subprocess.Popen(command, env=environment)
    except OSError as error:  # exit statuses as a shell has them
        status = 127 if isinstance(error, FileNotFoundError) else 126
        raise _NotRun(f"{command[0]}: {error.strerror or error}", status) from error
    try:
        while not lease.lost:
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(timeout=LOOK_S)
                return status if status >= 0 else 128 - status  # as a shell tells of a signal
    finally:
        _end(process)
    raise CliError(f"lock {lease.name!r} was lost, and the command ended")


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(timeout=GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _show(arguments: argparse.Namespace) -> int:
    with open_memory(arguments) as memory:
        info = memory.lease_info(arguments.name, **read_options(arguments))
    return _print(arguments, info, "free", "holds it")


def show_leader(arguments: argparse.Namespace) -> int:
    """Prints who leads in the election `arguments.name`; returns the exit status."""
    with open_memory(arguments) as memory:
        info = memory.leader(arguments.name, **read_options(arguments))
    return _print(arguments, info, "nobody leads", "leads")


def _print(arguments: argparse.Namespace, info: Any, nobody: str, holds: str) -> int:
    if arguments.json:
        print_json(None if info is None else msgspec.to_builtins(info))
    elif info is None:
        print(nobody)
    else:
        rows = [[holds, info.agent, str(info.token), info.holder, moment(info.expires_at)]]
        rows += [["waits", each.agent, "", each.holder, moment(each.expires_at)] for each in info.waiting]
        print(table(["", "AGENT", "TOKEN", "HOLDER", "UNTIL"], rows))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    options = given(cursor=arguments.cursor) | read_options(arguments)
    with open_memory(arguments) as memory:
        leases = memory.leases(arguments.prefix, limit=arguments.limit, **options)
    if arguments.json:
        items = [msgspec.to_builtins(each) for each in leases]
        print_json({"items": items, "log_index": leases.log_index, "next_cursor": leases.next_cursor})
        return 0
    rows = [[each.name, each.agent, str(each.token), moment(each.expires_at)] for each in leases]
    print(table(["NAME", "AGENT", "TOKEN", "UNTIL"], rows))
    if leases.next_cursor:
        print(f"more: --cursor {leases.next_cursor}")
    return 0
