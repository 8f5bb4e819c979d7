"""Which handler applies a kind of command, which query answers a read: one table each for all primitives."""

from __future__ import annotations

from memraft_server.machine import handlers_kv, queries_kv
from memraft_server.machine.turn import Handler, Query

HANDLERS: dict[int, Handler] = {
    **handlers_kv.HANDLERS,
}
"""Kind of a command that is not a Batch -> its handler."""

QUERIES: dict[str, Query] = {
    **queries_kv.QUERIES,
}
"""Name of a read -> its query."""
