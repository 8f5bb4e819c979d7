"""What is known of recalls afterwards: frozen values, exported by `memraft.types`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ._moments import datetime_of

if TYPE_CHECKING:
    from .types import MemoryItem
    from .types_history import Happening
    from .types_recall import Reason, RecallParameters


class ReceiptHit(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that a recall returned."""

    id: str
    version: int
    """Of the memory, as it was returned: `m.memory(id, at=hit.log_index)` reads it."""
    score: float
    reasons: tuple[Reason, ...] = ()

    @property
    def log_index(self) -> int:
        """The log index of the memory's version: what `at=` takes."""
        return self.version >> 20


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The durable record of a recall: what was asked, and what was answered from which state."""

    id: str
    query: str
    """The text; empty where only an embedding was asked for."""
    hits: tuple[ReceiptHit, ...]
    """What was returned, best first."""
    log_index: int
    """Of the state that was searched: `at=receipt.log_index` finds it again."""
    time_us: int
    """Commit time of that index, in microseconds since the Unix epoch."""
    recalled_at_us: int
    """When the leader answered, in microseconds since the Unix epoch."""
    agent: str = ""
    run: str = ""
    turn: str = ""
    k: int = 0
    """How many were asked for; 0: as many as the server has by default."""
    tokens: int = 0
    about: str = ""
    about_hops: int = 0
    kind: str = ""
    filter: dict[str, Any] | None = None
    valid_at_us: int | None = None
    at_index: int | None = None
    """The log index that the recall asked for with `at=`."""
    at_time_us: int | None = None
    """The moment that the recall asked for with `at=`, in microseconds since the Unix epoch."""
    parameters: RecallParameters
    """What was counted with."""
    fingerprint: str = ""
    """What made the embeddings that were compared; empty: none were."""
    embedding_hash: bytes = b""
    """SHA-256 of the query's embedding, float32 and little-endian; empty: there was none."""
    pipeline: int = 0
    """Which version of the pipeline searched."""
    is_cut: bool = False
    """Whether reasons were left out, because the receipt would have been too large."""
    version: int = 0
    """Of the receipt itself."""
    committed_at_us: int = 0
    """When it was committed, in microseconds since the Unix epoch."""

    @property
    def at(self) -> datetime:
        """`time_us`, aware, in UTC."""
        return datetime_of(self.time_us)

    @property
    def recalled_at(self) -> datetime:
        """`recalled_at_us`, aware, in UTC."""
        return datetime_of(self.recalled_at_us)


class LineageMemory(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that an answer was made from."""

    id: str
    version: int
    score: float
    """That it had in the recall."""
    memory: MemoryItem | None
    """As it was recalled, with who wrote it in which run; None where retention has forgotten it."""
    is_current: bool
    """Whether it still says the same."""
    around: tuple[Happening, ...] = ()
    """The last events and traces of the run that wrote it, up to then, newest first."""


class LineageReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """A recall that an answer was made from."""

    id: str
    receipt: Receipt | None
    """The receipt, without its hits; None where its time to live is over."""
    memories: tuple[LineageMemory, ...]
    """Those that were used."""
    version: int
    """Of what ties the answer to it."""
    time_us: int
    """When that was written, in microseconds since the Unix epoch."""
    agent: str
    run: str
    tool: str

    @property
    def at(self) -> datetime:
        """`time_us`, aware, in UTC."""
        return datetime_of(self.time_us)


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What is behind an answer."""

    answer_id: str
    receipts: tuple[LineageReceipt, ...]
    """Empty where nothing is known of the answer."""
    is_cut: bool
    """Whether there is more than fits one reply."""
    log_index: int
    """The applied log index of the replica that answered."""
    time_us: int
    """Commit time of that index, in microseconds since the Unix epoch."""

    @property
    def memories(self) -> tuple[LineageMemory, ...]:
        """The memories of all receipts."""
        return tuple(each for receipt in self.receipts for each in receipt.memories)
