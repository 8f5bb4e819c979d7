"""Which handler applies a kind of command, which query answers a read: one table each for all primitives."""

from __future__ import annotations

from memraft_proto.methods import KIND_BATCH, KIND_TXN
from memraft_server.machine import (
    feeds,
    handlers_coordination,
    handlers_forgetting,
    handlers_forks,
    handlers_graph,
    handlers_indexes,
    handlers_kv,
    handlers_leases,
    handlers_memories,
    handlers_merges,
    handlers_receipts,
    handlers_reembed,
    handlers_retention,
    handlers_runs,
    handlers_settings,
    handlers_state,
    handlers_streams,
    handlers_vectors,
    hosted,
    queries_documents,
    queries_graph,
    queries_index,
    queries_kv,
    queries_recall,
    queries_receipts,
    queries_streams,
    timeline,
    traces,
)
from memraft_server.machine.diffs import diff, diff_runs
from memraft_server.machine.handlers_batch import batch
from memraft_server.machine.handlers_txn import commit
from memraft_server.machine.replays import replay_run
from memraft_server.machine.turn import Handler, PortionedQuery, Query

HANDLERS: dict[int, Handler] = {
    **handlers_kv.HANDLERS,
    **handlers_settings.HANDLERS,
    **handlers_indexes.HANDLERS,
    **handlers_streams.HANDLERS,
    **handlers_state.HANDLERS,
    **handlers_leases.HANDLERS,
    **handlers_coordination.HANDLERS,
    **handlers_runs.HANDLERS,
    **handlers_forks.HANDLERS,
    **handlers_retention.HANDLERS,
    **handlers_merges.HANDLERS,
    **handlers_vectors.HANDLERS,
    **handlers_memories.HANDLERS,
    **handlers_forgetting.HANDLERS,
    **handlers_receipts.HANDLERS,
    **handlers_reembed.HANDLERS,
    **handlers_graph.HANDLERS,
    **traces.HANDLERS,
}
"""Kind of a command that is one operation -> its handler."""

COMMAND_HANDLERS: dict[int, Handler] = {
    **HANDLERS,
    KIND_BATCH: lambda turn, space, request: batch(turn, space, request, HANDLERS),
    KIND_TXN: lambda turn, space, request: commit(turn, space, request, HANDLERS),
}
"""Kind of any command -> its handler."""

PORTIONED: dict[str, PortionedQuery] = {
    **queries_documents.PORTIONED,
    **handlers_forgetting.PORTIONED,
}
"""Name of a read that may take long -> its query."""

QUERIES: dict[str, Query] = {
    **queries_kv.QUERIES,
    **handlers_settings.QUERIES,
    **handlers_indexes.QUERIES,
    **queries_streams.QUERIES,
    **feeds.QUERIES,
    **handlers_state.QUERIES,
    **handlers_leases.QUERIES,
    **handlers_coordination.QUERIES,
    **handlers_runs.QUERIES,
    **handlers_forks.QUERIES,
    **handlers_retention.QUERIES,
    **timeline.QUERIES,
    **handlers_vectors.QUERIES,
    **handlers_memories.QUERIES,
    **queries_recall.QUERIES,
    **handlers_forgetting.QUERIES,
    **queries_graph.QUERIES,
    **queries_index.QUERIES,
    **queries_receipts.QUERIES,
    **handlers_reembed.QUERIES,
    **hosted.QUERIES,
    **traces.QUERIES,
    "ReplayRun": lambda view, space, request: replay_run(view, space, request, COMMAND_HANDLERS),
    "DiffRuns": lambda view, space, request: diff_runs(view, space, request, COMMAND_HANDLERS),
    "Diff": diff,
}
"""Name of any other read -> its query."""
