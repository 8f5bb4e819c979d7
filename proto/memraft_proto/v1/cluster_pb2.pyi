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
    __slots__ = ("node_id", "match_index", "active")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    MATCH_INDEX_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    node_id: int
    match_index: int
    active: bool
    def __init__(self, node_id: _Optional[int] = ..., match_index: _Optional[int] = ..., active: bool = ...) -> None: ...

class ReplicaStatus(_message.Message):
    __slots__ = ("shard", "role", "term", "leader_node_id", "commit_index", "applied_index", "last_index", "applied_hash", "peers")
    SHARD_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    LEADER_NODE_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_INDEX_FIELD_NUMBER: _ClassVar[int]
    LAST_INDEX_FIELD_NUMBER: _ClassVar[int]
    APPLIED_HASH_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    shard: int
    role: ReplicaRole
    term: int
    leader_node_id: int
    commit_index: int
    applied_index: int
    last_index: int
    applied_hash: str
    peers: _containers.RepeatedCompositeFieldContainer[PeerProgress]
    def __init__(self, shard: _Optional[int] = ..., role: _Optional[_Union[ReplicaRole, str]] = ..., term: _Optional[int] = ..., leader_node_id: _Optional[int] = ..., commit_index: _Optional[int] = ..., applied_index: _Optional[int] = ..., last_index: _Optional[int] = ..., applied_hash: _Optional[str] = ..., peers: _Optional[_Iterable[_Union[PeerProgress, _Mapping]]] = ...) -> None: ...

class GetNodeStatusResponse(_message.Message):
    __slots__ = ("node_id", "name", "cluster", "version", "uptime_s", "replicas", "resident_bytes")
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    node_id: int
    name: str
    cluster: str
    version: str
    uptime_s: float
    replicas: _containers.RepeatedCompositeFieldContainer[ReplicaStatus]
    resident_bytes: int
    def __init__(self, node_id: _Optional[int] = ..., name: _Optional[str] = ..., cluster: _Optional[str] = ..., version: _Optional[str] = ..., uptime_s: _Optional[float] = ..., replicas: _Optional[_Iterable[_Union[ReplicaStatus, _Mapping]]] = ..., resident_bytes: _Optional[int] = ...) -> None: ...
