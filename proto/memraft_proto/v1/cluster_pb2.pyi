from memraft_proto.v1 import log_pb2 as _log_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReplicaRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPLICA_ROLE_UNSPECIFIED: _ClassVar[ReplicaRole]
    REPLICA_ROLE_FOLLOWER: _ClassVar[ReplicaRole]
    REPLICA_ROLE_CANDIDATE: _ClassVar[ReplicaRole]
    REPLICA_ROLE_LEADER: _ClassVar[ReplicaRole]
REPLICA_ROLE_UNSPECIFIED: ReplicaRole
REPLICA_ROLE_FOLLOWER: ReplicaRole
REPLICA_ROLE_CANDIDATE: ReplicaRole
REPLICA_ROLE_LEADER: ReplicaRole

class GetShardMapRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodeAddress(_message.Message):
    __slots__ = ("node_id", "name", "address")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    node_id: int
    name: str
    address: str
    def __init__(self, node_id: _Optional[int] = ..., name: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class ShardRoute(_message.Message):
    __slots__ = ("shard", "slot_first", "slot_last", "leader_node_id", "replica_node_ids")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIRST_FIELD_NUMBER: _ClassVar[int]
    SLOT_LAST_FIELD_NUMBER: _ClassVar[int]
    LEADER_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    REPLICA_NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    shard: int
    slot_first: int
    slot_last: int
    leader_node_id: int
    replica_node_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, shard: _Optional[int] = ..., slot_first: _Optional[int] = ..., slot_last: _Optional[int] = ..., leader_node_id: _Optional[int] = ..., replica_node_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class GetShardMapResponse(_message.Message):
    __slots__ = ("epoch", "slot_count", "nodes", "shards", "answering_node_id", "cluster")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SLOT_COUNT_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    ANSWERING_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    slot_count: int
    nodes: _containers.RepeatedCompositeFieldContainer[NodeAddress]
    shards: _containers.RepeatedCompositeFieldContainer[ShardRoute]
    answering_node_id: int
    cluster: str
    def __init__(self, epoch: _Optional[int] = ..., slot_count: _Optional[int] = ..., nodes: _Optional[_Iterable[_Union[NodeAddress, _Mapping]]] = ..., shards: _Optional[_Iterable[_Union[ShardRoute, _Mapping]]] = ..., answering_node_id: _Optional[int] = ..., cluster: _Optional[str] = ...) -> None: ...

class GetNodeStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PeerProgress(_message.Message):
    __slots__ = ("node_id", "match_index", "active", "is_recovering", "state", "applied_index")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_INDEX_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    IS_RECOVERING_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    node_id: int
    match_index: int
    active: bool
    is_recovering: bool
    state: str
    applied_index: int
    def __init__(self, node_id: _Optional[int] = ..., match_index: _Optional[int] = ..., active: bool = ..., is_recovering: bool = ..., state: _Optional[str] = ..., applied_index: _Optional[int] = ...) -> None: ...

class ReplicaStatus(_message.Message):
    __slots__ = ("shard", "role", "term", "leader_node_id", "commit_index", "applied_index", "last_index", "applied_hash", "peers", "voter_node_ids", "learner_node_ids", "is_whole", "base_index", "saved_index", "step")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    LEADER_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_HASH_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    VOTER_NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    LEARNER_NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    IS_WHOLE_FIELD_NUMBER: _ClassVar[int]
    BASE_INDEX_FIELD_NUMBER: _ClassVar[int]
    SAVED_INDEX_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    shard: int
    role: ReplicaRole
    term: int
    leader_node_id: int
    commit_index: int
    applied_index: int
    last_index: int
    applied_hash: str
    peers: _containers.RepeatedCompositeFieldContainer[PeerProgress]
    voter_node_ids: _containers.RepeatedScalarFieldContainer[int]
    learner_node_ids: _containers.RepeatedScalarFieldContainer[int]
    is_whole: bool
    base_index: int
    saved_index: int
    step: str
    def __init__(self, shard: _Optional[int] = ..., role: _Optional[_Union[ReplicaRole, str]] = ..., term: _Optional[int] = ..., leader_node_id: _Optional[int] = ..., commit_index: _Optional[int] = ..., applied_index: _Optional[int] = ..., last_index: _Optional[int] = ..., applied_hash: _Optional[str] = ..., peers: _Optional[_Iterable[_Union[PeerProgress, _Mapping]]] = ..., voter_node_ids: _Optional[_Iterable[int]] = ..., learner_node_ids: _Optional[_Iterable[int]] = ..., is_whole: bool = ..., base_index: _Optional[int] = ..., saved_index: _Optional[int] = ..., step: _Optional[str] = ...) -> None: ...

class GetNodeStatusResponse(_message.Message):
    __slots__ = ("node_id", "name", "cluster", "version", "uptime_s", "replicas", "resident_bytes", "record", "epoch", "not_ready")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NOT_READY_FIELD_NUMBER: _ClassVar[int]
    node_id: int
    name: str
    cluster: str
    version: str
    uptime_s: float
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaStatus]
    resident_bytes: int
    record: ReplicaStatus
    epoch: int
    not_ready: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node_id: _Optional[int] = ..., name: _Optional[str] = ..., cluster: _Optional[str] = ..., version: _Optional[str] = ..., uptime_s: _Optional[float] = ..., replicas: _Optional[_Iterable[_Union[ReplicaStatus, _Mapping]]] = ..., resident_bytes: _Optional[int] = ..., record: _Optional[_Union[ReplicaStatus, _Mapping]] = ..., epoch: _Optional[int] = ..., not_ready: _Optional[_Iterable[str]] = ...) -> None: ...

class GetClusterRecordRequest(_message.Message):
    __slots__ = ("is_latest",)
    IS_LATEST_FIELD_NUMBER: _ClassVar[int]
    is_latest: bool
    def __init__(self, is_latest: bool = ...) -> None: ...

class GetClusterRecordResponse(_message.Message):
    __slots__ = ("record", "epoch", "answering_node_id", "leader_node_id")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ANSWERING_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    LEADER_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    record: bytes
    epoch: int
    answering_node_id: int
    leader_node_id: int
    def __init__(self, record: _Optional[bytes] = ..., epoch: _Optional[int] = ..., answering_node_id: _Optional[int] = ..., leader_node_id: _Optional[int] = ...) -> None: ...

class AddNode(_message.Message):
    __slots__ = ("name", "peer", "client", "node_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    peer: str
    client: str
    node_id: int
    def __init__(self, name: _Optional[str] = ..., peer: _Optional[str] = ..., client: _Optional[str] = ..., node_id: _Optional[int] = ...) -> None: ...

class RemoveNode(_message.Message):
    __slots__ = ("name", "force")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    force: bool
    def __init__(self, name: _Optional[str] = ..., force: bool = ...) -> None: ...

class MoveReplica(_message.Message):
    __slots__ = ("shard", "source", "target")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    shard: int
    source: str
    target: str
    def __init__(self, shard: _Optional[int] = ..., source: _Optional[str] = ..., target: _Optional[str] = ...) -> None: ...

class TransferLeader(_message.Message):
    __slots__ = ("shard", "target")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    shard: int
    target: str
    def __init__(self, shard: _Optional[int] = ..., target: _Optional[str] = ...) -> None: ...

class Rebalance(_message.Message):
    __slots__ = ("replicas",)
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    replicas: int
    def __init__(self, replicas: _Optional[int] = ...) -> None: ...

class ChangeClusterRequest(_message.Message):
    __slots__ = ("add_node", "remove_node", "move_replica", "transfer_leader", "rebalance")
    ADD_NODE_FIELD_NUMBER: _ClassVar[int]
    REMOVE_NODE_FIELD_NUMBER: _ClassVar[int]
    MOVE_REPLICA_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_LEADER_FIELD_NUMBER: _ClassVar[int]
    REBALANCE_FIELD_NUMBER: _ClassVar[int]
    add_node: AddNode
    remove_node: RemoveNode
    move_replica: MoveReplica
    transfer_leader: TransferLeader
    rebalance: Rebalance
    def __init__(self, add_node: _Optional[_Union[AddNode, _Mapping]] = ..., remove_node: _Optional[_Union[RemoveNode, _Mapping]] = ..., move_replica: _Optional[_Union[MoveReplica, _Mapping]] = ..., transfer_leader: _Optional[_Union[TransferLeader, _Mapping]] = ..., rebalance: _Optional[_Union[Rebalance, _Mapping]] = ...) -> None: ...

class ChangeClusterResponse(_message.Message):
    __slots__ = ("changed", "message", "record", "epoch")
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    changed: bool
    message: str
    record: bytes
    epoch: int
    def __init__(self, changed: bool = ..., message: _Optional[str] = ..., record: _Optional[bytes] = ..., epoch: _Optional[int] = ...) -> None: ...

class ReportReplicasRequest(_message.Message):
    __slots__ = ("group", "voter_node_ids", "learner_node_ids", "commit_index")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    VOTER_NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    LEARNER_NODE_IDS_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    group: int
    voter_node_ids: _containers.RepeatedScalarFieldContainer[int]
    learner_node_ids: _containers.RepeatedScalarFieldContainer[int]
    commit_index: int
    def __init__(self, group: _Optional[int] = ..., voter_node_ids: _Optional[_Iterable[int]] = ..., learner_node_ids: _Optional[_Iterable[int]] = ..., commit_index: _Optional[int] = ...) -> None: ...

class ReportReplicasResponse(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    def __init__(self, epoch: _Optional[int] = ...) -> None: ...

class RecordRecallsRequest(_message.Message):
    __slots__ = ("shard", "command")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    shard: int
    command: _log_pb2.RecordRecallsCommand
    def __init__(self, shard: _Optional[int] = ..., command: _Optional[_Union[_log_pb2.RecordRecallsCommand, _Mapping]] = ...) -> None: ...

class RecordRecallsResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BackupShardRequest(_message.Message):
    __slots__ = ("shard",)
    SHARD_FIELD_NUMBER: _ClassVar[int]
    shard: int
    def __init__(self, shard: _Optional[int] = ...) -> None: ...

class BackupShardResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: bytes
    def __init__(self, chunk: _Optional[bytes] = ...) -> None: ...
