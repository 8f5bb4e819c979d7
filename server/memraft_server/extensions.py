"""Finds the classes of projections that a configuration names, and says what is wrong with them."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from memraft_server.machine.hosted import PROJECTIONS_MAX, Make
from memraft_server.projections.protocol import KINDS

NAME_BYTES_MAX = 128


class ProjectionUnusable(Exception):
    """What was registered is no projection; the message says why."""


def load_projections(given: Sequence[str | type[Any]]) -> dict[str, Make]:
    """Returns the classes by the names that queries call them.

    Args:
        given: Each a class, or `package.module:Class`.

    Raises:
        ProjectionUnusable: one cannot be imported or is no projection, or two have one name.
    """
    if isinstance(given, str | type):
        raise ProjectionUnusable(f"projections: a list of classes, not {given!r}")
    if len(given) > PROJECTIONS_MAX:
        raise ProjectionUnusable(f"projections: {len(given)}, at most {PROJECTIONS_MAX}")
    found: dict[str, Make] = {}
    for each in given:
        made = _imported(each) if isinstance(each, str) else each
        name = _checked(each, made)
        if name in found:
            raise ProjectionUnusable(f"projection {name!r}: {each!r} has this name, and another one, too")
        found[name] = made
    return found


def _imported(path: str) -> Any:
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise ProjectionUnusable(f"projection {path!r}: such as 'package.module:Class'")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # somebody's module may raise anything
        raise ProjectionUnusable(f"projection {path!r}: {type(error).__name__}: {error}") from error


def _checked(given: str | type[Any], made: Any) -> str:
    """Returns the name of a class that is a projection."""
    what = f"projection {given!r}"
    if not isinstance(made, type):
        raise ProjectionUnusable(f"{what}: {made!r} is no class")
    name, kinds = getattr(made, "name", None), getattr(made, "kinds", None)
    if not isinstance(name, str) or not 0 < len(name.encode()) <= NAME_BYTES_MAX or not name.isprintable():
        raise ProjectionUnusable(f"{what}: name = {name!r}: a text of 1 to {NAME_BYTES_MAX} bytes")
    known = ", ".join(KINDS)
    if not isinstance(kinds, tuple | list) or not kinds or not all(kind in KINDS for kind in kinds):
        raise ProjectionUnusable(f"{what}: kinds = {kinds!r}: a tuple of some of {known}")
    for method in ("apply", "query"):
        if not callable(getattr(made, method, None)):
            raise ProjectionUnusable(f"{what}: it has no method {method}")
    return name
