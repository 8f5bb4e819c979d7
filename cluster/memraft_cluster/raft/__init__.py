"""The pure consensus core: Raft without IO, clock, threads or randomness of its own.

`Core` is what a driver owns; `Ready` says what it has to do, `LogStorage` what it must provide. The method
is Diego Ongaro's (Consensus: Bridging Theory and Practice, 2014, "the thesis" in this package), the shape
that of etcd's `rawnode`. Implemented: elections with pre-vote and check-quorum, pipelined replication with
flow control, commit of the current term only, ReadIndex, leadership transfer, learners, membership changed
one node at a time, snapshots, recovery of members that may have lost what they acknowledged. `state` draws
how the modules build on each other; `recovery` holds the argument why a damaged disk cannot take back a
write.
"""

from memraft_cluster.raft.config import Config
from memraft_cluster.raft.core import Core
from memraft_cluster.raft.errors import (
    BadMessage,
    BrokenInvariant,
    ConfigError,
    EntriesUnavailable,
    EntryTooLarge,
    LeadershipMoving,
    MembershipRefused,
    NotLeader,
    Overloaded,
    RaftError,
    TransferRefused,
)
from memraft_cluster.raft.log import LogStorage
from memraft_cluster.raft.messages import (
    Entry,
    EntryKind,
    HardState,
    Membership,
    Message,
    MessageType,
    PeerStatus,
    ReadState,
    Ready,
    Role,
    SnapshotMeta,
    Status,
)
from memraft_cluster.raft.progress import Progress

__all__ = [
    "BadMessage",
    "BrokenInvariant",
    "Config",
    "ConfigError",
    "Core",
    "EntriesUnavailable",
    "Entry",
    "EntryKind",
    "EntryTooLarge",
    "HardState",
    "LeadershipMoving",
    "LogStorage",
    "Membership",
    "MembershipRefused",
    "Message",
    "MessageType",
    "NotLeader",
    "Overloaded",
    "PeerStatus",
    "Progress",
    "RaftError",
    "ReadState",
    "Ready",
    "Role",
    "SnapshotMeta",
    "Status",
    "TransferRefused",
]
