"""Finding what was remembered."""

from collections.abc import Mapping
from datetime import datetime
from reprlib import repr as shown
from typing import Any

from memraft_proto.v1 import memory_pb2

from .. import _recall
from ..errors import InvalidArgument
from ..types import At, Consistency, Recalled, RecallParameters, ReceiptMode, Rerank
from .base import METHOD, AsyncCalls
from .io import call_agent

_RECALL = METHOD["Recall"]


class AsyncRecallCalls(AsyncCalls):
    """Recall: by text, by meaning, by time and by the graph, with reasons."""

    async def recall(
        self,
        query: str | None = None,
        *,
        about: str = "",
        about_hops: int = 0,
        kind: str = "",
        filter: Mapping[str, Any] | None = None,
        valid_at: datetime | None = None,
        k: int | None = None,
        tokens: int | None = None,
        parameters: RecallParameters | None = None,
        rerank: Rerank | None = None,
        rerank_k: int = 50,
        embedding: Any = None,
        fingerprint: str | None = None,
        receipt: ReceiptMode = "soon",
        turn: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Recalled:
        """Finds the memories that answer a query, best first, and says why: docs/recall.md.

        Args:
            query: a text, not empty. Judged are its words, its meaning by the embedder, whom and what it
                names, and the time that it asks for.
            about: only memories about this entity.
            about_hops: with `about`: also those about entities at most so many edges away in the graph, 0
                to 3.
            kind: only memories of this kind.
            filter: only memories whose metadata pass, as in `search`.
            valid_at: only memories that are true in the world at this aware datetime, by what is known as of
                `at`; None: whenever.
            k: how many at most, 1 to 1,000; None: 10, and with `tokens` as many as fit of 100.
            tokens: only so many of the best as have together at most so many tokens, at four characters a
                token; memories of kind `profile` come first then. None: any number.
            parameters: what signals count for in this recall, in place of what the namespace has set.
            rerank: judges the candidates once more: called with the query and their texts, returns a number
                for each, higher for better. A coroutine function is awaited, another runs in a thread.
            rerank_k: how many candidates it is given.
            embedding: shape (dimension,): the query's embedding, instead of the embedder's. Without `query`,
                `parameters` and `tokens` hits are in the order of their cosine, as in a plain vector search.
            fingerprint: what made the embedding, as in `remember`.
            receipt: when the receipt is durable: `soon`, `now` (before the answer), or `none`.
            turn: for which turn this is; it is found by in receipts.
            at: what would have been recalled as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.

        Returns:
            Hits with `.text`, `.score`, `.reasons`, `.why()`, `.id`, `.at`, `.about`, `.metadata` and who
            wrote them; and `.receipt`.

        Raises:
            EmbeddingMismatch: the namespace's memories have embeddings of another model or dimension.
            InvalidArgument: an argument is malformed, or the reranker did not return numbers.
        """
        _check_query(query, is_needed=embedding is None or rerank is not None)
        if rerank is not None and not callable(rerank):
            raise InvalidArgument(f"rerank must be callable, not {shown(rerank)}")
        vector, weighed = (b"", ""), _recall.parameters(parameters)
        if embedding is not None or _recall.needs_vector(weighed):
            vector = await self._embedding(query or "", embedding, fingerprint)
            if embedding is None and not vector[0].strip(b"\0"):
                vector = (b"", "")  # Nothing is near a text without letters and digits.
        budget = _recall.Budget(k, tokens, rerank_k if rerank is not None else None)
        request = _recall.request(
            self._from(at, consistency), self._writer, query, vector, budget, weighed, receipt,
            filter, valid_at, about=about, about_hops=about_hops, kind=kind, turn=turn,
        )  # fmt: skip
        if self._recalled is not None and at is None and consistency is None and receipt != "now":
            found = _recall.recollected(self._recalled(request))
        else:
            response: memory_pb2.RecallResponse = await self._link.read(_RECALL, request)
            found = _recall.recalled(response)
        if rerank is None or not found.items:
            return found
        scores = await call_agent(rerank, query, [hit.text for hit in found])
        return budget.reranked(found, scores)


def _check_query(query: Any, is_needed: bool) -> None:
    if query is None:
        if is_needed:
            raise InvalidArgument("recall needs a query or an embedding=")
        return
    if not isinstance(query, str):
        raise InvalidArgument(f"query must be a str, not {type(query).__name__}")
    if not query:
        raise InvalidArgument("query must not be empty; memories() lists them all")
