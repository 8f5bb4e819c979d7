"""What calls on forgetting take and return: frozen values, exported by `memraft.types`."""

from typing import Literal, TypeAlias, TypedDict

import msgspec

ForgetReason: TypeAlias = Literal["", "forgotten", "expired", "evicted", "pruned", "merged"]
"""Why a memory was forgotten: on purpose, its time to live was over, there was no room, it was worth too
little, it was merged into another. Empty: it is not known."""


class MemoryWorth(msgspec.Struct, frozen=True, kw_only=True):
    """What a memory was worth when it was chosen to go: `score` is the sum of the others, from 0 to 1."""

    score: float
    recency: float
    """What its last use added: when it was written or recalled last."""
    frequency: float
    """What it added how often it was recalled."""
    salience: float
    """What its salience added, less what time took off since its last use."""
    impact: float
    """What the answers added that it led to."""


class MemorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How many memories a namespace keeps and for how long, and what counts when some have to go."""

    entries_max: int = 0
    """Most memories; 0: any number."""
    bytes_max: int = 0
    """Most bytes of memories and their embeddings; 0: any number."""
    prune_below: float = 0.0
    """A memory that is worth less than this, from 0 to 1, is forgotten; 0: none is."""
    default_ttl_ms: int = 0
    """Milliseconds until a memory is forgotten that was written without a time to live; 0: never."""
    recency: float = 1.0
    """The weight of how recently a memory was written or recalled."""
    frequency: float = 1.0
    """The weight of how often it was recalled."""
    salience: float = 1.0
    """The weight of its salience, which fades as recency does."""
    impact: float = 1.0
    """The weight of how many answers it led to."""
    half_life_days: float = 30.0
    """Recency halves in so many days."""


class MemorySettingsChanges(TypedDict, total=False):
    """What to change of `MemorySettings`."""

    entries_max: int
    bytes_max: int
    prune_below: float
    default_ttl_ms: int
    recency: float
    frequency: float
    salience: float
    impact: float
    half_life_days: float


class MergedMemories(msgspec.Struct, frozen=True, kw_only=True):
    """Memories that said nearly the same."""

    kept: str
    """The id of the one that is kept."""
    merged: tuple[str, ...]
    """The ids of the others, the nearest first."""
    cosines: tuple[float, ...]
    """How near they were, from 0 to 1."""


class Consolidation(msgspec.Struct, frozen=True, kw_only=True):
    """What a consolidation did, or would do."""

    groups: tuple[MergedMemories, ...]
    """What was merged into what, at most the first 1,000 of these."""
    merged: int
    """How many memories were merged into others."""
    looked: int
    """How many memories were looked at."""
    conflicts: int
    """How many groups were left alone, as somebody changed them meanwhile."""
