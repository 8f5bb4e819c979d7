"""Checkers of client histories: linearizability of registers and keys, cycles of transactions, streams.

::

    recorder = Recorder(time.monotonic)
    call = recorder.invoke("client 1", "put", "order:7", {"paid": True})
    recorder.ok(call, version=reply.version)   # or .fail(call): never happened; .info(call): unknown
    verdict = check_cells(recorder.history())          # also check_streams, check_transactions
    assert verdict.ok, str(verdict)

``python -m tests.linearizability FILE...`` checks histories that were saved.
"""

from tests.linearizability.check import Verdict, check_cells
from tests.linearizability.history import Operation, Outcome, Recorder, load, save
from tests.linearizability.streams import check_streams
from tests.linearizability.transactions import check_transactions

__all__ = [
    "Operation",
    "Outcome",
    "Recorder",
    "Verdict",
    "check_cells",
    "check_streams",
    "check_transactions",
    "load",
    "save",
]
