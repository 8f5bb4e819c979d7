"""How far back the past of a namespace reaches, and what must be known of what was forgotten for ever.

Records like all others, so they are on disk, in snapshots and in backups; but only the latest version of each
is kept, since nobody asks how far the past once reached back.
"""

from __future__ import annotations

import msgspec

from memraft_server.projections.notes import FLOOR, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import NOBODY, NOW, VersionedRecords

_FLOOR = "floor"
_MODEL = "memories"
_STREAM = "stream:"
_encode = msgspec.msgpack.Encoder().encode
_decode_stream = msgspec.msgpack.Decoder(tuple[int, bytes]).decode
_decode_model = msgspec.msgpack.Decoder(tuple[int, str, int]).decode


class FloorsProjection:
    """Of one namespace. A fork has none: nothing that is written in it is forgotten."""

    __slots__ = ("records",)

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = VersionedRecords(usage, notes, FLOOR)

    @property
    def floor(self) -> int:
        """The version from which on reads are as they were; 0 where nothing was forgotten."""
        found = self.records.heads.get(_FLOOR)
        return int(found.value) if found is not None and found.value is not None else 0

    def raise_to(self, floor: int, version: int) -> None:
        """Notes at `version` that reads are as they were from `floor` on, and not below."""
        if floor > self.floor:
            self._keep(_FLOOR, b"%d" % floor, version)

    def stream(self, name: str) -> tuple[int, bytes] | None:
        """Returns how many events of a stream were forgotten, and the hash of the last one; None: none."""
        found = self.records.heads.get(_STREAM + name)
        return _decode_stream(found.value) if found is not None and found.value is not None else None

    def note_stream(self, name: str, count: int, digest: bytes, version: int) -> None:
        """Notes what `stream` tells."""
        self._keep(_STREAM + name, _encode((count, digest)), version)

    @property
    def model(self) -> tuple[int, str, int] | None:
        """What `MemoryStore.model` was when memories were last forgotten; None: none were."""
        found = self.records.heads.get(_MODEL)
        return _decode_model(found.value) if found is not None and found.value is not None else None

    def note_model(self, model: tuple[int, str, int], version: int) -> None:
        """Notes what `model` tells."""
        if model != self.model:
            self._keep(_MODEL, _encode(model), version)

    def _keep(self, name: str, value: bytes, version: int) -> None:
        self.records.store(name, value, version, NOBODY, 0)
        self.records.trim(name, version - 1, NOW)
