"""Counters and gates."""

from __future__ import annotations

import msgspec

from memraft_server.projections.notes import COUNTER, GATE, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import OrderedRecords, VersionedRecords


class CountersProjection:
    """The counters of one namespace: each record is a decimal number."""

    __slots__ = ("records",)

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = OrderedRecords(usage, notes, COUNTER)


class Gate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a gate stands."""

    is_open: bool = False
    parties: int = 0
    """How many have to arrive for it to open; 0 where none have."""
    arrivals: tuple[str, ...] = ()
    """Who has arrived since it was last closed."""


class GatesProjection:
    """The gates of one namespace."""

    __slots__ = ("records",)

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = VersionedRecords(usage, notes, GATE)


encode_gate = msgspec.msgpack.Encoder().encode
decode_gate = msgspec.msgpack.Decoder(Gate).decode
"""Between a gate and its record's value."""
