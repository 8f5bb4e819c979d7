"""Ports that a process can have again after it ended and was started anew."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

_LOWEST = 10_000
_FEWEST = 4_096
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EPHEMERAL_FROM = 32_768


def free_ports(number: int, host: str = "127.0.0.1") -> list[int]:
    """Ports that nobody listens on now, all different.

    They lie below those that the kernel gives to outgoing connections: such a connection could otherwise take
    the port of a process that is down, which then cannot start again.

    Args:
        number: how many.
        host: the address to listen on.

    Raises:
        OSError: no port is free.
    """
    below = _ephemeral_from()
    with ExitStack() as held:  # all are held at once, so that none is given twice
        found: list[int] = []
        for port in random.sample(range(_LOWEST, below), k=min(_FEWEST, below - _LOWEST)):
            if len(found) == number:
                break
            one = held.enter_context(socket.socket())
            try:
                one.bind((host, port))
            except OSError:
                continue
            found.append(port)
        while len(found) < number:
            one = held.enter_context(socket.socket())
            one.bind((host, 0))
            found.append(int(one.getsockname()[1]))
        return found


def _ephemeral_from() -> int:
    """The lowest port of outgoing connections; where it leaves nothing below, what is below is empty."""
    try:
        lowest = int(_EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        lowest = _EPHEMERAL_FROM
    return max(lowest, _LOWEST)
