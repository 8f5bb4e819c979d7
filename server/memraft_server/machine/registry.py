"""Which handler applies a kind of command, which query answers a read: one table each for all primitives."""

from __future__ import annotations

from memraft_server.machine import (
    handlers_coordination,
    handlers_kv,
    handlers_leases,
    handlers_memories,
    handlers_runs,
    handlers_state,
    handlers_streams,
    handlers_vectors,
    queries_kv,
    queries_streams,
)
from memraft_server.machine.turn import Handler, Query

HANDLERS: dict[int, Handler] = {
    **handlers_kv.HANDLERS,
    **handlers_streams.HANDLERS,
    **handlers_state.HANDLERS,
    **handlers_leases.HANDLERS,
    **handlers_coordination.HANDLERS,
    **handlers_runs.HANDLERS,
    **handlers_vectors.HANDLERS,
    **handlers_memories.HANDLERS,
}
"""Kind of a command that is not a Batch -> its handler."""

QUERIES: dict[str, Query] = {
    **queries_kv.QUERIES,
    **queries_streams.QUERIES,
    **handlers_state.QUERIES,
    **handlers_leases.QUERIES,
    **handlers_coordination.QUERIES,
    **handlers_runs.QUERIES,
    **handlers_vectors.QUERIES,
    **handlers_memories.QUERIES,
}
"""Name of a read -> its query."""
