"""Which handler applies a kind of command, which query answers a read: one table each for all primitives."""

from __future__ import annotations

from memraft_server.machine import (
    feeds,
    handlers_coordination,
    handlers_forks,
    handlers_graph,
    handlers_kv,
    handlers_leases,
    handlers_memories,
    handlers_runs,
    handlers_state,
    handlers_streams,
    handlers_vectors,
    queries_graph,
    queries_index,
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
    **handlers_forks.HANDLERS,
    **handlers_vectors.HANDLERS,
    **handlers_memories.HANDLERS,
    **handlers_graph.HANDLERS,
}
"""Kind of a command that is not a Batch -> its handler."""

QUERIES: dict[str, Query] = {
    **queries_kv.QUERIES,
    **queries_streams.QUERIES,
    **feeds.QUERIES,
    **handlers_state.QUERIES,
    **handlers_leases.QUERIES,
    **handlers_coordination.QUERIES,
    **handlers_runs.QUERIES,
    **handlers_forks.QUERIES,
    **handlers_vectors.QUERIES,
    **handlers_memories.QUERIES,
    **queries_graph.QUERIES,
    **queries_index.QUERIES,
}
"""Name of a read -> its query."""
