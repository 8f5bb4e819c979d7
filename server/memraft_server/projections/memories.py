"""What agents remember: texts with whom they are about, found by id, by age and by the meaning of a query."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, takewhile
from struct import Struct
from typing import Protocol

import msgspec
import numpy as np

from memraft_server.projections.embedded import NO_VECTOR, Embedded
from memraft_server.projections.memory_rows import MemoryRows, Wanted
from memraft_server.projections.notes import EMBEDDING, MEMORY, MODEL, Notes
from memraft_server.projections.reembedding import BEGAN, FINISHED, Model, ModelHistory, Models, Move
from memraft_server.projections.rows import ALIVE, ROW_BYTES, RowStore
from memraft_server.projections.usage import Usage
from memraft_server.projections.validity import holds_at
from memraft_server.projections.vector_math import Floats, Rows
from memraft_server.projections.versions import NOBODY, NOW, Author

MEMORY_BYTES = 600
"""What a memory takes beside its texts, its metadata and its embedding. Measured over 20,000 texts of 15
words: 270 in the store and 360 in the index that recall looks in."""

NO_ROW = -1
_one, _two = Struct(">Q").pack, Struct(">QQ").pack


class Remembered(msgspec.Struct, gc=False):
    """One version of a memory.

    Attributes:
        valid_from_us: It is true from then on, in microseconds since the epoch; 0: it always was.
        valid_until_us: It is true until before then. 0: it has no end.
        thread: The conversation that it is a turn of; empty: none.
        speaker: Who said it; empty: nobody in particular.
        pinned: It is never forgotten to make room.
        expires_at_us: It is to be forgotten then, in microseconds since the epoch; 0: never.
        row: The number of its embedding by the first model, or `NO_ROW`.
        died: The version that replaced it or forgot it; above every ceiling while it lives.
    """

    id: str
    text: str
    metadata: bytes
    about: str
    kind: str
    salience: float
    version: int
    author: Author
    row: int = NO_ROW
    died: int = ALIVE
    valid_from_us: int = 0
    valid_until_us: int = 0
    thread: str = ""
    speaker: str = ""
    pinned: bool = False
    expires_at_us: int = 0

    def holds_at(self, time_us: int | None) -> bool:
        """Whether it is true in the world at a moment; None: at any."""
        return time_us is None or holds_at(self.valid_from_us, self.valid_until_us, time_us)


def size_of(item: Remembered) -> int:
    """Returns what a memory takes without its embedding, in bytes."""
    texts = len(item.text.encode()) + len(item.metadata) + len(item.id) + len(item.about) + len(item.kind)
    return MEMORY_BYTES + texts + len(item.thread) + len(item.speaker)


MemoryChange = tuple[int, str, Remembered | None, Remembered | None]
"""(version, id, what it replaced, what there is now): at least one of both is there."""


def version_of(item: Remembered) -> int:
    """Returns the item's version; the key of binary searches."""
    return item.version


class Follower(Protocol):
    """Is told what becomes of the memories of a store; a row is a place in `MemoryStore.items`."""

    def added(self, row: int, item: Remembered, replaced: Remembered | None) -> None:
        """A memory was appended, in place of another where it has its id."""

    def ended(self, item: Remembered) -> None:
        """A memory of the store was replaced or forgotten."""


class MemoryStore:
    """The memories of one namespace. All embeddings have the dimension and fingerprint of the first one,
    until they move to another model (`reembedding`).

    A ceiling is the highest version to see: an item is seen if `version <= ceiling < died`.

    The store of a fork holds what was remembered in the fork, and when what it has of its parent ended in it.
    """

    __slots__ = (
        "_add", "_base", "_delete", "_embedding_prefix", "_ended", "_ended_at",
        "_ended_born", "_enders", "_heads", "_history", "_model_prefix", "_parent", "_past",
        "_prefix", "_usage", "follower", "found_by", "items", "live_count", "on_change",
    )  # fmt: skip

    def __init__(self, usage: Usage, notes: Notes | None = None) -> None:
        self._usage = usage
        self.on_change: Callable[[int, str, Remembered | None, Remembered | None], object] | None = None
        """Called with every `MemoryChange`; None: nobody watches."""
        self._add = notes.add if notes is not None else None
        self._delete = notes.delete if notes is not None else None
        self._prefix = notes.prefix(MEMORY) if notes is not None else b""
        self._embedding_prefix = notes.prefix(EMBEDDING) if notes is not None else b""
        self._model_prefix = notes.prefix(MODEL) if notes is not None else b""
        self.live_count = 0
        """How many memories that came here live."""
        self._heads: dict[str, Remembered] = {}
        self._past: dict[str, list[Remembered]] = {}
        self.items: list[Remembered] = []
        """All that came here and is kept, in order of version."""
        self.found_by = MemoryRows(self.items)
        """Their embeddings, and what filters ask for; a row is a place in `items`."""
        self.follower: Follower | None = None
        """Is told of all that changes here; None: nobody is."""
        self._enders: dict[int, Author] = {}
        """Version at which a memory was forgotten -> by whom."""
        self._base = notes.base if notes is not None else 0
        self._ended: dict[str, tuple[int, bool]] = {}
        """Of a fork: id of a memory of its parent -> the version at which it ended here, and whether it may
        have an embedding."""
        self._ended_at, self._ended_born = array("q"), array("q")
        """Of the same: the versions at which they ended here, and the versions that ended."""
        self._parent: MemoryStore | None = notes.join(MEMORY, self) if notes is not None else None
        self._history = ModelHistory(self._parent._history if self._parent is not None else None, self._base)

    def all_rows(self) -> list[RowStore]:
        """Returns the embeddings by each model that is in use."""
        return [each.vectors for each in self.found_by.embedded.values() if each.is_open]

    @property
    def dimension(self) -> int:
        """Of all embeddings by the main model; 0 before there is one."""
        return self.models().main.dimension

    @property
    def fingerprint(self) -> str:
        """Names the main model."""
        return self.models().main.fingerprint

    @property
    def is_fork(self) -> bool:
        """Whether it goes back to what another store has."""
        return self._parent is not None

    def has_embeddings(self, ceiling: int) -> bool:
        """Whether there was an embedding as of `ceiling`."""
        return self._history.has_begun(ceiling)

    def put(self, item: Remembered, embeddings: Sequence[tuple[Model, Floats]]) -> None:
        """Stores a memory, replacing the one with its id.

        Args:
            item: The new version, with no row yet.
            embeddings: What models in use made of it, each finite and of its model's dimension.
        """
        if self._add is not None:
            first = next((each for each in embeddings if not each[0].began), None)
            embedding, fingerprint = (first[1], first[0].fingerprint) if first is not None else (None, "")
            self._add((self._prefix, item, embedding, fingerprint))
        if self.on_change is not None:
            self.on_change(item.version, item.id, self.get(item.id, item.version - 1), item)
        old = self._heads.get(item.id)
        if old is not None:
            self._end(old, item.version)
            self._past.setdefault(item.id, []).append(old)
        else:
            self._end_inherited(item.id, item.version)
        self._heads[item.id] = item
        self.items.append(item)
        usage = self._usage
        usage.records += 1
        usage.bytes += size_of(item)
        self.live_count += 1
        self.found_by.add(item)
        for model, embedding in embeddings:
            self._embed(len(self.items) - 1, embedding, model, item.version)
        if self.follower is not None:
            self.follower.added(len(self.items) - 1, item, old)

    def restore(self, item: Remembered, embedding: Floats | None, fingerprint: str) -> None:
        """Stores a memory as it once was, with its embedding by the first model."""
        model = Model(0, len(embedding) if embedding is not None else 0, fingerprint)
        self.put(item, ((model, embedding),) if embedding is not None else ())

    def forget(self, id: str, version: int, author: Author = NOBODY) -> bool:
        """Ends the life of a memory; returns whether there was one."""
        if author is not NOBODY and self.get(id, version) is not None:
            self._enders[version] = author
        if self.on_change is not None and (lived := self.get(id, version - 1)) is not None:
            self.on_change(version, id, lived, None)
        item = self._heads.get(id)
        if item is None:
            return self._end_inherited(id, version)
        if item.died != ALIVE:
            return False
        self._end(item, version)
        return True

    def ender(self, version: int) -> Author:
        """Returns who forgot a memory at this version; `NOBODY` where that is not known."""
        if version <= self._base and self._parent is not None:
            return self._parent.ender(version)
        return self._enders.get(version, NOBODY)

    def restore_end(self, version: int, died: int, author: Author = NOBODY) -> None:
        """Ends the life, at `died`, of the memory of `version`: the one stored last, or in a fork one of its
        parent. Raises LookupError."""
        if author is not NOBODY:
            self._enders[died] = author
        if version <= self._base and self._parent is not None:
            if not self._end_inherited(self._parent.id_of(version), died):
                raise LookupError(f"the parent has no memory of version {version} to end")
            return
        item = self.items[-1]
        if item.version != version:
            raise LookupError(f"there is no memory of version {version} to end")
        self._end(item, died)

    def get(self, id: str, ceiling: int) -> Remembered | None:
        """Returns the memory with this id as of `ceiling`."""
        item = self._heads.get(id)
        if item is not None and item.version > ceiling:
            past = self._past.get(id, [])
            position = bisect_right(past, ceiling, key=version_of)
            item = past[position - 1] if position else None
        if item is None and self._parent is not None:
            return None if self._has_ended(id, ceiling) else self._parent.get(id, min(ceiling, self._base))
        return item if item is not None and item.died > ceiling else None

    @property
    def model(self) -> tuple[int, str, int]:
        """The dimension and fingerprint of the first embedding that came here, and its version: what stays
        when all memories were forgotten for ever."""
        return self._history.first

    def restore_model(self, dimension: int, fingerprint: str, since: int) -> None:
        """Takes what `model` was, before any memory."""
        self._history.begin(dimension, fingerprint, since)

    def count_ended(self, id: str) -> int:
        """Returns how much of what stood under an id ended here and is kept."""
        head = self._heads.get(id)
        return len(self._past.get(id, ())) + (head is not None and head.died != ALIVE)

    def ended_of(self, id: str, count_max: int) -> list[int]:
        """Returns the first `count_max` versions at which what stood under an id ended here, oldest first."""
        head = self._heads.get(id)
        found = [item.died for item in islice(self._past.get(id, ()), count_max)]
        is_over = head is not None and head.died != ALIVE and len(found) < count_max
        return [*found, head.died] if head is not None and is_over else found

    def items_of(self, id: str, ceiling: int) -> list[Remembered]:
        """Returns all that ever stood under an id and is kept, oldest first, none above `ceiling`."""
        found = self._parent.items_of(id, min(ceiling, self._base)) if self._parent is not None else []
        own = [*self._past.get(id, ()), *([self._heads[id]] if id in self._heads else ())]
        return found + [item for item in own if item.version <= ceiling]

    def items_about(self, about: str, ceiling: int) -> list[Remembered]:
        """Returns all that was ever remembered about an entity and is kept, oldest first, none above
        `ceiling`."""
        found = self._parent.items_about(about, min(ceiling, self._base)) if self._parent is not None else []
        own = [self.items[row] for row in self.found_by.about(about)]
        return found + [item for item in own if item.version <= ceiling and item.about]

    def ended(self, item: Remembered) -> int:
        """Returns the version at which an item ended, in a fork perhaps only there; above every ceiling while
        it lives."""
        if self._parent is not None and item.version <= self._base:
            died = self._parent.ended(item)
            return died if died <= self._base else self._ended.get(item.id, (ALIVE, False))[0]
        return item.died

    def trim(self, id: str, through: int, pin: int) -> tuple[int, int]:
        """Forgets for ever what stood under an id and ended up to version `through`; see `versions`.

        What an embedding takes in memory comes free when the machine is loaded again.
        """
        end = min(through, pin)
        past, head = self._past.get(id, []), self._heads.get(id)
        gone = list(takewhile(lambda item: item.died <= end, past))
        if gone:
            del past[: len(gone)]
            if not past:
                del self._past[id]
        if head is not None and head.died <= end and not past:
            gone.append(head)
            del self._heads[id]
        keys: list[bytes] = []
        for item in gone:
            keys += (self._prefix + _one(item.version), self._prefix + _two(item.version, item.died))
            self._usage.bytes -= size_of(item)
            self._enders.pop(item.died, None)
            blank = Remembered("", "", b"", "", "", 0.0, item.version, NOBODY, item.row, item.died)
            row = self.row_of(item.version)
            self.items[row] = blank
            for began, embedded in self.found_by.embedded.items():
                if (vector := embedded.number(row)) != NO_VECTOR:
                    self._usage.bytes -= 4 * embedded.vectors.dimension + ROW_BYTES
                    born = embedded.vectors.born(vector)
                    if began:
                        keys.append(self._embedding_prefix + _two(began, born))
                    elif born > item.version:
                        keys.append(self._prefix + _two(born, born))
        if self._delete is not None:
            self._delete(keys)
        return len(gone), gone[-1].died if gone else 0

    def heads_of(self, ids: Iterable[str]) -> list[Remembered]:
        """Returns what came here last under each of these ids, where something did."""
        heads = self._heads
        return [heads[id] for id in ids if id in heads]

    def row_of(self, version: int) -> int:
        """Returns the row of what was remembered here at `version`."""
        return bisect_left(self.items, version, key=version_of)

    def id_of(self, version: int) -> str:
        """Returns the id of the memory of `version`. Raises LookupError."""
        if version <= self._base and self._parent is not None:
            return self._parent.id_of(version)
        position = bisect_left(self.items, version, key=version_of)
        if position == len(self.items) or self.items[position].version != version:
            raise LookupError(f"there is no memory of version {version}")
        return self.items[position].id

    def ids(self) -> list[str]:
        """Returns the ids of all memories that ever were, of a fork those that were changed in it."""
        return [*self._heads, *(id for id in self._ended if id not in self._heads)]

    def changes_of(self, id: str, above: int) -> Iterator[MemoryChange]:
        """Yields what became of a memory at versions above a version."""
        head = self._heads.get(id)
        for item in (*self._past.get(id, ()), head) if head is not None else ():
            if item.version > above:
                yield item.version, id, self.get(id, item.version - 1), item
            if above < item.died != ALIVE and self.get(id, item.died) is None:
                yield item.died, id, item, None
        died = self._ended[id][0] if id in self._ended else 0
        if died > above and self.get(id, died) is None:
            yield died, id, self.get(id, died - 1), None

    def changed(self, low: int, high: int) -> Iterator[str]:
        """Yields the ids of the memories that were remembered, replaced or forgotten here above version `low`
        and up to `high`; some may come twice."""
        for item in self.items:
            if (low < item.version <= high or low < item.died <= high) and item.id in self._heads:
                yield item.id
        for id, (died, _) in self._ended.items():
            if low < died <= high:
                yield id

    def embedding_of(self, item: Remembered, model: Model | None = None) -> Floats | None:
        """Returns what a model (None: the main one) made of a memory, perhaps scaled to length one; None
        where it made nothing of it."""
        model = model or self.models().main
        if item.version <= self._base and self._parent is not None:
            return self._parent.embedding_of(item, model) if self.is_embedded(item, model) else None
        embedded = self.found_by.embedded.get(model.began)
        return embedded.embedding(self.row_of(item.version)) if embedded is not None else None

    def embeddings_of(self, item: Remembered) -> list[tuple[Model, Floats]]:
        """Returns what each model that is in use made of a memory."""
        found = [(model, self.embedding_of(item, model)) for model in self.models().all()]
        return [(model, embedding) for model, embedding in found if embedding is not None]

    def is_embedded(self, item: Remembered, model: Model, ceiling: int = NOW) -> bool:
        """Whether a memory has an embedding by a model, as of `ceiling`."""
        if item.version <= self._base and self._parent is not None:
            return self._parent.is_embedded(item, model, min(ceiling, self._base))
        embedded = self.found_by.embedded.get(model.began)
        vector = embedded.number(self.row_of(item.version)) if embedded is not None else NO_VECTOR
        return embedded is not None and vector != NO_VECTOR and embedded.vectors.born(vector) <= ceiling

    def lacks(self, item: Remembered, model: Model) -> bool:
        """Whether a memory that came here has no embedding by a model."""
        return item.version > self._base and not self.is_embedded(item, model)

    # Moving to another model

    def models(self, ceiling: int = NOW) -> Models:
        """Returns the models as of `ceiling`; a fork keeps those that it began with."""
        return self._history.models(ceiling)

    def model_for(self, dimension: int, fingerprint: str) -> Model | None:
        """Returns the model in use that makes such embeddings, where there is none in use any; None where
        other ones are."""
        models = self.models()
        if not models.main.dimension:
            return Model(0, dimension, fingerprint)
        return models.named(dimension, fingerprint)

    def move(self, step: int, model: Model, version: int, author: Author) -> None:
        """Begins, finishes or cancels the move to a model; the caller has compared it with `models`."""
        closed = self.models().main if step == FINISHED else model
        move = Move(version, step, model, author)
        if self._add is not None:
            self._add((self._model_prefix, move, self.model))
        self._history.moves.append(move)
        embedded = self.found_by.embedded.get(closed.began) if step != BEGAN else None
        if embedded is not None:
            embedded.is_open = False
            self._usage.vectors -= embedded.vectors.live_count

    def restore_move(self, move: Move, first: tuple[int, str, int]) -> None:
        """Takes a step that was taken here when `model` was `first`, before any memory."""
        if not self.model[0]:
            self.restore_model(*first)
        self._history.moves.append(move)

    def embed(self, item: Remembered, embedding: Floats, model: Model, born: int) -> None:
        """Adds, at version `born`, what a model made of a memory that came here and has none by it yet."""
        self._embed(self.row_of(item.version), embedding, model, born)

    def restore_embedding(self, version: int, embedding: Floats, model: int, born: int) -> None:
        """Takes what was made, by the model to which the move began at `model`, of the memory of `version`,
        which is there already. Raises LookupError."""
        self.id_of(version)
        row = self.row_of(version)
        begun = self._history.begun(model)
        if begun is None:
            raise LookupError(f"there is no model of version {model}")
        self._embed(row, embedding, begun, born)
        item = self.items[row]
        if item.died != ALIVE:
            self._kill(self.found_by.embedded[model], row, item.died)

    def _embed(self, row: int, embedding: Floats, model: Model, born: int) -> None:
        spaces = self.found_by.embedded
        if not model.began and not self.model[2]:
            self.restore_model(model.dimension, model.fingerprint, born)
        embedded = spaces.get(model.began)
        if embedded is None:
            embedded = spaces[model.began] = Embedded(len(embedding), self._parent is not None)
            embedded.is_open = any(each.began == model.began for each in self.models().all())
        item = self.items[row]
        if self._add is not None and model.began:
            self._add((self._embedding_prefix, model.began, born, item.version, embedding))
        elif self._add is not None and born > item.version:  # among the memories: rows stay in their order
            self._add((self._prefix, born, item.version, embedding, None))
        vector = embedded.add(row, embedding, born)
        if not model.began:
            item.row = vector
        self._usage.vectors += embedded.is_open
        self._usage.bytes += 4 * embedded.vectors.dimension + ROW_BYTES

    def _kill(self, embedded: Embedded, row: int, version: int) -> None:
        if embedded.kill(row, version):
            self._usage.vectors -= embedded.is_open

    def newest(self, about: str, ceiling: int, below: int) -> Iterator[tuple[int, Remembered | None]]:
        """Yields (version, item or None where it is not seen), newest first.

        Args:
            about: Only memories about this entity; empty: all.
            ceiling: The highest version to see.
            below: Begin with the newest whose version is lower than this.
        """
        items = self.items
        start = bisect_left(items, min(ceiling + 1, below), key=version_of)
        if about:
            chosen = self.found_by.about(about)
            rows = (chosen[i] for i in range(bisect_left(chosen, start) - 1, -1, -1))
        else:
            rows = (i for i in range(start - 1, -1, -1))
        for row in rows:
            item = items[row]
            yield item.version, item if item.died > ceiling else None
        if self._parent is not None:
            for version, inherited in self._parent.newest(about, min(ceiling, self._base), below):
                ended = inherited is None or self._has_ended(inherited.id, ceiling)
                yield version, None if ended else inherited

    def parts(self, ceiling: int) -> Iterator[tuple[MemoryStore, int, Rows]]:
        """Yields the stores that a read sees as of `ceiling`, this one first, then what it is a fork of: each
        with the highest version to see of it, and the versions of what ended in those before."""
        store, ended = self, np.empty(0, np.int64)
        while True:
            yield store, ceiling, ended
            if store._parent is None:
                return
            here = np.frombuffer(store._ended_at, np.int64) <= ceiling
            ended = np.concatenate((ended, np.frombuffer(store._ended_born, np.int64)[here]))
            ceiling, store = min(ceiling, store._base), store._parent

    def recall(
        self,
        embedding: Floats,
        k: int,
        ceiling: int | None,
        wanted: Wanted,
        model: Model | None = None,
    ) -> list[tuple[Remembered, float]]:
        """Finds the memories nearest to a query.

        Args:
            embedding: Shape (dimension,), finite.
            k: How many at most.
            ceiling: None for now, else the highest version to see.
            wanted: Which it may find.
            model: What made the embedding, of `models` as of the ceiling; None: the main one.

        Returns:
            (memory, cosine), best first.
        """
        model = model or self.models(NOW if ceiling is None else ceiling).main
        found, scores = self.found_by.search(model.began, embedding, k, ceiling, wanted)
        own = [(self.items[row], score) for row, score in zip(found, scores, strict=True)]
        if self._parent is None or not self._parent.has_embeddings(self._base):
            return own
        seen = NOW if ceiling is None else ceiling
        ended = {id for id, (died, embedded) in self._ended.items() if embedded and died <= seen}
        base = min(seen, self._base)
        # As many more as ended here: so `k` of the others are among them, if there are so many.
        older = self._parent.recall(embedding, k + len(ended), base, wanted, model)
        both = [pair for pair in older if pair[0].id not in ended] + own
        both.sort(key=lambda pair: -pair[1])  # stable: of equal scores the older memory first
        return both[:k]

    def _has_ended(self, id: str, ceiling: int) -> bool:
        """Whether a memory of the parent's had ended here as of `ceiling`."""
        ended = self._ended.get(id)
        return ended is not None and ended[0] <= ceiling

    def _end_inherited(self, id: str, version: int) -> bool:
        """Ends here a memory that a fork has of its parent, if it lives; returns whether it did."""
        if self._parent is None or id in self._ended:
            return False
        item = self._parent.get(id, self._base)
        if item is None:
            return False
        models = self.models()  # what others than the first one made is loaded later
        has_moved = models.main.began > 0 or models.next is not None
        self._ended[id] = (version, has_moved or item.row != NO_ROW)
        self._ended_at.append(version)
        self._ended_born.append(item.version)
        if self._add is not None:
            self._add((self._prefix, item, (version, self._enders.get(version))))
        self._usage.bytes += MEMORY_BYTES
        return True

    def _end(self, item: Remembered, version: int) -> None:
        """Ends the life of an item, if it lives."""
        if item.died != ALIVE:
            return
        item.died = version
        if self.follower is not None:
            self.follower.ended(item)
        if self._add is not None:
            self._add((self._prefix, item, (version, self._enders.get(version))))
        self._usage.records -= 1
        self.live_count -= 1
        for began, embedded in self.found_by.embedded.items():
            if began or item.row != NO_ROW:
                self._kill(embedded, self.row_of(item.version), version)
