"""Between Python values and the messages of receipts. Pure; shared by both facades."""

from collections.abc import Mapping, Sequence
from reprlib import repr as shown
from typing import Any

from memraft_proto.v1 import recall_pb2

from . import _history, _json, _wire
from ._recall import as_parameters, reasons
from .errors import InvalidArgument
from .types import MemoryItem, Results
from .types_recall import ReceiptId
from .types_receipts import Lineage, LineageMemory, LineageReceipt, Receipt, ReceiptHit


def receipt_id(receipt: Any) -> str:
    """Returns the id of what names a receipt. Raises InvalidArgument."""
    if isinstance(receipt, ReceiptId | Receipt | LineageReceipt):
        return receipt.id
    if isinstance(receipt, str):
        return receipt
    if receipt is None:
        raise InvalidArgument("receipt is None: that recall has none; ask for one with receipt='now'")
    raise InvalidArgument(f"receipt must be the receipt of a recall or its id, not {shown(receipt)}")


def influence(
    where: Mapping[str, Any], receipt: Any, answer_id: str, used: Sequence[str] | None
) -> recall_pb2.RecordInfluenceRequest:
    """Returns the request. Raises InvalidArgument."""
    ids = None if used is None else _wire.listed(used, "used", "ids of memories")
    if ids is not None and not ids:
        raise InvalidArgument("used is empty: leave it out for all memories of the receipt")
    return _wire.build(
        recall_pb2.RecordInfluenceRequest,
        **where,
        receipt=receipt_id(receipt),
        answer_id=answer_id,
        used=ids,
    )


def receipt(found: recall_pb2.Receipt) -> Receipt:
    """Returns what a message says."""
    asked = found.request
    context = asked.context
    at = context.WhichOneof("at")
    return Receipt(
        id=found.id,
        query=asked.query,
        hits=_hits(found),
        log_index=found.applied_index,
        time_us=found.applied_time_us,
        recalled_at_us=found.recalled_at_us,
        agent=found.agent,
        run=found.run,
        turn=found.turn,
        k=asked.k,
        tokens=asked.tokens,
        about=asked.about,
        about_hops=asked.about_hops,
        kind=asked.kind,
        filter=_json.decode_object(asked.filter) if asked.filter else None,
        valid_at_us=asked.valid_at_us if asked.HasField("valid_at_us") else None,
        at_index=context.at_index if at == "at_index" else None,
        at_time_us=context.at_time_us if at == "at_time_us" else None,
        parameters=as_parameters(asked.parameters),
        fingerprint=found.fingerprint,
        embedding_hash=found.embedding_hash,
        pipeline=found.pipeline,
        is_cut=found.is_cut,
        version=found.version,
        committed_at_us=found.time_us,
    )


def _hits(found: recall_pb2.Receipt) -> tuple[ReceiptHit, ...]:
    why = reasons(found.signals, len(found.hits))
    return tuple(
        ReceiptHit(id=each.id, version=each.version, score=each.score, reasons=because)
        for each, because in zip(found.hits, why, strict=True)
    )


def receipts(response: recall_pb2.ListReceiptsResponse) -> Results[Receipt]:
    """Returns the receipts of a listing."""
    return _wire.results(response, tuple(map(receipt, response.receipts)))


def lineage(request: recall_pb2.GetLineageRequest, response: recall_pb2.GetLineageResponse) -> Lineage:
    """Returns what is behind an answer."""
    return Lineage(
        answer_id=request.answer_id,
        receipts=tuple(map(_behind, response.receipts)),
        is_cut=response.is_cut,
        log_index=response.stamp.applied_index,
        time_us=response.stamp.applied_time_us,
    )


def _behind(found: recall_pb2.LineageReceipt) -> LineageReceipt:
    tied = found.influence
    return LineageReceipt(
        id=found.id,
        receipt=receipt(found.receipt) if found.HasField("receipt") else None,
        memories=tuple(map(_memory, found.memories)),
        version=tied.version,
        time_us=tied.time_us,
        agent=tied.agent,
        run=tied.run,
        tool=tied.tool,
    )


def _memory(found: recall_pb2.LineageMemory) -> LineageMemory:
    has_memory = found.HasField("memory")
    return LineageMemory(
        id=found.id,
        version=found.version,
        score=found.score,
        memory=MemoryItem(**_wire.memory_fields(found.memory)) if has_memory else None,
        is_current=found.is_current,
        around=tuple(map(_history.happening, found.around)),
    )
