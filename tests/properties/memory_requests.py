"""Requests about memories for property tests: few names and few versions, so that they meet each other."""

from __future__ import annotations

from struct import pack
from typing import Any

import numpy as np
from hypothesis import strategies as st

from memraft_proto.v1 import forgetting_pb2, log_pb2, memory_pb2, namespace_pb2, recall_pb2, reembed_pb2
from memraft_server.projections.receipts import ReceiptBody, encode_receipt

ids = st.sampled_from(("k", "k", "k1", "é"))
versions = st.integers(1, 10).map(lambda index: index << 20)
"""Of the first entries."""
fingerprints = st.sampled_from(("", "", "f", "g"))
vectors = st.sampled_from(((1.0, 0.0), (-1.0, 3.0), (0.0, 0.5))).map(
    lambda components: np.array(components, "<f4").tobytes()
)
receipt_ids = st.sampled_from(("r1", "r2", "r3"))
ttls_ms = st.sampled_from((None, 0, 1, 60_000))


def body_of(named: list[tuple[str, int]], run: str) -> bytes:
    """The body of a receipt as leaders make it."""
    return encode_receipt(
        ReceiptBody(
            ids=tuple(id for id, _ in named),
            versions=tuple(version for _, version in named),
            agent="alice",
            run=run,
            turn="",
            recalled_at_us=5,
            request=memory_pb2.RecallRequest(query="q").SerializeToString(),
            applied_index=1,
            applied_time_us=1,
            fingerprint="",
            pipeline=1,
            embedding_hash=b"",
            scores=pack(f"<{len(named)}f", *[0.5] * len(named)),
            signals=b"",
        )
    )


def columns(request: Any, named: list[tuple[str, int]]) -> Any:
    """The request with ids and versions."""
    request.ids.extend(id for id, _ in named)
    request.versions.extend(version for _, version in named)
    return request


def embeddings(fingerprint: str, named: list[tuple[str, int]], vector: bytes) -> Any:
    request = reembed_pb2.StoreEmbeddingsRequest(fingerprint=fingerprint, embeddings=vector * len(named))
    return columns(request, named)


def influence(receipt: str, answer: str, named: list[tuple[str, int]]) -> Any:
    return recall_pb2.RecordInfluenceRequest(
        receipt=receipt,
        answer_id=answer,
        used=[id for id, _ in named],
        versions=[version for _, version in named],
    )


def recalls(made: list[tuple[str, bytes]], over: list[str]) -> Any:
    return log_pb2.RecordRecallsCommand(
        ids=[id for id, _ in made], receipts=[body for _, body in made], over=over
    )


some = st.lists(st.tuples(ids, versions), min_size=1, max_size=3)
remembered = st.builds(
    memory_pb2.RememberRequest,
    id=ids,
    text=st.sampled_from(("one", "two words")),
    embedding=st.one_of(st.just(b""), vectors),
    fingerprint=fingerprints,
    thread=st.sampled_from(("", "t")),
    speaker=st.sampled_from(("", "Ann")),
    pinned=st.booleans(),
    ttl_ms=st.sampled_from((0, 1, 60_000)),
)
operations: st.SearchStrategy[Any] = st.one_of(
    remembered,
    remembered,
    st.builds(memory_pb2.ForgetRequest, id=ids, reason=st.sampled_from(("", "wrong"))),
    st.builds(
        memory_pb2.UpdateMemoryRequest, id=ids, pinned=st.sampled_from((None, False, True)), ttl_ms=ttls_ms
    ),
    st.builds(
        columns,
        st.builds(
            forgetting_pb2.MergeMemoriesRequest, keep_id=st.sampled_from(("k", "k2")), keep_version=versions
        ),
        st.lists(st.tuples(st.sampled_from(("k1", "é")), versions), min_size=1, max_size=1),
    ),
)
"""What also batches and transactions may have."""

alone: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        reembed_pb2.BeginReembedRequest,
        dimension=st.just(2),
        fingerprint=st.sampled_from(("f", "g")),
    ),
    st.builds(embeddings, fingerprints, some, vectors),
    st.builds(influence, receipt_ids, ids, some),
    st.builds(
        reembed_pb2.FinishReembedRequest, fingerprint=st.sampled_from(("f", "g")), cancel=st.booleans()
    ),
    st.builds(
        namespace_pb2.SetNamespaceSettingsRequest,
        default_ttl_ms=st.sampled_from((None, 60_000)),
        receipts_ttl_ms=st.sampled_from((None, 0, 60_000)),
        memories=st.sampled_from(
            (
                None,
                namespace_pb2.MemorySettings(default_ttl_ms=60_000),
                namespace_pb2.MemorySettings(recency=0, frequency=0, salience=0, impact=0),
            )
        ),
    ),
)
"""Writes of callers that stand alone."""

own: st.SearchStrategy[Any] = st.one_of(
    st.builds(
        columns,
        st.builds(log_pb2.EvictMemoriesCommand, reason=st.sampled_from((2, 3, 4))),
        st.lists(st.tuples(ids, versions), min_size=1, max_size=6),
    ),
    st.builds(
        recalls,
        st.lists(st.tuples(receipt_ids, st.builds(body_of, some, st.sampled_from(("", "run")))), max_size=2),
        st.lists(receipt_ids, max_size=1),
    ),
)
"""What leaders write by themselves."""

OWN = (log_pb2.EvictMemoriesCommand, log_pb2.RecordRecallsCommand)


def is_for_all(request: Any) -> bool:
    """Whether a request is also for forks and transactions: what moves memories to another model is not, nor
    what tells the shard of a namespace."""
    name = type(request).__name__
    if isinstance(request, namespace_pb2.SetNamespaceSettingsRequest):
        return not request.HasField("receipts_ttl_ms")
    return "Reembed" not in name and name != "StoreEmbeddingsRequest"
