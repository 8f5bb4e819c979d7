from memraft_proto.v1 import common_pb2 as _common_pb2
from memraft_proto.v1 import coordination_pb2 as _coordination_pb2
from memraft_proto.v1 import graph_pb2 as _graph_pb2
from memraft_proto.v1 import forgetting_pb2 as _forgetting_pb2
from memraft_proto.v1 import fork_pb2 as _fork_pb2
from memraft_proto.v1 import kv_pb2 as _kv_pb2
from memraft_proto.v1 import lease_pb2 as _lease_pb2
from memraft_proto.v1 import memory_pb2 as _memory_pb2
from memraft_proto.v1 import namespace_pb2 as _namespace_pb2
from memraft_proto.v1 import query_pb2 as _query_pb2
from memraft_proto.v1 import recall_pb2 as _recall_pb2
from memraft_proto.v1 import reembed_pb2 as _reembed_pb2
from memraft_proto.v1 import retention_pb2 as _retention_pb2
from memraft_proto.v1 import run_pb2 as _run_pb2
from memraft_proto.v1 import state_pb2 as _state_pb2
from memraft_proto.v1 import stream_pb2 as _stream_pb2
from memraft_proto.v1 import traces_pb2 as _traces_pb2
from memraft_proto.v1 import vector_pb2 as _vector_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Operation(_message.Message):
    __slots__ = ("put", "delete", "multi_put", "append", "append_many", "compare_and_swap", "create_collection", "upsert_vector", "upsert_many", "delete_vector", "remember", "forget", "begin_run", "end_run", "declare_index", "drop_index", "set_schema", "set_namespace_settings", "fork", "drop_fork", "merge_fork", "set_retention", "acquire_lease", "renew_lease", "release_lease", "add_counter", "set_gate", "arrive_at_gate", "upsert_node", "delete_node", "upsert_edge", "delete_edge", "upsert_graph", "merge_nodes", "forget_node", "record_traces", "update_memory", "merge_memories", "record_influence", "begin_reembed", "store_embeddings", "finish_reembed")
    PUT_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    MULTI_PUT_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    APPEND_MANY_FIELD_NUMBER: _ClassVar[int]
    COMPARE_AND_SWAP_FIELD_NUMBER: _ClassVar[int]
    CREATE_COLLECTION_FIELD_NUMBER: _ClassVar[int]
    UPSERT_VECTOR_FIELD_NUMBER: _ClassVar[int]
    UPSERT_MANY_FIELD_NUMBER: _ClassVar[int]
    DELETE_VECTOR_FIELD_NUMBER: _ClassVar[int]
    REMEMBER_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    BEGIN_RUN_FIELD_NUMBER: _ClassVar[int]
    END_RUN_FIELD_NUMBER: _ClassVar[int]
    DECLARE_INDEX_FIELD_NUMBER: _ClassVar[int]
    DROP_INDEX_FIELD_NUMBER: _ClassVar[int]
    SET_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    SET_NAMESPACE_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    FORK_FIELD_NUMBER: _ClassVar[int]
    DROP_FORK_FIELD_NUMBER: _ClassVar[int]
    MERGE_FORK_FIELD_NUMBER: _ClassVar[int]
    SET_RETENTION_FIELD_NUMBER: _ClassVar[int]
    ACQUIRE_LEASE_FIELD_NUMBER: _ClassVar[int]
    RENEW_LEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_LEASE_FIELD_NUMBER: _ClassVar[int]
    ADD_COUNTER_FIELD_NUMBER: _ClassVar[int]
    SET_GATE_FIELD_NUMBER: _ClassVar[int]
    ARRIVE_AT_GATE_FIELD_NUMBER: _ClassVar[int]
    UPSERT_NODE_FIELD_NUMBER: _ClassVar[int]
    DELETE_NODE_FIELD_NUMBER: _ClassVar[int]
    UPSERT_EDGE_FIELD_NUMBER: _ClassVar[int]
    DELETE_EDGE_FIELD_NUMBER: _ClassVar[int]
    UPSERT_GRAPH_FIELD_NUMBER: _ClassVar[int]
    MERGE_NODES_FIELD_NUMBER: _ClassVar[int]
    FORGET_NODE_FIELD_NUMBER: _ClassVar[int]
    RECORD_TRACES_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MEMORY_FIELD_NUMBER: _ClassVar[int]
    MERGE_MEMORIES_FIELD_NUMBER: _ClassVar[int]
    RECORD_INFLUENCE_FIELD_NUMBER: _ClassVar[int]
    BEGIN_REEMBED_FIELD_NUMBER: _ClassVar[int]
    STORE_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    FINISH_REEMBED_FIELD_NUMBER: _ClassVar[int]
    put: _kv_pb2.PutRequest
    delete: _kv_pb2.DeleteRequest
    multi_put: _kv_pb2.MultiPutRequest
    append: _stream_pb2.AppendRequest
    append_many: _stream_pb2.AppendManyRequest
    compare_and_swap: _state_pb2.CompareAndSwapRequest
    create_collection: _vector_pb2.CreateCollectionRequest
    upsert_vector: _vector_pb2.UpsertVectorRequest
    upsert_many: _vector_pb2.UpsertManyRequest
    delete_vector: _vector_pb2.DeleteVectorRequest
    remember: _memory_pb2.RememberRequest
    forget: _memory_pb2.ForgetRequest
    begin_run: _run_pb2.BeginRunRequest
    end_run: _run_pb2.EndRunRequest
    declare_index: _query_pb2.DeclareIndexRequest
    drop_index: _query_pb2.DropIndexRequest
    set_schema: _namespace_pb2.SetSchemaRequest
    set_namespace_settings: _namespace_pb2.SetNamespaceSettingsRequest
    fork: _fork_pb2.ForkRequest
    drop_fork: _fork_pb2.DropForkRequest
    merge_fork: _fork_pb2.MergeForkRequest
    set_retention: _retention_pb2.SetRetentionRequest
    acquire_lease: _lease_pb2.AcquireLeaseRequest
    renew_lease: _lease_pb2.RenewLeaseRequest
    release_lease: _lease_pb2.ReleaseLeaseRequest
    add_counter: _coordination_pb2.AddCounterRequest
    set_gate: _coordination_pb2.SetGateRequest
    arrive_at_gate: _coordination_pb2.ArriveAtGateRequest
    upsert_node: _graph_pb2.UpsertNodeRequest
    delete_node: _graph_pb2.DeleteNodeRequest
    upsert_edge: _graph_pb2.UpsertEdgeRequest
    delete_edge: _graph_pb2.DeleteEdgeRequest
    upsert_graph: _graph_pb2.UpsertGraphRequest
    merge_nodes: _graph_pb2.MergeNodesRequest
    forget_node: _graph_pb2.ForgetNodeRequest
    record_traces: _traces_pb2.RecordTracesRequest
    update_memory: _memory_pb2.UpdateMemoryRequest
    merge_memories: _forgetting_pb2.MergeMemoriesRequest
    record_influence: _recall_pb2.RecordInfluenceRequest
    begin_reembed: _reembed_pb2.BeginReembedRequest
    store_embeddings: _reembed_pb2.StoreEmbeddingsRequest
    finish_reembed: _reembed_pb2.FinishReembedRequest
    def __init__(self, put: _Optional[_Union[_kv_pb2.PutRequest, _Mapping]] = ..., delete: _Optional[_Union[_kv_pb2.DeleteRequest, _Mapping]] = ..., multi_put: _Optional[_Union[_kv_pb2.MultiPutRequest, _Mapping]] = ..., append: _Optional[_Union[_stream_pb2.AppendRequest, _Mapping]] = ..., append_many: _Optional[_Union[_stream_pb2.AppendManyRequest, _Mapping]] = ..., compare_and_swap: _Optional[_Union[_state_pb2.CompareAndSwapRequest, _Mapping]] = ..., create_collection: _Optional[_Union[_vector_pb2.CreateCollectionRequest, _Mapping]] = ..., upsert_vector: _Optional[_Union[_vector_pb2.UpsertVectorRequest, _Mapping]] = ..., upsert_many: _Optional[_Union[_vector_pb2.UpsertManyRequest, _Mapping]] = ..., delete_vector: _Optional[_Union[_vector_pb2.DeleteVectorRequest, _Mapping]] = ..., remember: _Optional[_Union[_memory_pb2.RememberRequest, _Mapping]] = ..., forget: _Optional[_Union[_memory_pb2.ForgetRequest, _Mapping]] = ..., begin_run: _Optional[_Union[_run_pb2.BeginRunRequest, _Mapping]] = ..., end_run: _Optional[_Union[_run_pb2.EndRunRequest, _Mapping]] = ..., declare_index: _Optional[_Union[_query_pb2.DeclareIndexRequest, _Mapping]] = ..., drop_index: _Optional[_Union[_query_pb2.DropIndexRequest, _Mapping]] = ..., set_schema: _Optional[_Union[_namespace_pb2.SetSchemaRequest, _Mapping]] = ..., set_namespace_settings: _Optional[_Union[_namespace_pb2.SetNamespaceSettingsRequest, _Mapping]] = ..., fork: _Optional[_Union[_fork_pb2.ForkRequest, _Mapping]] = ..., drop_fork: _Optional[_Union[_fork_pb2.DropForkRequest, _Mapping]] = ..., merge_fork: _Optional[_Union[_fork_pb2.MergeForkRequest, _Mapping]] = ..., set_retention: _Optional[_Union[_retention_pb2.SetRetentionRequest, _Mapping]] = ..., acquire_lease: _Optional[_Union[_lease_pb2.AcquireLeaseRequest, _Mapping]] = ..., renew_lease: _Optional[_Union[_lease_pb2.RenewLeaseRequest, _Mapping]] = ..., release_lease: _Optional[_Union[_lease_pb2.ReleaseLeaseRequest, _Mapping]] = ..., add_counter: _Optional[_Union[_coordination_pb2.AddCounterRequest, _Mapping]] = ..., set_gate: _Optional[_Union[_coordination_pb2.SetGateRequest, _Mapping]] = ..., arrive_at_gate: _Optional[_Union[_coordination_pb2.ArriveAtGateRequest, _Mapping]] = ..., upsert_node: _Optional[_Union[_graph_pb2.UpsertNodeRequest, _Mapping]] = ..., delete_node: _Optional[_Union[_graph_pb2.DeleteNodeRequest, _Mapping]] = ..., upsert_edge: _Optional[_Union[_graph_pb2.UpsertEdgeRequest, _Mapping]] = ..., delete_edge: _Optional[_Union[_graph_pb2.DeleteEdgeRequest, _Mapping]] = ..., upsert_graph: _Optional[_Union[_graph_pb2.UpsertGraphRequest, _Mapping]] = ..., merge_nodes: _Optional[_Union[_graph_pb2.MergeNodesRequest, _Mapping]] = ..., forget_node: _Optional[_Union[_graph_pb2.ForgetNodeRequest, _Mapping]] = ..., record_traces: _Optional[_Union[_traces_pb2.RecordTracesRequest, _Mapping]] = ..., update_memory: _Optional[_Union[_memory_pb2.UpdateMemoryRequest, _Mapping]] = ..., merge_memories: _Optional[_Union[_forgetting_pb2.MergeMemoriesRequest, _Mapping]] = ..., record_influence: _Optional[_Union[_recall_pb2.RecordInfluenceRequest, _Mapping]] = ..., begin_reembed: _Optional[_Union[_reembed_pb2.BeginReembedRequest, _Mapping]] = ..., store_embeddings: _Optional[_Union[_reembed_pb2.StoreEmbeddingsRequest, _Mapping]] = ..., finish_reembed: _Optional[_Union[_reembed_pb2.FinishReembedRequest, _Mapping]] = ...) -> None: ...

class OperationError(_message.Message):
    __slots__ = ("code", "reason", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    message: str
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class OperationResult(_message.Message):
    __slots__ = ("put", "delete", "multi_put", "append", "append_many", "compare_and_swap", "create_collection", "upsert_vector", "upsert_many", "delete_vector", "remember", "forget", "begin_run", "end_run", "declare_index", "drop_index", "fork", "drop_fork", "merge_fork", "set_retention", "error", "set_schema", "set_namespace_settings", "acquire_lease", "renew_lease", "release_lease", "add_counter", "set_gate", "arrive_at_gate", "upsert_node", "delete_node", "upsert_edge", "delete_edge", "upsert_graph", "merge_nodes", "forget_node", "record_traces", "update_memory", "merge_memories", "record_influence", "begin_reembed", "store_embeddings", "finish_reembed")
    PUT_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    MULTI_PUT_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    APPEND_MANY_FIELD_NUMBER: _ClassVar[int]
    COMPARE_AND_SWAP_FIELD_NUMBER: _ClassVar[int]
    CREATE_COLLECTION_FIELD_NUMBER: _ClassVar[int]
    UPSERT_VECTOR_FIELD_NUMBER: _ClassVar[int]
    UPSERT_MANY_FIELD_NUMBER: _ClassVar[int]
    DELETE_VECTOR_FIELD_NUMBER: _ClassVar[int]
    REMEMBER_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    BEGIN_RUN_FIELD_NUMBER: _ClassVar[int]
    END_RUN_FIELD_NUMBER: _ClassVar[int]
    DECLARE_INDEX_FIELD_NUMBER: _ClassVar[int]
    DROP_INDEX_FIELD_NUMBER: _ClassVar[int]
    FORK_FIELD_NUMBER: _ClassVar[int]
    DROP_FORK_FIELD_NUMBER: _ClassVar[int]
    MERGE_FORK_FIELD_NUMBER: _ClassVar[int]
    SET_RETENTION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SET_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    SET_NAMESPACE_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    ACQUIRE_LEASE_FIELD_NUMBER: _ClassVar[int]
    RENEW_LEASE_FIELD_NUMBER: _ClassVar[int]
    RELEASE_LEASE_FIELD_NUMBER: _ClassVar[int]
    ADD_COUNTER_FIELD_NUMBER: _ClassVar[int]
    SET_GATE_FIELD_NUMBER: _ClassVar[int]
    ARRIVE_AT_GATE_FIELD_NUMBER: _ClassVar[int]
    UPSERT_NODE_FIELD_NUMBER: _ClassVar[int]
    DELETE_NODE_FIELD_NUMBER: _ClassVar[int]
    UPSERT_EDGE_FIELD_NUMBER: _ClassVar[int]
    DELETE_EDGE_FIELD_NUMBER: _ClassVar[int]
    UPSERT_GRAPH_FIELD_NUMBER: _ClassVar[int]
    MERGE_NODES_FIELD_NUMBER: _ClassVar[int]
    FORGET_NODE_FIELD_NUMBER: _ClassVar[int]
    RECORD_TRACES_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MEMORY_FIELD_NUMBER: _ClassVar[int]
    MERGE_MEMORIES_FIELD_NUMBER: _ClassVar[int]
    RECORD_INFLUENCE_FIELD_NUMBER: _ClassVar[int]
    BEGIN_REEMBED_FIELD_NUMBER: _ClassVar[int]
    STORE_EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    FINISH_REEMBED_FIELD_NUMBER: _ClassVar[int]
    put: _kv_pb2.PutResponse
    delete: _kv_pb2.DeleteResponse
    multi_put: _kv_pb2.MultiPutResponse
    append: _stream_pb2.AppendResponse
    append_many: _stream_pb2.AppendManyResponse
    compare_and_swap: _state_pb2.CompareAndSwapResponse
    create_collection: _vector_pb2.CreateCollectionResponse
    upsert_vector: _vector_pb2.UpsertVectorResponse
    upsert_many: _vector_pb2.UpsertManyResponse
    delete_vector: _vector_pb2.DeleteVectorResponse
    remember: _memory_pb2.RememberResponse
    forget: _memory_pb2.ForgetResponse
    begin_run: _run_pb2.BeginRunResponse
    end_run: _run_pb2.EndRunResponse
    declare_index: _query_pb2.DeclareIndexResponse
    drop_index: _query_pb2.DropIndexResponse
    fork: _fork_pb2.ForkResponse
    drop_fork: _fork_pb2.DropForkResponse
    merge_fork: _fork_pb2.MergeForkResponse
    set_retention: _retention_pb2.SetRetentionResponse
    error: OperationError
    set_schema: _namespace_pb2.SetSchemaResponse
    set_namespace_settings: _namespace_pb2.SetNamespaceSettingsResponse
    acquire_lease: _lease_pb2.AcquireLeaseResponse
    renew_lease: _lease_pb2.RenewLeaseResponse
    release_lease: _lease_pb2.ReleaseLeaseResponse
    add_counter: _coordination_pb2.AddCounterResponse
    set_gate: _coordination_pb2.SetGateResponse
    arrive_at_gate: _coordination_pb2.ArriveAtGateResponse
    upsert_node: _graph_pb2.UpsertNodeResponse
    delete_node: _graph_pb2.DeleteNodeResponse
    upsert_edge: _graph_pb2.UpsertEdgeResponse
    delete_edge: _graph_pb2.DeleteEdgeResponse
    upsert_graph: _graph_pb2.UpsertGraphResponse
    merge_nodes: _graph_pb2.MergeNodesResponse
    forget_node: _graph_pb2.ForgetNodeResponse
    record_traces: _traces_pb2.RecordTracesResponse
    update_memory: _memory_pb2.UpdateMemoryResponse
    merge_memories: _forgetting_pb2.MergeMemoriesResponse
    record_influence: _recall_pb2.RecordInfluenceResponse
    begin_reembed: _reembed_pb2.BeginReembedResponse
    store_embeddings: _reembed_pb2.StoreEmbeddingsResponse
    finish_reembed: _reembed_pb2.FinishReembedResponse
    def __init__(self, put: _Optional[_Union[_kv_pb2.PutResponse, _Mapping]] = ..., delete: _Optional[_Union[_kv_pb2.DeleteResponse, _Mapping]] = ..., multi_put: _Optional[_Union[_kv_pb2.MultiPutResponse, _Mapping]] = ..., append: _Optional[_Union[_stream_pb2.AppendResponse, _Mapping]] = ..., append_many: _Optional[_Union[_stream_pb2.AppendManyResponse, _Mapping]] = ..., compare_and_swap: _Optional[_Union[_state_pb2.CompareAndSwapResponse, _Mapping]] = ..., create_collection: _Optional[_Union[_vector_pb2.CreateCollectionResponse, _Mapping]] = ..., upsert_vector: _Optional[_Union[_vector_pb2.UpsertVectorResponse, _Mapping]] = ..., upsert_many: _Optional[_Union[_vector_pb2.UpsertManyResponse, _Mapping]] = ..., delete_vector: _Optional[_Union[_vector_pb2.DeleteVectorResponse, _Mapping]] = ..., remember: _Optional[_Union[_memory_pb2.RememberResponse, _Mapping]] = ..., forget: _Optional[_Union[_memory_pb2.ForgetResponse, _Mapping]] = ..., begin_run: _Optional[_Union[_run_pb2.BeginRunResponse, _Mapping]] = ..., end_run: _Optional[_Union[_run_pb2.EndRunResponse, _Mapping]] = ..., declare_index: _Optional[_Union[_query_pb2.DeclareIndexResponse, _Mapping]] = ..., drop_index: _Optional[_Union[_query_pb2.DropIndexResponse, _Mapping]] = ..., fork: _Optional[_Union[_fork_pb2.ForkResponse, _Mapping]] = ..., drop_fork: _Optional[_Union[_fork_pb2.DropForkResponse, _Mapping]] = ..., merge_fork: _Optional[_Union[_fork_pb2.MergeForkResponse, _Mapping]] = ..., set_retention: _Optional[_Union[_retention_pb2.SetRetentionResponse, _Mapping]] = ..., error: _Optional[_Union[OperationError, _Mapping]] = ..., set_schema: _Optional[_Union[_namespace_pb2.SetSchemaResponse, _Mapping]] = ..., set_namespace_settings: _Optional[_Union[_namespace_pb2.SetNamespaceSettingsResponse, _Mapping]] = ..., acquire_lease: _Optional[_Union[_lease_pb2.AcquireLeaseResponse, _Mapping]] = ..., renew_lease: _Optional[_Union[_lease_pb2.RenewLeaseResponse, _Mapping]] = ..., release_lease: _Optional[_Union[_lease_pb2.ReleaseLeaseResponse, _Mapping]] = ..., add_counter: _Optional[_Union[_coordination_pb2.AddCounterResponse, _Mapping]] = ..., set_gate: _Optional[_Union[_coordination_pb2.SetGateResponse, _Mapping]] = ..., arrive_at_gate: _Optional[_Union[_coordination_pb2.ArriveAtGateResponse, _Mapping]] = ..., upsert_node: _Optional[_Union[_graph_pb2.UpsertNodeResponse, _Mapping]] = ..., delete_node: _Optional[_Union[_graph_pb2.DeleteNodeResponse, _Mapping]] = ..., upsert_edge: _Optional[_Union[_graph_pb2.UpsertEdgeResponse, _Mapping]] = ..., delete_edge: _Optional[_Union[_graph_pb2.DeleteEdgeResponse, _Mapping]] = ..., upsert_graph: _Optional[_Union[_graph_pb2.UpsertGraphResponse, _Mapping]] = ..., merge_nodes: _Optional[_Union[_graph_pb2.MergeNodesResponse, _Mapping]] = ..., forget_node: _Optional[_Union[_graph_pb2.ForgetNodeResponse, _Mapping]] = ..., record_traces: _Optional[_Union[_traces_pb2.RecordTracesResponse, _Mapping]] = ..., update_memory: _Optional[_Union[_memory_pb2.UpdateMemoryResponse, _Mapping]] = ..., merge_memories: _Optional[_Union[_forgetting_pb2.MergeMemoriesResponse, _Mapping]] = ..., record_influence: _Optional[_Union[_recall_pb2.RecordInfluenceResponse, _Mapping]] = ..., begin_reembed: _Optional[_Union[_reembed_pb2.BeginReembedResponse, _Mapping]] = ..., store_embeddings: _Optional[_Union[_reembed_pb2.StoreEmbeddingsResponse, _Mapping]] = ..., finish_reembed: _Optional[_Union[_reembed_pb2.FinishReembedResponse, _Mapping]] = ...) -> None: ...

class BatchRequest(_message.Message):
    __slots__ = ("namespace", "context", "operations")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    context: _common_pb2.WriteContext
    operations: _containers.RepeatedCompositeFieldContainer[Operation]
    def __init__(self, namespace: _Optional[str] = ..., context: _Optional[_Union[_common_pb2.WriteContext, _Mapping]] = ..., operations: _Optional[_Iterable[_Union[Operation, _Mapping]]] = ...) -> None: ...

class BatchResponse(_message.Message):
    __slots__ = ("results", "log_index", "time_us")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    LOG_INDEX_FIELD_NUMBER: _ClassVar[int]
    TIME_US_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[OperationResult]
    log_index: int
    time_us: int
    def __init__(self, results: _Optional[_Iterable[_Union[OperationResult, _Mapping]]] = ..., log_index: _Optional[int] = ..., time_us: _Optional[int] = ...) -> None: ...
