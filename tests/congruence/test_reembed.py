"""Memories that are embedded together, and that move to another model, whatever carries the calls."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from memraft import EmbeddingMismatch, Memory
from memraft.embedders import HashedNgrams, Vectors
from memraft.types import Reembedded

TEXTS = ("likes green tea", "drinks coffee at noon", "lives in Oslo")


class Stopping(HashedNgrams):
    """Fails when it is asked for the second time for texts of others."""

    def __init__(self) -> None:
        super().__init__(64)
        self.calls = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.calls += 1
        if self.calls == 3:
            raise ConnectionError("gone")
        return super().embed(texts)


def test_memories_move_to_another_model_and_the_past_stays_with_the_old_one(
    open_memory: Callable[..., Memory],
) -> None:
    memory = open_memory()
    written = memory.remember_many(TEXTS)
    models = memory.embedding_models()
    assert (models.fingerprint, models.remaining) == (memory.embedder_fingerprint, 0)
    with pytest.raises(ConnectionError):
        memory.reembed(Stopping(), texts_together=1)
    models = memory.embedding_models()
    assert (models.next_fingerprint, models.next_dimension, models.remaining) == (
        "hashed-ngrams-v1:64",
        64,
        2,
    )

    new = memory.with_embedder(HashedNgrams(64))
    assert memory.recall("green tea", k=1)[0].text == new.recall("green tea", k=1)[0].text == TEXTS[0]
    memory.remember("owns a red bicycle")
    new.remember("plays the violin")
    memory.update_memory(written[0].id, kind="fact")
    assert "plays the violin" in [hit.text for hit in memory.recall("plays the violin")]
    with pytest.raises(EmbeddingMismatch, match="already"):
        memory.reembed(HashedNgrams(32))

    told: list[Reembedded] = []
    done = memory.reembed(HashedNgrams(64), texts_together=2, progress=told.append)
    assert (done.stored, done.remaining, done.fingerprint) == (3, 0, "hashed-ngrams-v1:64")
    assert [each.stored for each in told] == [2, 3] and told[-1].remaining == 0
    assert [new.recall(text, k=1)[0].text for text in TEXTS] == list(TEXTS)
    vector = HashedNgrams(64).embed(["red bicycle"])[0]
    nearest = new.recall(embedding=vector, fingerprint="hashed-ngrams-v1:64", k=1)
    assert nearest[0].text == "owns a red bicycle"
    with pytest.raises(EmbeddingMismatch, match="of 64 components"):
        memory.remember("too late")
    with pytest.raises(EmbeddingMismatch):
        memory.recall("green tea")
    before = memory.recall("green tea", at=written[-1].log_index)
    assert before[0].text == TEXTS[0] and len(before) == 3
    assert memory.reembed(HashedNgrams(64)).stored == 0


def test_a_move_is_given_up(open_memory: Callable[..., Memory]) -> None:
    memory = open_memory()
    assert not memory.cancel_reembed()
    memory.remember_many(TEXTS)
    with pytest.raises(ConnectionError):
        memory.reembed(Stopping(), texts_together=1)
    assert memory.cancel_reembed()
    assert memory.embedding_models().next_fingerprint == ""
    assert memory.recall("lives in Oslo", k=1)[0].text == "lives in Oslo"
    with pytest.raises(EmbeddingMismatch):
        memory.with_embedder(HashedNgrams(64)).recall("lives in Oslo")


def test_many_memories_are_found_as_each_by_itself(open_memory: Callable[..., Memory]) -> None:
    memory = open_memory()
    together = memory.remember_many([{"text": TEXTS[0], "about": "ann", "salience": 0.9}, *TEXTS[1:]])
    alone = memory.remember(TEXTS[0], about="bob")
    assert len({each.log_index for each in together}) == 1
    found = {hit.id: hit for hit in memory.recall("who drinks green tea?")}
    scores = [found[id].reasons for id in (together[0].id, alone.id) if id in found]
    vector = memory.recall(embedding=_default(TEXTS[0]), fingerprint=memory.embedder_fingerprint, k=2)
    assert scores and {hit.id for hit in vector} == {together[0].id, alone.id}
    assert np.isclose(vector[0].score, vector[1].score, atol=1e-5)


def _default(text: str) -> Vectors:
    from memraft.embedders import StaticEmbedder

    vector: Vectors = StaticEmbedder().embed([text])[0]
    return vector
