"""Recalls of a memory in process, without a message of the answer: to make one and to read it again takes as
long as a tenth of the recall."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from memraft_proto.v1 import memory_pb2
from memraft_server.admission.identity import Caller, writing_agent
from memraft_server.embedded_receipts import LocalOutbox
from memraft_server.machine import Limits, Machine, check_read
from memraft_server.machine.queries_recall import Answer, answer, fill_signals
from memraft_server.projections.memories import Remembered
from memraft_server.recall.parameters import PIPELINE
from memraft_server.recall.receipts import Told, receipt_of
from memraft_server.recall.scoring import Reasons

NAME_BYTES, HIT_BYTES = 1_024, 512
"""What a receipt that is not made yet counts for beside its request, and each memory in it: at least as much
as most take."""


class Recollection(NamedTuple):
    """What a recall found, and the state that it was found in."""

    hits: list[tuple[Remembered, float]]
    """Memories and their scores, best first."""
    times_us: list[int]
    """When each was written."""
    reasons: Reasons
    parameters: memory_pb2.RecallParameters | None
    """What was counted with, not to be changed; None: nothing was."""
    receipt: str
    """The id of its receipt; empty: there is none."""
    applied_index: int
    applied_time_us: int


class LocalRecalls:
    """Recalls of now whose receipts may be written later. Called with the engine's lock held.

    Args:
        machine: of the engine.
        limits: what requests are checked against.
        outbox: has receipts written.
        caller: who asks.
    """

    def __init__(self, machine: Machine, limits: Limits, outbox: LocalOutbox, caller: Caller) -> None:
        self._machine = machine
        self._limits = limits
        self._outbox = outbox
        self._caller = caller

    def recall(self, request: memory_pb2.RecallRequest) -> Recollection:
        """Answers a recall. Raises Refused.

        Args:
            request: kept and changed; it asks for no other time than now.
        """
        check_read("Recall", request, self._limits)
        machine = self._machine
        view, space = machine.where(request)
        found = answer(view, space, request)
        index, time_us = machine.applied_index, machine.last_time_us
        times_us = [view.time_us(item.version) for item, _ in found.hits]
        receipt = ""
        if request.receipt != memory_pb2.RECEIPT_MODE_NONE:
            agent = writing_agent(self._caller, request.agent)
            size = NAME_BYTES + request.ByteSize() + HIT_BYTES * len(found.hits)
            make = partial(_receipt, agent, request, found, index, time_us)
            receipt = self._outbox.noted(request.namespace, make, size)
        return Recollection(found.hits, times_us, found.reasons, found.parameters, receipt, index, time_us)


def _receipt(
    agent: str, request: memory_pb2.RecallRequest, found: Answer, index: int, time_us: int, now_us: int
) -> bytes:
    hits, signals = found.hits, memory_pb2.RecallSignals()
    fill_signals(signals, found.reasons, len(hits))
    told = Told(
        tuple([item.id for item, _ in hits]),
        tuple([item.version for item, _ in hits]),
        [score for _, score in hits],
        signals.SerializeToString(),
        found.parameters,
        PIPELINE if found.parameters is not None else 0,
        index,
        time_us,
    )
    return receipt_of(agent, request, told, now_us)
