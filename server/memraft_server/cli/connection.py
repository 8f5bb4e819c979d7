"""Options that commands share: where to connect, as of when to read, and what to print."""

import argparse
import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from memraft_server.cli.errors import CliError, UsageError
from memraft_server.cli.output import progress

if TYPE_CHECKING:
    from memraft import Memory

ENDPOINTS_VARIABLE = "MEMRAFT_ENDPOINTS"
CERTS_VARIABLE = "MEMRAFT_CERTS"
NAMESPACE_VARIABLE = "MEMRAFT_NAMESPACE"
AGENT_VARIABLE = "MEMRAFT_AGENT"

CONSISTENCIES = ("session", "linearizable", "stale")

REFUSED_FOR_S = 3.0
"""How long nodes may refuse connections, as those that are starting do, before a person is told."""
CONNECT_TIMEOUT_S = 1.0
PAUSE_S = 0.1

SHOWN_CHARACTERS = 60
"""As much of a text that is refused stands in the message."""

_AGO = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def add_action(actions: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    """Adds an action of a command group that talks to a memory: where it is, and `--json`.

    Args:
        actions: the group's, from `add_subparsers`.
        name: what a user types.
        run: takes the parsed arguments and returns the exit status.
        text: what it does.
    """
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    add_connection(parser)
    add_json(parser)
    return parser


def add_connection(parser: argparse.ArgumentParser, namespace: bool = True) -> None:
    """Adds --endpoints, --certs and, where a command works on one namespace, --namespace, --agent, --path."""
    where = parser.add_argument_group("where to connect")
    where.add_argument(
        "--endpoints",
        metavar="HOST:PORT,...",
        default=os.environ.get(ENDPOINTS_VARIABLE),
        help=f"addresses of nodes (or {ENDPOINTS_VARIABLE})",
    )
    identity = where.add_mutually_exclusive_group()
    identity.add_argument(
        "--certs",
        metavar="DIR",
        default=os.environ.get(CERTS_VARIABLE),
        help=f"directory with ca.pem, cert.pem and key.pem (or {CERTS_VARIABLE})",
    )
    identity.add_argument(
        "--insecure",
        action="store_true",
        help="plain text and no identity, for nodes with tls.enabled = false",
    )
    if not namespace:
        return
    where.add_argument(
        "--path", metavar="DIR", help="a directory of an embedded memory, instead of a cluster"
    )
    where.add_argument(
        "--namespace",
        metavar="TENANT/NAME",
        default=os.environ.get(NAMESPACE_VARIABLE),
        help=f"the namespace to work on (or {NAMESPACE_VARIABLE})",
    )
    where.add_argument(
        "--timeout-s", type=float, metavar="S", help="what a call may take in all, retries included (10)"
    )
    where.add_argument(
        "--agent",
        default=os.environ.get(AGENT_VARIABLE),
        help=f"write as this agent, where the certificate allows it (or {AGENT_VARIABLE})",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds --json."""
    parser.add_argument("--json", action="store_true", help="print JSON, for a program")


def add_read(parser: argparse.ArgumentParser) -> None:
    """Adds --at and --consistency."""
    parser.add_argument(
        "--at",
        type=parse_at,
        metavar="WHEN",
        help="read the past: a log index (1458), a UTC time (2026-03-01T12:00:00) or an age (5m, 2h)",
    )
    parser.add_argument("--consistency", choices=CONSISTENCIES, help="how fresh the answer must be")


def parse_at(text: str) -> int | datetime:
    """Reads WHEN of --at: a log index, an ISO 8601 time (UTC where it names no zone) or an age."""
    if text.isascii() and text.isdigit():
        return int(text)
    ago = _AGO.fullmatch(text)
    if ago:
        return datetime.now(UTC) - timedelta(seconds=float(ago[1]) * _SECONDS[ago[2]])
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        expected = "a log index (1458), a time (2026-03-01T12:00:00Z) or an age (90s, 5m, 2h, 1d)"
        raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_age(text: str) -> timedelta:
    """Reads an age: how long something is kept."""
    age = _AGO.fullmatch(text)
    if age is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age (90s, 5m, 2h, 1d)")
    return timedelta(seconds=float(age[1]) * _SECONDS[age[2]])


def parse_when(text: str) -> datetime:
    """WHEN of the world: a time or an age, no log index."""
    found = parse_at(text)
    if isinstance(found, int):
        raise argparse.ArgumentTypeError(f"{text!r} is a log index; a time or an age is wanted here")
    return found


def read_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of a read that `add_read` collected; those not given are left out."""
    options = {"at": arguments.at, "consistency": arguments.consistency}
    return {name: value for name, value in options.items() if value is not None}


def given(**options: Any) -> dict[str, Any]:
    """`options` without those that are None: the callee's own defaults hold for them."""
    return {name: value for name, value in options.items() if value is not None}


def endpoints_of(arguments: argparse.Namespace) -> list[str]:
    """The addresses to connect to; UsageError where there are none."""
    addresses = [part.strip() for part in (arguments.endpoints or "").split(",") if part.strip()]
    if not addresses:
        raise UsageError(f"say where the cluster is: --endpoints HOST:PORT,... or {ENDPOINTS_VARIABLE}")
    return addresses


def certs_of(arguments: argparse.Namespace) -> Path | None:
    """The directory of certificates, None with --insecure; UsageError where neither is given, or a file is
    missing there."""
    if arguments.insecure:
        return None
    if not arguments.certs:
        raise UsageError(
            f"say which certificates to use: --certs DIR or {CERTS_VARIABLE} (--insecure: nodes without TLS)"
        )
    certs = Path(arguments.certs)
    for name in ("ca.pem", "cert.pem", "key.pem"):
        if not (certs / name).is_file():
            raise UsageError(f"the directory of certificates {certs} has no file {name}")
    return certs


@contextmanager
def open_memory(arguments: argparse.Namespace, makes: bool = False) -> Iterator["Memory"]:
    """Opens what --path, or --endpoints and --certs say, and tells a person who is waited for.

    makes: the directory of --path may be made, because something is about to be stored there; otherwise
        CliError where it does not exist.
    """
    from memraft import Memory

    if not arguments.namespace:
        raise UsageError(f"say which namespace: --namespace TENANT/NAME or {NAMESPACE_VARIABLE}")
    who = given(namespace=arguments.namespace, agent=arguments.agent, timeout_s=arguments.timeout_s)
    with progress(quiet=arguments.json) as shown:
        if arguments.path:
            if not makes and not Path(arguments.path).is_dir():
                raise CliError(f"there is no directory {arguments.path}; the first write makes one")
            shown.step(f"opening {arguments.path} …")
            memory = Memory(path=arguments.path, **who)
        else:
            addresses = ",".join(endpoints_of(arguments))
            shown.step(f"waiting for {addresses} …")
            memory = Memory(addresses, certs=certs_of(arguments), insecure=arguments.insecure, **who)
        with memory:
            if not arguments.path and arguments.timeout_s is None:
                await_listener(endpoints_of(arguments), REFUSED_FOR_S)
            yield memory


def await_listener(addresses: Sequence[str], timeout_s: float) -> None:
    """Returns as soon as an address does anything but refuse a connection; what, the memory finds out.

    Raises CliError where all refuse for `timeout_s`: the addresses are wrong, or nothing runs there.
    """
    ends = time.monotonic() + timeout_s
    while all(map(_refuses, addresses)):
        if time.monotonic() >= ends:
            raise CliError(f"{' and '.join(addresses)}: connection refused for {timeout_s:g} s")
        time.sleep(PAUSE_S)


def _refuses(address: str) -> bool:
    from memraft._target import split_address

    try:
        socket.create_connection(split_address(address), CONNECT_TIMEOUT_S).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


def parse_json_object(text: str, what: str) -> dict[str, Any]:
    """Reads an argument that must be a JSON object; `what` names it in the error."""
    try:
        return msgspec.json.decode(text.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise UsageError(f"{what} must be a JSON object, not {text!r}: {error}") from error


def add_value(parser: argparse.ArgumentParser, name: str) -> None:
    """Adds the argument `name` for a document, and --string."""
    parser.add_argument(name, help="JSON; other text is stored as a string; - reads standard input")
    parser.add_argument("--string", action="store_true", help="store the text as it is, be it JSON or not")


def value_of(arguments: argparse.Namespace, name: str) -> Any:
    """The document that `add_value` asked for; UsageError where it begins as JSON and is not."""
    text = getattr(arguments, name)
    if text == "-":
        text = sys.stdin.read()
    return text if arguments.string else parse_value(text)


def parse_value(text: str) -> Any:
    """A document typed by a person: JSON where it is JSON, otherwise the text itself.

    Raises UsageError for text that begins as an object, a list or a string of JSON and is none: it was meant
    to be one.
    """
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        if text.lstrip()[:1] in ("{", "[", '"'):
            shown = text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"
            raise UsageError(
                f"{shown!r} begins as JSON and is not: {error} (--string stores it as it is)"
            ) from error
        return text
