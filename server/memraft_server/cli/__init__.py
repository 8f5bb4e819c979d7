"""The command line, `memraft COMMAND`:

- `demo`, `up`, `serve`, `certs`, `status`, `cluster`, `backup`, `restore`, `doctor`, `bench`: clusters;
- `kv`, `namespace`, `state`, `stream`, `memory`, `reembed`, `receipt`, `lineage`, `vector`, `graph`, `index`,
  `txn`, `watch`: what is stored;
- `run`, `trace`, `fork`, `timeline`, `history`, `retention`, `projection`: runs, the past, and views;
- `lock`, `leader`, `counter`, `gate`: coordination.

One module a command group. Each has `register`, which adds its arguments and is cheap to import, and names a
function that runs the command. A mistake of the user ends as one line on standard error and exit status 1
(2 where the command line itself is wrong), never as a traceback. What a program may read has `--json`.

This module imports nothing that takes long: a Ctrl-C that comes while the rest is imported finds `program`
there.
"""

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

EXIT_INTERRUPTED = 130
"""As shells report a process that ended by SIGINT."""

_SERVER_PACKAGES = frozenset(
    {
        "cryptography",
        "google",  # google.rpc, from googleapis-common-protos
        "grpc_health",
        "grpc_reflection",
        "prometheus_client",
        "rocksdict",
    }
)
"""One wheel carries client and server, but `pip install memraft` alone brings only what the client needs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit status.

    argv: the arguments without the program's name; left out: those of the process.
    """
    from memraft_server.cli.app import main as run

    return run(argv)


def program() -> NoReturn:
    """The console script `memraft`: the command line as a process of its own. Ends it with the exit status.

    Where a package of the extra `server` is missing, it says what to install instead of showing a traceback.
    """
    _open_closed_streams()
    status = _run_program()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    # The interpreter's own end is left out. Threads of gRPC's stop wherever they are when it begins, maybe
    # with the lock of a call that was broken off, and then it waits for that lock for ever.
    os._exit(status)


def _open_closed_streams() -> None:
    """Puts the null device where the caller closed standard input, output or error (`memraft ... >&-`): else
    the next file or connection that is opened takes the number, and what is printed goes into it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _run_program() -> int:
    signal.signal(signal.SIGINT, _interrupted_while_loading)
    # gRPC's core writes lines of its own to standard error before the one line that says what is wrong. It
    # reads the variable when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from memraft_server.cli.app import main as run

        signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _SERVER_PACKAGES:
            raise
        print(
            f"memraft: the command line needs the package {missing!r}, which is not installed.\n"
            "Install the server's needs with:  pip install 'memraft[server]'",
            file=sys.stderr,
        )
        return 1
    finally:
        # All is done but the end, which a late Ctrl-C would fill with tracebacks.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupted_while_loading(number: int, frame: FrameType | None) -> None:
    # Nothing has begun that would have to be ended, and an exception may be lost in a module's own import.
    os.write(2, b"memraft: interrupted\n")
    os._exit(EXIT_INTERRUPTED)
