"""Which model made the embeddings of a namespace's memories, and how they move from one to another.

A move begins, embeddings by the next model come in beside those of the main one, and when every memory that
lives has one the next model becomes the main one. Until then both are written and searched. A read of the
past finds the models as they were then; what the old ones made stays for it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from memraft_server.projections.rows import ALIVE
from memraft_server.projections.versions import NOW, Author

if TYPE_CHECKING:
    from memraft_server.projections.memories import MemoryStore, Remembered

BEGAN, FINISHED, CANCELLED = 1, 2, 3


class Model(msgspec.Struct, frozen=True, gc=False):
    """What makes embeddings.

    Attributes:
        began: The version at which the move to it began; 0: it is the first one.
        dimension: Components of an embedding; 0: there is none yet.
        fingerprint: Names it.
    """

    began: int
    dimension: int
    fingerprint: str


class Models(NamedTuple):
    """The models of one moment.

    Attributes:
        main: Of all embeddings, but during a move.
        next: To which the memories move; None: they do not.
    """

    main: Model
    next: Model | None = None

    def all(self) -> list[Model]:
        """Returns the main one, and the next one if there is one."""
        return [self.main] if self.next is None else [self.main, self.next]

    def named(self, dimension: int, fingerprint: str) -> Model | None:
        """Returns the one that makes such embeddings."""
        for model in self.all():
            if (model.dimension, model.fingerprint) == (dimension, fingerprint):
                return model
        return None

    def after(self, moves: Sequence[Move]) -> Models:
        """Returns the models after these moves."""
        models = self
        for move in moves:
            if move.step == BEGAN:
                models = Models(models.main, move.model)
            else:
                models = Models(move.model if move.step == FINISHED else models.main)
        return models


NO_MODELS = Models(Model(0, 0, ""))


class Move(msgspec.Struct, frozen=True, gc=False):
    """A step of a move: `BEGAN`, `FINISHED` or `CANCELLED`.

    Attributes:
        version: At which it was taken.
        model: The one that was moved to.
    """

    version: int
    step: int
    model: Model
    author: Author


def version_of(move: Move) -> int:
    """Returns the move's version; the key of binary searches."""
    return move.version


def moves_until(moves: list[Move], ceiling: int) -> list[Move]:
    """Returns the moves whose version is not above `ceiling`."""
    return moves if ceiling == NOW else moves[: bisect_right(moves, ceiling, key=version_of)]


def unembedded(store: MemoryStore, model: Model, above: int) -> Iterator[tuple[int, Remembered | None]]:
    """Yields (version, item or None where there is nothing to embed) of the memories above a version, oldest
    first: those that live and have no embedding by `model`."""
    for item in store.items_above(above):
        lacks = store.ended(item) == ALIVE and not store.is_embedded(item, model)
        yield item.version, item if lacks else None


def count_unembedded(store: MemoryStore, model: Model) -> int:
    """Returns how many memories have no embedding by `model`. Of a fork it looks at each."""
    if not store.is_fork:
        embedded = store.found_by.embedded.get(model.began)
        return store.live_count - (embedded.vectors.live_count if embedded is not None else 0)
    return sum(item is not None for _, item in unembedded(store, model, 0))
