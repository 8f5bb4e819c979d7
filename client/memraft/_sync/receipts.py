# Generated from _async/receipts.py by scripts/generate_sync.py: edit that one.

"""What was recalled, and which answers were made from it."""

from collections.abc import Sequence

from memraft_proto.v1 import recall_pb2

from .. import _receipts, _wire
from ..errors import NotFound
from ..types import At, Consistency, Lineage, Receipt, ReceiptId, Results, Written
from .base import METHOD, Calls
from .io import monotonic, sleep

_GET, _LIST = METHOD["GetReceipt"], METHOD["ListReceipts"]
_INFLUENCE, _LINEAGE = METHOD["RecordInfluence"], METHOD["GetLineage"]

HANDED_OVER_S = 1.0
"""How long a receipt may be on its way from a leader that ceased to lead to the one that leads now."""
_PAUSE_S = 0.05


class ReceiptCalls(Calls):
    """Receipts of recalls, and the answers that are tied to them."""

    def receipt(
        self, receipt: ReceiptId | str, *, at: At = None, consistency: Consistency | None = None
    ) -> Receipt:
        """Reads the receipt of a recall; one that is on its way to the log is waited for.

        Args:
            receipt: `hits.receipt`, or its id.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.

        Raises:
            NotFound: there is none: its time to live is over, or its node died before it was written.
        """
        id = _receipts.receipt_id(receipt)
        request = _wire.build(recall_pb2.GetReceiptRequest, **self._from(at, consistency), id=id)
        end_s = self._waits_until_s() if at is None else 0.0
        while True:
            response: recall_pb2.GetReceiptResponse = self._link.read(_GET, request)
            if response.HasField("receipt"):
                return _receipts.receipt(response.receipt)
            if monotonic() >= end_s:
                raise NotFound(f"there is no receipt {id!r} in {self._namespace!r}", reason="NO_SUCH_RECEIPT")
            sleep(_PAUSE_S)

    def _waits_until_s(self) -> float:
        """Until when a receipt may come that is not there; in process none does."""
        return monotonic() + HANDED_OVER_S if self._head is None else 0.0

    def receipts(
        self,
        *,
        run: str = "",
        turn: str = "",
        agent: str = "",
        limit: int = 100,
        cursor: str = "",
        at: At = None,
        consistency: Consistency | None = None,
    ) -> Results[Receipt]:
        """Lists receipts of recalls, newest first.

        Args:
            run: only those of recalls in this run.
            turn: only those for this turn.
            agent: only those of this agent.
            limit: at most this many a page, 1 to 10,000. A page may have fewer and yet not be the last.
            cursor: `next_cursor` of the page before.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            recall_pb2.ListReceiptsRequest,
            **self._from(at, consistency),
            run=run,
            turn=turn,
            agent=agent,
            limit=_wire.at_least_one(limit, "limit"),
            cursor=cursor,
        )
        return _receipts.receipts(self._link.read(_LIST, request))

    def influence(
        self, receipt: ReceiptId | str | None, answer_id: str, *, used: Sequence[str] | None = None
    ) -> Written:
        """Ties an answer to the memories that it was made from, for `lineage` to walk back; memories that led
        to answers are forgotten later than others.

        Args:
            receipt: of the recall, or its id. An answer that was made from several recalls has a call each;
                the same answer and receipt again replace what was recorded.
            answer_id: any id of the answer: of a trace, of an event, of a message.
            used: ids of the memories that were used; None: all that the recall returned.

        Raises:
            NotFound: there is no such receipt.
            InvalidArgument: a memory is named that the recall did not return.
        """
        request = _receipts.influence(self._where, receipt, answer_id, used)
        end_s = self._waits_until_s()
        while True:
            try:
                done: recall_pb2.RecordInfluenceResponse = self._link.write(_INFLUENCE, request)
            except NotFound:
                if monotonic() >= end_s:
                    raise
                sleep(_PAUSE_S)
            else:
                return Written(id=answer_id, version=done.version, time_us=done.time_us)

    def lineage(self, answer_id: str, *, at: At = None, consistency: Consistency | None = None) -> Lineage:
        """Walks back from an answer: to the recalls that it was made from, the memories that were used, as
        they were then, who wrote them in which run, and what happened in that run until then.

        Args:
            answer_id: as `influence` was given it.
            at: as of an aware datetime or a log index; None: now.
            consistency: how fresh; None: as this memory was opened with.
        """
        request = _wire.build(
            recall_pb2.GetLineageRequest, **self._from(at, consistency), answer_id=answer_id
        )
        return _receipts.lineage(request, self._link.read(_LINEAGE, request))
