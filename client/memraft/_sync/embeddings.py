# Generated from _async/embeddings.py by scripts/generate_sync.py: edit that one.

"""Many memories embedded together, and moving all of them to another model."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from reprlib import repr as shown
from typing import Any, Self

import msgspec

from memraft_proto.v1 import reembed_pb2

from .. import _wire
from ..embedders.base import AnyEmbedder
from ..errors import InvalidArgument
from ..types import At, Consistency, EmbeddingModels, NewMemory, Reembedded, Written
from .base import METHOD, Calls
from .batch import Batch
from .embedding import Embedding

_BEGIN, _STORE, _FINISH = METHOD["BeginReembed"], METHOD["StoreEmbeddings"], METHOD["FinishReembed"]
_GET = METHOD["GetReembedding"]

MEMORIES_TOGETHER = 1_000
"""Memories of one log entry."""
TEXTS_TOGETHER = 256
EMBEDDINGS_TOGETHER = 64
EMBEDDINGS_BYTES_MAX = 256 << 10
"""Of one log entry: other writes wait for no more than this, a few milliseconds."""
_PROBE = "memraft"


class EmbeddingCalls(Calls):
    """Embeddings of many memories."""

    def remember_many(self, memories: Iterable[str | NewMemory]) -> tuple[Written, ...]:
        """Stores many memories; their texts are embedded together, up to 1,000 at a time.

        Args:
            memories: texts, or the arguments of `remember` as mappings with a `text`. Each 1,000 travel in
                one log entry.

        Returns:
            What was written, in the same order.

        Raises:
            EmbedderFailed: the embedder is a service, which failed. Earlier thousands are stored.
            BatchFailed: some were refused; the others of the same thousand, and earlier ones, are stored.
        """
        waiting = _arguments(memories)
        written: list[Written] = []
        while part := list(islice(waiting, MEMORIES_TOGETHER)):
            batch = Batch(self._link.write, self._where, self._embedding, self._embeddings, "raise")
            with batch as collected:
                for each in part:
                    collected.remember(**each)
            written += batch.results
        return tuple(written)

    def with_embedder(self, embedder: AnyEmbedder) -> Self:
        """The same view, whose texts are embedded by another embedder.

        Args:
            embedder: one of `memraft.embedders` or any callable, as in `Memory(embedder=...)`.
        """
        view = type(self).__new__(type(self))
        Calls.__init__(
            view, self._link, self._namespace, self._writer, self._consistency, Embedding(embedder)
        )
        return view

    def embedding_models(self, *, at: At = None, consistency: Consistency | None = None) -> EmbeddingModels:
        """Tells which model the embeddings of the memories are by, and whether they move to another.

        Args:
            at: as of an aware datetime or a log index: what a recall as of then is asked by; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(reembed_pb2.GetReembeddingRequest, **self._from(at, consistency))
        return _models(self._link.read(_GET, request))

    def reembed(
        self,
        embedder: AnyEmbedder,
        *,
        texts_together: int = TEXTS_TOGETHER,
        progress: Callable[[Reembedded], object] | None = None,
    ) -> Reembedded:
        """Moves all memories of the namespace to another embedding model while they are written and recalled.

        Both models' embeddings are taken and searched until it is done; from then on only the new one's are,
        and reads of the past use the model that was then. It may be broken off at any time: called again with
        the same embedder it goes on. To the model that the memories are by, it embeds those without an
        embedding. This memory keeps the embedder that it was opened with: see
        `with_embedder`.

        Args:
            embedder: one of `memraft.embedders` or any callable, as in `Memory(embedder=...)`.
            texts_together: how many texts the embedder is given at a time, at most.
            progress: called after each of these.

        Raises:
            EmbeddingMismatch: a move to a third model is under way; see `cancel_reembed`.
            EmbedderFailed: the embedder is a service, which failed.
        """
        _wire.at_least_one(texts_together, "texts_together")
        embedding = Embedding(embedder)
        vectors, named = embedding.of_many([_PROBE])
        dimension = vectors.shape[1]
        model = {"dimension": dimension, "fingerprint": named}
        self._link.write(_BEGIN, _wire.build(reembed_pb2.BeginReembedRequest, **self._where, **model))
        stored, above = 0, 0
        while True:
            page = self._reembedding(above, texts_together)
            if page.ids:
                done = self._store_embeddings(embedding, page, dimension, named)
                stored += done.stored
                above = page.versions[-1]
                if progress is not None:
                    progress(msgspec.structs.replace(done, stored=stored))
            if page.next_above:
                above = page.next_above
                continue
            request = _wire.build(reembed_pb2.FinishReembedRequest, **self._where, fingerprint=named)
            finished: reembed_pb2.FinishReembedResponse = self._link.write(_FINISH, request)
            if finished.finished:  # else some were written meanwhile, at versions above
                return Reembedded(fingerprint=named, dimension=dimension, stored=stored, remaining=0)

    def cancel_reembed(self) -> bool:
        """Gives up the move to another model that is under way; returns whether there was one.

        What was remembered with the new model meanwhile is found by its words only, until it is embedded with
        the old one: `reembed(old)`.
        """
        models = self.embedding_models(consistency="linearizable")
        if not models.next_fingerprint:
            return False
        request = _wire.build(
            reembed_pb2.FinishReembedRequest, **self._where, fingerprint=models.next_fingerprint, cancel=True
        )
        self._link.write(_FINISH, request)
        return True

    def _reembedding(self, above: int, limit: int) -> reembed_pb2.GetReembeddingResponse:
        request = _wire.build(
            reembed_pb2.GetReembeddingRequest, **self._from(None, "linearizable"), above=above, limit=limit
        )
        response: reembed_pb2.GetReembeddingResponse = self._link.read(_GET, request)
        return response

    def _store_embeddings(
        self, embedding: Embedding, page: reembed_pb2.GetReembeddingResponse, dimension: int, named: str
    ) -> Reembedded:
        """Embeds a page and stores what comes of it; returns what became of it."""
        vectors, fingerprint = embedding.of_many(list(page.texts))
        if (vectors.shape[1], fingerprint) != (dimension, named):
            raise InvalidArgument(
                f"the embedder made {vectors.shape[1]} numbers as {fingerprint!r}, and before {dimension} as "
                f"{named!r}"
            )
        together = max(1, min(EMBEDDINGS_TOGETHER, EMBEDDINGS_BYTES_MAX // (4 * dimension)))
        stored = remaining = 0
        for start in range(0, len(page.ids), together):
            part = slice(start, start + together)
            request = _wire.build(
                reembed_pb2.StoreEmbeddingsRequest,
                **self._where,
                fingerprint=named,
                ids=page.ids[part],
                versions=page.versions[part],
                embeddings=vectors[part].astype("<f4").tobytes(),
            )
            response: reembed_pb2.StoreEmbeddingsResponse = self._link.write(_STORE, request)
            stored, remaining = stored + response.stored, response.remaining
        return Reembedded(fingerprint=named, dimension=dimension, stored=stored, remaining=remaining)


def _models(response: reembed_pb2.GetReembeddingResponse) -> EmbeddingModels:
    return EmbeddingModels(
        fingerprint=response.fingerprint,
        dimension=response.dimension,
        next_fingerprint=response.next_fingerprint,
        next_dimension=response.next_dimension,
        remaining=response.remaining,
    )


def _arguments(memories: Iterable[str | NewMemory]) -> Iterator[Mapping[str, Any]]:
    """Yields the arguments of `remember` for each. Raises InvalidArgument where these are no memories."""
    try:
        waiting = iter((memories,) if isinstance(memories, str | Mapping) else memories)
    except TypeError as error:
        raise InvalidArgument(f"memories must be texts or mappings, not {shown(memories)}") from error
    for number, each in enumerate(waiting):
        if not isinstance(each, str | Mapping):
            wanted = "a text or a mapping with one"
            raise InvalidArgument(f"memories[{number}] must be {wanted}, not {shown(each)}")
        yield {"text": each} if isinstance(each, str) else _checked(each, number)


def _checked(memory: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    unknown = [name for name in memory if name not in NewMemory.__annotations__]
    if unknown:
        known = ", ".join(NewMemory.__annotations__)
        raise InvalidArgument(f"memories[{number}]: there is no {unknown[0]!r}; there are {known}")
    if "text" not in memory:
        raise InvalidArgument(f"memories[{number}] has no text")
    return memory
