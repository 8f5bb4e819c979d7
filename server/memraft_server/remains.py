"""Frees what a machine held, little by little: freeing a million records at once stalls for half a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

STEP_S = 0.002
PAUSE_S = 0.01
ITEMS_A_LOOK = 200
"""Items freed between two looks at the clock."""

_OURS = "memraft_server."


def free_slowly(held: dict[str, Any]) -> None:
    """Takes a machine's remains apart on the running event loop, a fifth of its time; at once without one.

    Args:
        held: what nobody else uses any more.
    """
    steps = _take_apart(held)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return

    def go_on() -> None:
        end = time.monotonic() + STEP_S
        for _ in steps:
            if time.monotonic() > end:
                loop.call_later(PAUSE_S, go_on)
                return

    loop.call_later(PAUSE_S, go_on)


def _take_apart(held: dict[str, Any]) -> Iterator[None]:
    """Empties dictionaries and lists item by item, and those inside first."""
    count = 0
    nested: list[Any] = [held]
    while nested:
        top = nested[-1]
        if isinstance(top, dict) and top:
            item = top.popitem()[1]
        elif isinstance(top, list) and top:
            item = top.pop()
        else:
            nested.pop()
            continue
        del top
        if isinstance(item, dict | list):
            nested.append(item)
        elif type(item).__module__.startswith(_OURS) and not hasattr(item, "__struct_fields__"):
            nested.append(_parts(item))
        item = None
        count += 1
        if count % ITEMS_A_LOOK == 0:
            yield


def _parts(item: Any) -> list[Any]:
    """The containers that one of our own objects holds."""
    names = getattr(type(item), "__slots__", ())
    parts = [getattr(item, name, None) for name in names]
    return [
        part for part in parts if isinstance(part, dict | list) or type(part).__module__.startswith(_OURS)
    ]
