from memraft_proto.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Direction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIRECTION_UNSPECIFIED: _ClassVar[Direction]
    DIRECTION_OUT: _ClassVar[Direction]
    DIRECTION_IN: _ClassVar[Direction]
    DIRECTION_BOTH: _ClassVar[Direction]

class MergePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MERGE_POLICY_UNSPECIFIED: _ClassVar[MergePolicy]
    MERGE_POLICY_KEEP: _ClassVar[MergePolicy]
    MERGE_POLICY_TAKE: _ClassVar[MergePolicy]
    MERGE_POLICY_NEWEST: _ClassVar[MergePolicy]
    MERGE_POLICY_UNION: _ClassVar[MergePolicy]
    MERGE_POLICY_MAX: _ClassVar[MergePolicy]
    MERGE_POLICY_MIN: _ClassVar[MergePolicy]
DIRECTION_UNSPECIFIED: Direction
DIRECTION_OUT: Direction
DIRECTION_IN: Direction
DIRECTION_BOTH: Direction
MERGE_POLICY_UNSPECIFIED: MergePolicy
MERGE_POLICY_KEEP: MergePolicy
MERGE_POLICY_TAKE: MergePolicy
MERGE_POLICY_NEWEST: MergePolicy
MERGE_POLICY_UNION: MergePolicy
MERGE_POLICY_MAX: MergePolicy
MERGE_POLICY_MIN: MergePolicy

class MergedNode(_message.Message):
    __slots__ = ("id", "version")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GraphNode(_message.Message):
    __slots__ = ("id", "type", "domain", "properties", "provenance", "forgotten", "merged_from")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    MERGED_FROM_FIELD_NUMBER: _ClassVar[int]
    id: str
    type: str
    domain: str
    properties: bytes
    provenance: _common_pb2.Provenance
    forgotten: bool
    merged_from: _containers.RepeatedCompositeFieldContainer[MergedNode]
    def __init__(self, id: _Optional[str] = ..., type: _Optional[str] = ..., domain: _Optional[str] = ..., properties: _Optional[bytes] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., forgotten: bool = ..., merged_from: _Optional[_Iterable[_Union[MergedNode, _Mapping]]] = ...) -> None: ...

class GraphEdge(_message.Message):
    __slots__ = ("source", "type", "target", "properties", "weight", "valid_from_us", "valid_until_us", "version")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_US_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    source: str
    type: str
    target: str
    properties: bytes
    weight: float
    valid_from_us: int
    valid_until_us: int
    version: int
    def __init__(self, source: _Optional[str] = ..., type: _Optional[str] = ..., target: _Optional[str] = ..., properties: _Optional[bytes] = ..., weight: _Optional[float] = ..., valid_from_us: _Optional[int] = ..., valid_until_us: _Optional[int] = ..., version: _Optional[int] = ...) -> None: ...

class EdgeFilter(_message.Message):
    __slots__ = ("direction", "types", "domain", "valid_at_us", "include_forgotten")
    DIRECTION_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_US_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    direction: Direction
    types: _containers.RepeatedScalarFieldContainer[str]
    domain: str
    valid_at_us: int
    include_forgotten: bool
    def __init__(self, direction: _Optional[_Union[Direction, str]] = ..., types: _Optional[_Iterable[str]] = ..., domain: _Optional[str] = ..., valid_at_us: _Optional[int] = ..., include_forgotten: bool = ...) -> None: ...

class UpsertNodeRequest(_message.Message):
    __slots__ = ("namespace", "context", "id", "type", "domain", "properties", "patch", "if_version")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    id: str
    type: str
    domain: str
    properties: bytes
    patch: bool
    if_version: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., id: _Optional[str] = ..., type: _Optional[str] = ..., domain: _Optional[str] = ..., properties: _Optional[bytes] = ..., patch: bool = ..., if_version: _Optional[int] = ...) -> None: ...

class UpsertNodeResponse(_message.Message):
    __slots__ = ("version", "time_us", "conflict", "created", "id")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    conflict: bool
    created: bool
    id: str
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., conflict: bool = ..., created: bool = ..., id: _Optional[str] = ...) -> None: ...

class DeleteNodeRequest(_message.Message):
    __slots__ = ("namespace", "context", "id", "detach", "if_version")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    DETACH_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    id: str
    detach: bool
    if_version: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., id: _Optional[str] = ..., detach: bool = ..., if_version: _Optional[int] = ...) -> None: ...

class DeleteNodeResponse(_message.Message):
    __slots__ = ("version", "time_us", "conflict", "found", "edges_deleted")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    EDGES_DELETED_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    conflict: bool
    found: bool
    edges_deleted: int
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., conflict: bool = ..., found: bool = ..., edges_deleted: _Optional[int] = ...) -> None: ...

class UpsertEdgeRequest(_message.Message):
    __slots__ = ("namespace", "context", "source", "type", "target", "properties", "patch", "weight", "valid_from_us", "valid_until_us", "if_version")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_US_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    source: str
    type: str
    target: str
    properties: bytes
    patch: bool
    weight: float
    valid_from_us: int
    valid_until_us: int
    if_version: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., source: _Optional[str] = ..., type: _Optional[str] = ..., target: _Optional[str] = ..., properties: _Optional[bytes] = ..., patch: bool = ..., weight: _Optional[float] = ..., valid_from_us: _Optional[int] = ..., valid_until_us: _Optional[int] = ..., if_version: _Optional[int] = ...) -> None: ...

class UpsertEdgeResponse(_message.Message):
    __slots__ = ("version", "time_us", "conflict", "created")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    conflict: bool
    created: bool
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., conflict: bool = ..., created: bool = ...) -> None: ...

class DeleteEdgeRequest(_message.Message):
    __slots__ = ("namespace", "context", "source", "type", "target", "if_version")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    IF_VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    source: str
    type: str
    target: str
    if_version: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., source: _Optional[str] = ..., type: _Optional[str] = ..., target: _Optional[str] = ..., if_version: _Optional[int] = ...) -> None: ...

class DeleteEdgeResponse(_message.Message):
    __slots__ = ("version", "time_us", "conflict", "found")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    conflict: bool
    found: bool
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., conflict: bool = ..., found: bool = ...) -> None: ...

class UpsertGraphRequest(_message.Message):
    __slots__ = ("namespace", "context", "ids", "types", "domains", "properties", "sources", "edge_types", "targets", "edge_properties", "weights", "valid_from_us", "valid_until_us")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    EDGE_TYPES_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    EDGE_PROPERTIES_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_US_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_US_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    ids: _containers.RepeatedScalarFieldContainer[str]
    types: _containers.RepeatedScalarFieldContainer[str]
    domains: _containers.RepeatedScalarFieldContainer[str]
    properties: _containers.RepeatedScalarFieldContainer[bytes]
    sources: _containers.RepeatedScalarFieldContainer[str]
    edge_types: _containers.RepeatedScalarFieldContainer[str]
    targets: _containers.RepeatedScalarFieldContainer[str]
    edge_properties: _containers.RepeatedScalarFieldContainer[bytes]
    weights: _containers.RepeatedScalarFieldContainer[float]
    valid_from_us: _containers.RepeatedScalarFieldContainer[int]
    valid_until_us: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., ids: _Optional[_Iterable[str]] = ..., types: _Optional[_Iterable[str]] = ..., domains: _Optional[_Iterable[str]] = ..., properties: _Optional[_Iterable[bytes]] = ..., sources: _Optional[_Iterable[str]] = ..., edge_types: _Optional[_Iterable[str]] = ..., targets: _Optional[_Iterable[str]] = ..., edge_properties: _Optional[_Iterable[bytes]] = ..., weights: _Optional[_Iterable[float]] = ..., valid_from_us: _Optional[_Iterable[int]] = ..., valid_until_us: _Optional[_Iterable[int]] = ...) -> None: ...

class UpsertGraphResponse(_message.Message):
    __slots__ = ("first_version", "count", "time_us")
    FIRST_VERSION_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    first_version: int
    count: int
    time_us: int
    def __init__(self, first_version: _Optional[int] = ..., count: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...

class FieldPolicy(_message.Message):
    __slots__ = ("field", "policy")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    field: str
    policy: MergePolicy
    def __init__(self, field: _Optional[str] = ..., policy: _Optional[_Union[MergePolicy, str]] = ...) -> None: ...

class MergeNodesRequest(_message.Message):
    __slots__ = ("namespace", "context", "id", "merged", "policy", "policies")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    MERGED_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    id: str
    merged: str
    policy: MergePolicy
    policies: _containers.RepeatedCompositeFieldContainer[FieldPolicy]
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., id: _Optional[str] = ..., merged: _Optional[str] = ..., policy: _Optional[_Union[MergePolicy, str]] = ..., policies: _Optional[_Iterable[_Union[FieldPolicy, _Mapping]]] = ...) -> None: ...

class MergeNodesResponse(_message.Message):
    __slots__ = ("version", "time_us", "id", "edges_moved", "edges_dropped")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    EDGES_MOVED_FIELD_NUMBER: _ClassVar[int]
    EDGES_DROPPED_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    id: str
    edges_moved: int
    edges_dropped: int
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., id: _Optional[str] = ..., edges_moved: _Optional[int] = ..., edges_dropped: _Optional[int] = ...) -> None: ...

class ForgetNodeRequest(_message.Message):
    __slots__ = ("namespace", "context", "id", "restore")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    RESTORE_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    id: str
    restore: bool
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., id: _Optional[str] = ..., restore: bool = ...) -> None: ...

class ForgetNodeResponse(_message.Message):
    __slots__ = ("version", "time_us", "found")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    version: int
    time_us: int
    found: bool
    def __init__(self, version: _Optional[int] = ..., time_us: _Optional[int] = ..., found: bool = ...) -> None: ...

class GetNodeRequest(_message.Message):
    __slots__ = ("namespace", "context", "id", "include_forgotten")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    id: str
    include_forgotten: bool
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., id: _Optional[str] = ..., include_forgotten: bool = ...) -> None: ...

class GetNodeResponse(_message.Message):
    __slots__ = ("stamp", "node")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    node: GraphNode
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., node: _Optional[_Union[GraphNode, _Mapping]] = ...) -> None: ...

class GetEdgeRequest(_message.Message):
    __slots__ = ("namespace", "context", "source", "type", "target")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    source: str
    type: str
    target: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., source: _Optional[str] = ..., type: _Optional[str] = ..., target: _Optional[str] = ...) -> None: ...

class GetEdgeResponse(_message.Message):
    __slots__ = ("stamp", "edge", "provenance")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    EDGE_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    edge: GraphEdge
    provenance: _common_pb2.Provenance
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., edge: _Optional[_Union[GraphEdge, _Mapping]] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ...) -> None: ...

class ListNodesRequest(_message.Message):
    __slots__ = ("namespace", "context", "domain", "type", "prefix", "filter", "include_forgotten", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    domain: str
    type: str
    prefix: str
    filter: bytes
    include_forgotten: bool
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., domain: _Optional[str] = ..., type: _Optional[str] = ..., prefix: _Optional[str] = ..., filter: _Optional[bytes] = ..., include_forgotten: bool = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("stamp", "nodes", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    nodes: _containers.RepeatedCompositeFieldContainer[GraphNode]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[GraphNode, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class NeighboursRequest(_message.Message):
    __slots__ = ("namespace", "context", "id", "which", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    WHICH_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    id: str
    which: EdgeFilter
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., id: _Optional[str] = ..., which: _Optional[_Union[EdgeFilter, _Mapping]] = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class NeighboursResponse(_message.Message):
    __slots__ = ("stamp", "id", "edges", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    id: str
    edges: _containers.RepeatedCompositeFieldContainer[GraphEdge]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., id: _Optional[str] = ..., edges: _Optional[_Iterable[_Union[GraphEdge, _Mapping]]] = ..., next_cursor: _Optional[str] = ...) -> None: ...

class TraverseRequest(_message.Message):
    __slots__ = ("namespace", "context", "ids", "which", "depth", "limit")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    WHICH_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    ids: _containers.RepeatedScalarFieldContainer[str]
    which: EdgeFilter
    depth: int
    limit: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., ids: _Optional[_Iterable[str]] = ..., which: _Optional[_Union[EdgeFilter, _Mapping]] = ..., depth: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class TraverseResponse(_message.Message):
    __slots__ = ("stamp", "ids", "depths", "previous", "types", "truncated")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    DEPTHS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    ids: _containers.RepeatedScalarFieldContainer[str]
    depths: _containers.RepeatedScalarFieldContainer[int]
    previous: _containers.RepeatedScalarFieldContainer[str]
    types: _containers.RepeatedScalarFieldContainer[str]
    truncated: bool
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., ids: _Optional[_Iterable[str]] = ..., depths: _Optional[_Iterable[int]] = ..., previous: _Optional[_Iterable[str]] = ..., types: _Optional[_Iterable[str]] = ..., truncated: bool = ...) -> None: ...

class ShortestPathRequest(_message.Message):
    __slots__ = ("namespace", "context", "source", "target", "which", "weighted", "depth")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    WHICH_FIELD_NUMBER: _ClassVar[int]
    WEIGHTED_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    source: str
    target: str
    which: EdgeFilter
    weighted: bool
    depth: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., source: _Optional[str] = ..., target: _Optional[str] = ..., which: _Optional[_Union[EdgeFilter, _Mapping]] = ..., weighted: bool = ..., depth: _Optional[int] = ...) -> None: ...

class ShortestPathResponse(_message.Message):
    __slots__ = ("stamp", "found", "ids", "edges", "weight")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    found: bool
    ids: _containers.RepeatedScalarFieldContainer[str]
    edges: _containers.RepeatedCompositeFieldContainer[GraphEdge]
    weight: float
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., found: bool = ..., ids: _Optional[_Iterable[str]] = ..., edges: _Optional[_Iterable[_Union[GraphEdge, _Mapping]]] = ..., weight: _Optional[float] = ...) -> None: ...

class SubgraphRequest(_message.Message):
    __slots__ = ("namespace", "context", "ids", "which", "depth", "limit")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    WHICH_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    ids: _containers.RepeatedScalarFieldContainer[str]
    which: EdgeFilter
    depth: int
    limit: int
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., ids: _Optional[_Iterable[str]] = ..., which: _Optional[_Union[EdgeFilter, _Mapping]] = ..., depth: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class SubgraphResponse(_message.Message):
    __slots__ = ("stamp", "nodes", "edges", "truncated")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    nodes: _containers.RepeatedCompositeFieldContainer[GraphNode]
    edges: _containers.RepeatedCompositeFieldContainer[GraphEdge]
    truncated: bool
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[GraphNode, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[GraphEdge, _Mapping]]] = ..., truncated: bool = ...) -> None: ...

class CrossDomainEdgesRequest(_message.Message):
    __slots__ = ("namespace", "context", "source_domain", "target_domain", "valid_at_us", "include_forgotten", "limit", "cursor")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    TARGET_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    VALID_AT_US_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.ReadContext
    source_domain: str
    target_domain: str
    valid_at_us: int
    include_forgotten: bool
    limit: int
    cursor: str
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.ReadContext, _Mapping]] = ..., source_domain: _Optional[str] = ..., target_domain: _Optional[str] = ..., valid_at_us: _Optional[int] = ..., include_forgotten: bool = ..., limit: _Optional[int] = ..., cursor: _Optional[str] = ...) -> None: ...

class CrossDomainEdgesResponse(_message.Message):
    __slots__ = ("stamp", "edges", "source_domains", "target_domains", "next_cursor")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_DOMAINS_FIELD_NUMBER: _ClassVar[int]
    TARGET_DOMAINS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    stamp: _common_pb2.ReadStamp
    edges: _containers.RepeatedCompositeFieldContainer[GraphEdge]
    source_domains: _containers.RepeatedScalarFieldContainer[str]
    target_domains: _containers.RepeatedScalarFieldContainer[str]
    next_cursor: str
    def __init__(self, stamp: _Optional[_Union[_common_pb2.ReadStamp, _Mapping]] = ..., edges: _Optional[_Iterable[_Union[GraphEdge, _Mapping]]] = ..., source_domains: _Optional[_Iterable[str]] = ..., target_domains: _Optional[_Iterable[str]] = ..., next_cursor: _Optional[str] = ...) -> None: ...
