"""Memraft's client: one memory for a fleet of AI agents, in this process or on a cluster.

    from memraft import Memory

    m = Memory(agent="support", namespace="acme/support")
    m.remember("Refund for order #1458 initiated on 10/20", about="user:4321", salience=0.9)
    hits = m.recall("refund status", about="user:4321")     # hits[0].text .score .id .at

`AsyncMemory` has the same calls for asyncio. What calls return is in `memraft.types`, what they raise in
`memraft.errors`.
"""

from ._async.batch import AsyncBatch
from ._async.memory import AsyncMemory
from ._async.recording import AsyncAgentRun
from ._async.txn import AsyncTxn
from ._sync.batch import Batch
from ._sync.memory import Memory
from ._sync.recording import AgentRun
from ._sync.txn import Txn
from .embedders import HashedNgrams
from .errors import (
    AtInFuture,
    BatchFailed,
    BeforeRetention,
    ChangeRefused,
    ClosedError,
    CollectionMismatch,
    ConfigurationError,
    ConflictError,
    ConnectionFailed,
    DataDirectoryError,
    DiskFull,
    EmbedderFailed,
    EmbeddingMismatch,
    InvalidArgument,
    LeaseLost,
    LockTimeout,
    MemraftError,
    MergeConflicts,
    NodeHasEdges,
    NotFound,
    NotRecorded,
    OutcomeUnknown,
    Overloaded,
    PermissionDenied,
    ProjectionFailed,
    QuotaExceeded,
    RecordedError,
    RunEnded,
    SchemaViolation,
    ServerError,
    TlsError,
    TxnConflict,
    TxnFailed,
    Unauthenticated,
    Unavailable,
    Unrelated,
)

__all__ = [
    "AgentRun",
    "AsyncAgentRun",
    "AsyncBatch",
    "AsyncMemory",
    "AsyncTxn",
    "AtInFuture",
    "BeforeRetention",
    "Batch",
    "BatchFailed",
    "ClosedError",
    "ChangeRefused",
    "CollectionMismatch",
    "ConfigurationError",
    "ConflictError",
    "ConnectionFailed",
    "DataDirectoryError",
    "DiskFull",
    "EmbedderFailed",
    "EmbeddingMismatch",
    "HashedNgrams",
    "InvalidArgument",
    "LeaseLost",
    "LockTimeout",
    "Memory",
    "MemraftError",
    "Unrelated",
    "RecordedError",
    "RunEnded",
    "NotRecorded",
    "MergeConflicts",
    "NodeHasEdges",
    "NotFound",
    "OutcomeUnknown",
    "Overloaded",
    "PermissionDenied",
    "ProjectionFailed",
    "QuotaExceeded",
    "SchemaViolation",
    "ServerError",
    "TlsError",
    "Txn",
    "TxnConflict",
    "TxnFailed",
    "Unauthenticated",
    "Unavailable",
]
