"""Applies what leaders gather of recalls, and which answers were made from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from google.protobuf.message import DecodeError

from memraft_proto.methods import KIND_RECORD_RECALLS
from memraft_proto.v1 import kv_pb2, log_pb2, memory_pb2, recall_pb2
from memraft_server.machine.commands import Command
from memraft_server.machine.forgetting import note_uses
from memraft_server.machine.limits import Limits
from memraft_server.machine.namespaces import Namespace
from memraft_server.machine.refused import Refused, invalid
from memraft_server.machine.turn import Check, Handler, Turn
from memraft_server.machine.validate_common import check_count, check_text, shown
from memraft_server.projections.receipts import (
    SEPARATOR,
    InfluenceBody,
    InfluencesProjection,
    ReceiptHead,
    ReceiptsProjection,
    decode_head,
    decode_influence,
    decode_receipt,
    encode_receipt,
)
from memraft_server.projections.versions import EXPIRED, Author

if TYPE_CHECKING:
    from memraft_server.machine.machine import Machine

RECORD_INFLUENCE = 51


def record_recalls(
    turn: Turn, space: Namespace, request: log_pb2.RecordRecallsCommand
) -> kv_pb2.MultiPutResponse:
    """Stores the receipts that are not there yet, and ends those that are over; counts both."""
    records = space.projection(ReceiptsProjection).records
    authors: dict[tuple[str, str], Author] = {}
    count = 0
    heads = [_head(body) for body in request.receipts]  # refuses before anything is changed
    for id, body, head in zip(request.ids, request.receipts, heads, strict=False):
        if id in records.heads:  # a leader that does not know what became of them writes them once more
            continue
        who = (head.agent, head.run)
        author = authors.get(who) or authors.setdefault(who, Author(*who, ""))
        records.store(id, body, turn.version + count, author, 0)
        note_uses(turn, space, head.ids)
        count += 1
    for id in request.over:
        record = records.head(id) if id in records.heads else None
        if record is not None and records.remove(id, turn.version + count, EXPIRED):
            note_uses(turn, space, decode_head(record.value or b"").ids)
            count += 1
    turn.items = max(1, count)
    return kv_pb2.MultiPutResponse(first_version=turn.version, count=count, time_us=turn.time_us)


def _head(body: bytes) -> ReceiptHead:
    """Returns the head of a receipt. Raises Refused where it is not what a leader makes."""
    try:
        receipt = decode_receipt(body)
        memory_pb2.RecallRequest.FromString(receipt.request)
        signals = memory_pb2.RecallSignals.FromString(receipt.signals)
    except (msgspec.MsgspecError, DecodeError) as error:
        raise invalid(f"receipts: no receipt: {error}") from None
    count, rows = len(receipt.ids), len(signals.places)
    lengths = (len(receipt.versions), len(receipt.scores) // 4, len(signals.counts) or count)
    columns = (sum(signals.counts), len(signals.ranks), len(signals.values), len(signals.shares))
    is_sound = lengths == (count,) * 3 and len(receipt.scores) % 4 == 0 and columns == (rows,) * 4
    names = min(len(signals.names), len(signals.weights))
    if not is_sound or max(signals.places, default=-1) >= names:
        raise invalid("receipts: no receipt: its columns do not fit")
    return receipt


def record_influence(
    turn: Turn, space: Namespace, request: recall_pb2.RecordInfluenceRequest
) -> recall_pb2.RecordInfluenceResponse:
    """Ties an answer to memories.

    What the receipt says was looked up before, see `complete_influence`: so the same command does the same in
    a replay of its run, which has no receipts.
    """
    if len(request.used) != len(request.versions):
        raise invalid(f"versions: {len(request.versions)} of {len(request.used)} memories", field="versions")
    body = InfluenceBody(tuple(request.used), tuple(request.versions))
    name = f"{request.answer_id}{SEPARATOR}{request.receipt}"
    records = space.projection(InfluencesProjection).records
    replaced = records.head(name)
    records.store(name, encode_receipt(body), turn.version, turn.author, 0)
    before = decode_influence(replaced.value).ids if replaced is not None and replaced.value else ()
    note_uses(turn, space, (*before, *body.ids))
    return recall_pb2.RecordInfluenceResponse(version=turn.version, time_us=turn.time_us)


def complete_influence(space: Namespace | None, request: recall_pb2.RecordInfluenceRequest) -> None:
    """Writes into a request what its receipt says: the memories, where it names none, and their versions.

    Raises:
        Refused: `NO_SUCH_RECEIPT`; a memory is named that the receipt does not have.
    """
    head = find_receipt(space, request.receipt)
    if head is None:
        raise Refused(
            "NO_SUCH_RECEIPT",
            f"receipt: there is no receipt {shown(request.receipt)} in {shown(request.namespace)}",
            {"receipt": request.receipt},
        )
    versions = dict(zip(head.ids, head.versions, strict=True))
    used = list(dict.fromkeys(request.used)) or list(head.ids)
    for id in used:
        if id not in versions:
            raise invalid(
                f"used: memory {shown(id)} is not in receipt {shown(request.receipt)}", field="used"
            )
    request.used[:] = used
    request.versions[:] = [versions[id] for id in used]


def find_receipt(space: Namespace | None, id: str) -> ReceiptHead | None:
    """Returns the head of a receipt that is kept, None where there is none."""
    record = space.projection(ReceiptsProjection).records.head(id) if space is not None else None
    return decode_head(record.value) if record is not None and record.value is not None else None


def receipts_over(machine: Machine, now_us: int, count_max: int) -> list[Command]:
    """Returns commands that end receipts whose time to live is over, up to `count_max` a namespace.

    They are due until they have been applied; proposing one twice does no harm.
    """
    commands = []
    for name in tuple(machine.spaces.receipts_limited):
        space = machine.space(name)
        if space is None or space.settings is None or not space.settings.receipts_ttl_ms:
            continue
        through_us = now_us - 1_000 * space.settings.receipts_ttl_ms
        receipts = space.projection(ReceiptsProjection)
        heads = receipts.records.heads
        over = [id for id in receipts.oldest(count_max) if machine.time_us(heads[id].version) <= through_us]
        if over:
            command = log_pb2.RecordRecallsCommand(namespace=name, over=over)
            commands.append(Command(KIND_RECORD_RECALLS, "", command))
    return commands


def _check_influence(request: recall_pb2.RecordInfluenceRequest, limits: Limits) -> None:
    check_text("receipt", request.receipt, limits.label_bytes_max)
    check_text("answer_id", request.answer_id, limits.key_bytes_max)
    check_count("used", len(request.used), limits.k_max)
    for i, id in enumerate(request.used):
        check_text(f"used[{i}]", id, limits.key_bytes_max)


HANDLERS: dict[int, Handler] = {KIND_RECORD_RECALLS: record_recalls, RECORD_INFLUENCE: record_influence}
WRITE_CHECKS: dict[int, Check] = {RECORD_INFLUENCE: _check_influence}
