"""Which model made the embeddings of a namespace's memories, and how they move from one to another.

A move begins, embeddings by the next model come in beside those of the main one, and when every memory that
lives has one the next model becomes the main one. Until then both are written and searched. A read of the
past finds the models as they were then; what the old ones made stays for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from memraft_server.projections.embedded import NO_VECTOR
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


class ModelHistory:
    """Which models the memories of a store had, and when.

    Args:
        parent: Of what it is a fork of, if it is one: a fork keeps the models that it began with.
        base: The highest version of the parent that it has.
    """

    __slots__ = ("_base", "_begun", "_parent", "first", "moves")

    def __init__(self, parent: ModelHistory | None, base: int) -> None:
        self.first = (0, "", 0)
        """Dimension and fingerprint of the first embedding that came here, and its version; 0 for none."""
        self.moves: list[Move] = []
        """The steps that were taken here, oldest first."""
        self._parent = parent
        self._base = base
        self._begun = Models(Model(0, 0, ""))

    def begin(self, dimension: int, fingerprint: str, since: int) -> None:
        """Takes what `first` is to be."""
        self.first = (dimension, fingerprint, since)
        self._begun = Models(Model(0, dimension, fingerprint))

    def has_begun(self, ceiling: int) -> bool:
        """Whether there was a model as of `ceiling`."""
        if self._parent is not None and self._parent.has_begun(min(ceiling, self._base)):
            return True
        since = self.first[2] or (self.moves[0].version if self.moves else 0)
        return 0 < since <= ceiling

    def models(self, ceiling: int = NOW) -> Models:
        """Returns the models as of `ceiling`."""
        if self._parent is not None and self._parent.has_begun(self._base):
            return self._parent.models(min(ceiling, self._base))
        models = self._begun
        for move in self.moves:
            if move.version > ceiling:
                break
            if move.step == BEGAN:
                models = Models(models.main, move.model)
            else:
                models = Models(move.model if move.step == FINISHED else models.main)
        return models

    def begun(self, version: int) -> Model | None:
        """Returns the model to which a move began at a version; 0: the first one."""
        if self._parent is not None and self._parent.has_begun(self._base):
            return self._parent.begun(version)
        if not version:
            return self._begun.main
        return next((move.model for move in self.moves if move.model.began == version), None)


def unembedded(store: MemoryStore, model: Model, above: int) -> Iterator[tuple[int, Remembered | None]]:
    """Yields (version, item or None where there is nothing to embed) of what came to a store above a version,
    oldest first; to embed is what lives and has no embedding by `model`."""
    embedded, items = store.found_by.embedded.get(model.began), store.items
    for row in range(store.row_of(above + 1), len(items)):
        item = items[row]
        is_done = item.died != ALIVE or (embedded is not None and embedded.number(row) != NO_VECTOR)
        yield item.version, None if is_done else item


def count_unembedded(store: MemoryStore, model: Model) -> int:
    """Returns how many memories have no embedding by `model`; 0 of a fork, which is not moved."""
    if store.is_fork:
        return 0
    embedded = store.found_by.embedded.get(model.began)
    return store.live_count - (embedded.vectors.live_count if embedded is not None else 0)
