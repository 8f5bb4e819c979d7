"""Bytes that a cluster's connections have carried so far, as the kernel counts them for each (`ss`).

What TLS, HTTP/2 and heartbeats add is in them; headers of TCP and IP are not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

Ends = Mapping[str, Sequence[int]]
"""What is told apart -> the ports at which nodes accept it."""

COMMAND = ("ss", "--tcp", "--info", "--numeric", "--no-header", "state", "established")
_LOCAL = re.compile(r"^\s*\d+\s+\d+\s+\S+:(\d+)\s+\S+:\d+")
_BYTES = re.compile(r"\bbytes_(?:sent|received):(\d+)")


def carried(ends: Ends) -> dict[str, int] | None:
    """Bytes in both directions of all connections that are open, by end; None where `ss` is not installed."""
    if shutil.which(COMMAND[0]) is None:
        return None
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=True)
    return parse(done.stdout, ends)


def parse(text: str, ends: Ends) -> dict[str, int]:
    """What `ss` printed, summed up by end."""
    names = {port: name for name, ports in ends.items() for port in ports}
    found, name = dict.fromkeys(ends, 0), ""
    for line in text.splitlines():
        if local := _LOCAL.match(line):
            name = names.get(int(local[1]), "")
        elif name:
            found[name] += sum(int(each) for each in _BYTES.findall(line))
            name = ""
    return found
