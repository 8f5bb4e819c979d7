"""When calls have to be over.

Nearly all calls are over long before; so a deadline costs a place in a set, and what runs out is looked for
once a slot. A call may be ended up to a slot late: its client knows its own deadline.
"""

from __future__ import annotations

import asyncio
import re
from typing import Protocol

SLOT_S = 0.05
AHEAD_MOST_S = 600.0
"""How far ahead there are slots; later deadlines are moved on from the last."""
GIVEN_UP_SHARE = 0.5
"""Of its time, after which a client may give a call up: its clock began with the call, ours when it came."""
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNIT_S = {b"H": 3_600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Expiring(Protocol):
    """What has a deadline. ``slot`` is where it is found; it takes itself out of there when it is over."""

    slot: dict[Expiring, float] | None

    def expire(self) -> None:
        """The deadline is over."""


Slot = dict[Expiring, float]
"""Those that are looked at at the same time, with their deadlines."""


def parse_timeout_s(value: bytes) -> float:
    """Seconds of a ``grpc-timeout``. Raises ValueError."""
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise ValueError(f"grpc-timeout {value[:40]!r} is not digits and one of H M S m u n")
    return int(match[1]) * _UNIT_S[match[2]]


def may_give_up(timeout_s: float | None, age_s: float) -> bool:
    """Whether a call of that age may be cancelled by its client because its time is over.

    Many have deadlines at once, so that does not count as a flood. Nobody gains from saying so: a call that
    is younger than a slot counts whatever its deadline, and all calls that a connection may have open can be
    had ended by their deadlines as often.
    """
    return timeout_s is not None and age_s >= max(timeout_s * GIVEN_UP_SHARE, SLOT_S)


class Deadlines:
    """Of all calls of a server.

    Args:
        loop: the server's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._slots: dict[int, Slot] = {}
        self._loop = loop

    def add(self, call: Expiring, timeout_s: float) -> None:
        """Has ``call`` expire after ``timeout_s``."""
        now_s = self._loop.time()
        self._place(call, now_s + timeout_s, now_s)

    def _place(self, call: Expiring, at_s: float, now_s: float) -> None:
        number = int(min(at_s, now_s + AHEAD_MOST_S) / SLOT_S) + 1
        slot = self._slots.get(number)
        if slot is None:
            slot = self._slots[number] = {}
            self._loop.call_at(number * SLOT_S, self._look, number)
        slot[call] = at_s
        call.slot = slot

    def _look(self, number: int) -> None:
        for call, at_s in list(self._slots.pop(number).items()):
            if at_s > number * SLOT_S:
                self._place(call, at_s, self._loop.time())
            else:
                call.slot = None
                call.expire()
