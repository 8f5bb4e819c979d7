"""Makes the receipt of a recall out of what was asked for and what was answered."""

from __future__ import annotations

from hashlib import sha256
from struct import pack
from typing import NamedTuple

from memraft_proto.v1 import memory_pb2
from memraft_server.projections.receipts import ReceiptBody, encode_receipt

RECEIPT_BYTES_MAX = 128 << 10
"""Of one receipt; in a larger one signals are left out. A query of 64 KiB and a thousand hits fit without."""
_NOT_KEPT = ("namespace", "embedding", "fingerprint", "receipt", "agent", "run", "turn")


class Told(NamedTuple):
    """What a receipt keeps of an answer."""

    ids: tuple[str, ...]
    """Of the memories, best first; so are the versions and the scores."""
    versions: tuple[int, ...]
    scores: list[float]
    signals: bytes
    """Why they were found, an encoded `RecallSignals`."""
    parameters: memory_pb2.RecallParameters | None
    """What was counted with; None: nothing was."""
    pipeline: int
    """Which version of the pipeline searched; 0: none did."""
    applied_index: int
    applied_time_us: int


def make_receipt(
    agent: str, request: memory_pb2.RecallRequest, response: memory_pb2.RecallResponse, now_us: int
) -> bytes:
    """Returns the body of a receipt, encoded: some 15 microseconds.

    Args:
        agent: Who asked.
        request: What was asked for. It is changed: nobody needs it any more.
        response: What was answered.
        now_us: In microseconds since the Unix epoch.
    """
    hits = response.hits
    memories = [hit.memory for hit in hits]
    told = Told(
        tuple([memory.id for memory in memories]),
        tuple([memory.provenance.version for memory in memories]),
        [hit.score for hit in hits],
        response.signals.SerializeToString(),
        response.parameters if response.HasField("parameters") else None,
        response.pipeline,
        response.stamp.applied_index,
        response.stamp.applied_time_us,
    )
    return receipt_of(agent, request, told, now_us)


def receipt_of(agent: str, request: memory_pb2.RecallRequest, told: Told, now_us: int) -> bytes:
    """As `make_receipt`, of an answer that is no message."""
    embedding, fingerprint, run, turn = request.embedding, request.fingerprint, request.run, request.turn
    body = ReceiptBody(
        ids=told.ids,
        versions=told.versions,
        agent=agent,
        run=run,
        turn=turn,
        recalled_at_us=now_us,
        request=_kept(request, told.parameters),
        applied_index=told.applied_index,
        applied_time_us=told.applied_time_us,
        fingerprint=fingerprint if embedding else "",
        pipeline=told.pipeline,
        embedding_hash=sha256(embedding).digest() if embedding else b"",
        scores=pack(f"<{len(told.scores)}f", *told.scores),
        signals=told.signals,
    )
    encoded = encode_receipt(body)
    if len(encoded) <= RECEIPT_BYTES_MAX:
        return encoded
    parts = {name: getattr(body, name) for name in body.__struct_fields__}
    return encode_receipt(ReceiptBody(**{**parts, "signals": b"", "is_cut": True}))


def _kept(request: memory_pb2.RecallRequest, parameters: memory_pb2.RecallParameters | None) -> bytes:
    """The request as it is kept: what else was asked for stands in fields of the receipt."""
    for field in _NOT_KEPT:
        request.ClearField(field)
    if request.context.WhichOneof("at") is None:
        request.ClearField("context")
    else:
        request.context.ClearField("consistency")
        request.context.ClearField("min_index")
    if parameters is not None:
        request.parameters.CopyFrom(parameters)
    return request.SerializeToString()
