"""What calls on indexes of documents return: frozen values, exported by `memraft.types`."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from ._moments import datetime_of

IndexState: TypeAlias = Literal["building", "ready", "absent"]
"""How an index of documents stands on the replica that answers.

``building``: it is being built; queries look at all documents.
``ready``: it is in use.
``absent``: there is none; queries look at all documents. In a fork, its parent has dropped it or has changed
too much since: dropped and declared in the fork itself, it is built there.
"""


class DocumentIndex(msgspec.Struct, frozen=True, kw_only=True):
    """An index that is declared on a field of the documents."""

    field: str
    state: IndexState
    entries: int
    """Documents that have the field, as far as it is built; in a fork that uses its parent's, those there."""
    version: int
    """Of the declaration."""
    time_us: int
    """When that was: commit time in microseconds since the Unix epoch."""
    agent: str
    """Who declared it."""

    @property
    def at(self) -> datetime:
        """`time_us`, aware, in UTC."""
        return datetime_of(self.time_us)
