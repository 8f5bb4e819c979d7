"""The command line: `memraft demo`, `up`, `serve`, `certs`, `status`, `kv`, `stream`, `memory`, `bench`.

One module a command group. Each has `register`, which adds its arguments and is cheap to import, and names a
function that runs the command. A mistake of the user ends as one line on standard error and exit status 1
(2 where the command line itself is wrong), never as a traceback. What a program may read has `--json`.
"""

from memraft_server.cli.app import main

__all__ = ["main"]
