"""How many memories a namespace keeps and for how long: the part of its settings that is about them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from memraft_proto.v1 import namespace_pb2
from memraft_server.machine.forgetting import note_limits
from memraft_server.machine.limits import Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import invalid
from memraft_server.machine.turn import Turn, View
from memraft_server.machine.validate_common import check_count
from memraft_server.projections.forgetting import (
    KEEP_ALL,
    ForgettingProjection,
    Keeping,
    encode_keeping,
    keeping_of,
)
from memraft_server.projections.settings import MEMORIES

ENTRIES_MAX_MAX = 1 << 32
BYTES_MAX_MAX = 1 << 50
_WEIGHTS = ("recency", "frequency", "salience", "impact")
_RANGES = {
    **dict.fromkeys(_WEIGHTS, (0.0, 100.0)),
    "prune_below": (0.0, 1.0),
    "half_life_days": (0.001, 36_500.0),  # from a minute and a half to a hundred years
}


def changed_rules(space: Namespace, changed: namespace_pb2.MemorySettings) -> Keeping:
    """Returns these settings with what is there of others. Raises Refused, as long as nothing is changed."""
    before = space.settings.memories if space.settings is not None else KEEP_ALL
    rules = replace(before, **_given(changed))
    _check_ranges(rules)
    if not rules.weight:
        raise invalid(f"memories: {', '.join(_WEIGHTS)}: one of these weights must be above 0")
    return rules


def change_memory_settings(turn: Turn, space: Namespace, rules: Keeping) -> None:
    """Makes these the settings."""
    space.make_settings().records.store(MEMORIES, encode_keeping(rules), turn.version, turn.author, 0)
    note_limits(turn, space)


def fill_memory_settings(
    view: View, space: Namespace, response: namespace_pb2.GetNamespaceSettingsResponse
) -> None:
    """Writes these settings into a reply, and how many memories there are."""
    if space.settings is None:
        return
    record = space.settings.records.at(MEMORIES, view.ceiling)
    rules = keeping_of(record)
    for field in rules.__struct_fields__:
        setattr(response.memories, field, getattr(rules, field))
    if record is not None:
        view.fill_provenance(response.memories_provenance, record.version, record.author)
    worths = space.projection(ForgettingProjection).worths
    if view.is_now and worths is not None:
        response.memories_entries, response.memories_bytes = len(worths), worths.bytes


def check_memory_settings(rules: namespace_pb2.MemorySettings, limits: Limits) -> None:
    """Refuses what is out of range."""
    check_count("memories.default_ttl_ms", rules.default_ttl_ms, limits.ttl_ms_max)
    check_count("memories.entries_max", rules.entries_max, ENTRIES_MAX_MAX)
    check_count("memories.bytes_max", rules.bytes_max, BYTES_MAX_MAX)
    if rules.ListFields():
        _check_ranges(replace(KEEP_ALL, **_given(rules)))


def _given(rules: namespace_pb2.MemorySettings) -> dict[str, Any]:
    return {field.name: value for field, value in rules.ListFields()}


def _check_ranges(rules: Keeping) -> None:
    for name, (least, most) in _RANGES.items():
        value = getattr(rules, name)
        if not least <= value <= most:  # NaN fails too
            field = f"memories.{name}"
            raise invalid(f"{field}: {value:g}, from {least:g} to {most:g}", field=field, limit=f"{most:g}")
