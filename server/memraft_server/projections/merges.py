"""Which forks were merged into a namespace, and up to where."""

from __future__ import annotations

import msgspec

from memraft_server.projections.notes import MERGE, Notes
from memraft_server.projections.usage import Usage
from memraft_server.projections.versions import Author, VersionedRecords

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int]).decode


class MergesProjection:
    """The last merge of each fork of a namespace: what was written in the fork up to then is merged."""

    __slots__ = ("records",)

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self.records = VersionedRecords(usage, notes, MERGE)

    def merged(self, fork: str, made_version: int) -> int:
        """Returns the version up to which a fork is merged; 0 for nothing.

        Args:
            fork: Its whole name.
            made_version: The version that made it: another fork may have had its name before.
        """
        record = self.records.head(fork)
        if record is None or record.value is None:
            return 0
        made, merged = _decode(record.value)
        return merged if made == made_version else 0

    def note(self, fork: str, made_version: int, version: int, author: Author) -> None:
        """A fork is merged up to `version`, which this takes."""
        self.records.store(fork, _encode((made_version, version)), version, author, 0)
